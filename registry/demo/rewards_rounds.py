"""The rounds of a rewarded task: train, contribute, measure, settle, and average what was counted."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from incentives.averaging import average_digest
from incentives.stackelberg import pay, theta_ppm
from registry.demo.economy import MOST_STEPS, Costs, Hiring, PostedRate, to_wei_up
from registry.demo.federated import (
    Cohort,
    Device,
    Participation,
    Round,
    Schedule,
    Training,
    plain_slope,
    run_round,
    train_locally,
    update_digest,
)
from registry.demo.learner import Twin, draw_twin, error_db
from registry.demo.privacy import Privacy, noisy_slope
from registry.demo.radio import Floats
from registry.demo.world import Cell, Track
from registry.wire_tasks import TaskBody

if TYPE_CHECKING:
    from registry import Client

MICRO = 1_000_000
# How often a device that adds noise tries a number of steps before it believes in it.
NOISY_DRAWS = 8


@dataclass(frozen=True, slots=True)
class People:
    """Who takes part, each with a client that signs for them; devices by address."""

    sponsor: "Client"
    aggregator: "Client"
    validators: "tuple[Client, ...]"
    devices: "Mapping[str, Client]"

    def everywhere(self, act: "Callable[[Client], object]", who: "Sequence[Client]") -> None:
        """Let several act at once, as they would: each has its own key and connection."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(act, who))

    def close(self) -> None:
        """Close every connection."""
        for client in (self.sponsor, self.aggregator, *self.validators, *self.devices.values()):
            client.close()


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """The cell, its cohort under the devices' addresses, and what the mechanism decided."""

    cell: Cell
    tracks: tuple[Track, ...]
    cohort: Cohort
    costs: tuple[Costs, ...]
    hiring: Hiring
    schedule: Schedule
    privacy: Privacy | None
    channel_model: str


@dataclass(frozen=True, slots=True, eq=False)
class Rewarded:
    """A training with the local steps that each device chose, round by round."""

    training: Training
    efforts: Mapping[str, Sequence[int]]


def train(people: People, job: Job, task: TaskBody, seed: int, console: Console) -> Rewarded:
    """The rewarded rounds: only what the settlement counts enters the twin."""
    rng = np.random.default_rng([seed, *job.cell.name.encode()])
    twin = draw_twin(np.random.default_rng([seed, 1]))
    rounds = [Round(0, error_db(twin, job.cohort.held_out), 0.0, 0, ())]
    given: dict[str, Participation] = {}
    efforts: dict[str, list[int]] = {address: [] for address in people.devices}
    for number in range(job.schedule.rounds):
        cohort = willing(job, twin, rng)
        for device in cohort.devices:
            efforts[device.name].append(device.local_steps)
        people.aggregator.tasks.begin(task.task, number, evaluation_of(job.cohort))
        slope = plain_slope if job.privacy is None else noisy_slope(job.privacy)
        _, done, arrived = run_round(twin, cohort, job.schedule, rng, slope, number=number + 1)
        sent = Sent(twin, evaluation_of(job.cohort), tuple(arrived))
        counted, mean = _settled(people, task.task, number, sent)
        if mean is not None:
            twin = Twin(twin.sizes, twin.theta + mean)
        for device, update in counted:
            before = given[device.name].rounds if device.name in given else 0
            digest = update_digest(update)
            given[device.name] = Participation(device.name, len(device.samples), before + 1, digest)
        rounds.append(replace(done, error_db=error_db(twin, job.cohort.held_out)))
        console.print(
            f"round {number}: {len(counted)} of {len(cohort.devices)} updates counted and settled; the twin "
            f"errs by {rounds[-1].error_db:.2f} dB"
        )
    return Rewarded(Training(twin, tuple(rounds), tuple(given[name] for name in sorted(given))), efforts)


def willing(job: Job, twin: Twin, rng: np.random.Generator) -> Cohort:
    """Who trains this round and how much.

    Under a posted rate each device takes the number of steps that its own learning curve and costs make
    best, and stays away when none pays. A bid or a chosen item was agreed before: it is kept.
    """
    terms = job.hiring.terms
    if not isinstance(terms, PostedRate):
        return job.cohort
    costs = {own.device: own for own in job.costs}
    best = [
        (device, _best_steps(device, costs[device.name], terms.rate, twin, job, rng))
        for device in job.cohort.devices
    ]
    return Cohort(
        tuple(replace(device, local_steps=steps) for device, steps in best if steps), job.cohort.held_out
    )


def _best_steps(
    device: Device, costs: Costs, rate: int, twin: Twin, job: Job, rng: np.random.Generator
) -> int:
    slope = plain_slope if job.privacy is None else noisy_slope(job.privacy)
    draws = 1 if job.privacy is None else NOISY_DRAWS

    def gain(steps: int) -> float:
        planned = replace(device, local_steps=steps)
        updates = [train_locally(twin, planned, job.schedule, slope, rng) for _ in range(draws)]
        measured = [losses(twin, update, device) for update in updates]
        paid = [pay(rate, theta_ppm(loss_before=before, loss_after=after)) for before, after in measured]
        return sum(paid) / draws - to_wei_up(costs.of(steps))

    best = max(range(1, MOST_STEPS + 1), key=gain)
    return best if gain(best) > 0 else 0


def losses(twin: Twin, update: Floats, device: Device) -> tuple[int, int]:
    """Mean squared error on the device's part of the evaluation set, before and after, in micro-units."""
    after = Twin(twin.sizes, twin.theta + update)
    before_db, after_db = error_db(twin, device.samples), error_db(after, device.samples)
    return int(before_db**2 * MICRO), int(after_db**2 * MICRO)


def evaluation_of(cohort: Cohort) -> bytes:
    """The digest of the evaluation set: each device's rows, on which its local accuracy is measured."""
    running = sha256()
    for device in cohort.devices:
        running.update(device.samples.inputs.tobytes() + device.samples.outputs.tobytes())
    return running.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What arrived in a round: the twin it started from, the evaluation set's digest, the updates."""

    twin: Twin
    evaluation: bytes
    updates: tuple[tuple[Device, Floats], ...]


Counted = list[tuple[Device, Floats]]


def _settled(people: People, task: int, number: int, sent: Sent) -> tuple[Counted, Floats | None]:
    """Contribute, hand over encrypted, countersign, measure, settle; answers what counted and its average."""
    by_name = {device.name: (device, update) for device, update in sent.updates}
    for name, (device, update) in by_name.items():
        tasks, digest = people.devices[name].tasks, bytes.fromhex(update_digest(update)[2:])
        tasks.contribute(task, number, digest, samples=len(device.samples))
        tasks.hand_over(task, number, update.astype("<f4").tobytes())
    entries = people.aggregator.tasks.countersign(task, number)

    def judge(validator: "Client") -> None:
        for entry in entries:
            opened = np.frombuffer(validator.tasks.open_update(entry), dtype="<f4")
            validator.tasks.measure(
                entry,
                evaluation=sent.evaluation,
                losses=losses(sent.twin, opened, by_name[entry.contribution.device][0]),
                update=opened,
            )

    people.everywhere(judge, people.validators)
    mean = people.aggregator.tasks.averaged(task, number)
    stated = None if mean is None else average_digest(mean)
    people.aggregator.tasks.settle(task, number, average=stated)
    (payouts,) = people.sponsor.tasks.payouts(task, number)
    counted = [by_name[s.device] for s in payouts.screened if s.excluded is None]
    return counted, None if mean is None else mean.astype(np.float64)


def wait_past(moment: int) -> None:
    """Sleep until the next block is surely later than `moment`; blocks follow the clock."""
    while time.time() <= moment + 1:
        time.sleep(0.1)
