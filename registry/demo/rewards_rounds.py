"""The rounds of a rewarded task: train, contribute, measure, settle, and average what was counted."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from registry.demo.economy import Hiring
from registry.demo.federated import (
    Cohort,
    Participation,
    Round,
    Schedule,
    Training,
    average,
    plain_slope,
    run_round,
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
    hiring: Hiring
    schedule: Schedule
    privacy: Privacy | None
    channel_model: str


def train(people: People, job: Job, task: TaskBody, seed: int, console: Console) -> Training:
    """The rewarded rounds: only what the settlement counts enters the twin."""
    rng = np.random.default_rng([seed, *job.cell.name.encode()])
    twin = draw_twin(np.random.default_rng([seed, 1]))
    held_out = job.cohort.held_out
    rounds = [Round(0, error_db(twin, held_out), 0.0, 0, ())]
    given: dict[str, Participation] = {}
    for number in range(job.schedule.rounds):
        twin, done = _round(people, job, task, twin, rng, given, number)
        rounds.append(done)
        console.print(f"round {number} is settled; the twin errs by {done.error_db:.2f} dB")
    return Training(twin, tuple(rounds), tuple(given[name] for name in sorted(given)))


def _round(
    people: People,
    job: Job,
    task: TaskBody,
    twin: Twin,
    rng: np.random.Generator,
    given: dict[str, Participation],
    number: int,
) -> tuple[Twin, Round]:
    held_out = job.cohort.held_out
    evaluation = sha256(held_out.inputs.tobytes() + held_out.outputs.tobytes()).digest()
    people.aggregator.tasks.begin(task.task, number, evaluation)
    slope = plain_slope if job.privacy is None else noisy_slope(job.privacy)
    _, done, arrived = run_round(twin, job.cohort, job.schedule, rng, slope, number=number + 1)
    updates = {device.name: (device, update) for device, update in arrived}
    for name, (device, update) in updates.items():
        digest = bytes.fromhex(update_digest(update)[2:])
        people.devices[name].tasks.contribute(task.task, number, digest, samples=len(device.samples))
    _measure(people, job, task, twin, {n: u for n, (_, u) in updates.items()}, evaluation, number)
    people.aggregator.tasks.settle(task.task, number)
    (payouts,) = people.sponsor.tasks.payouts(task.task, number)
    counted = [updates[s.device] for s in payouts.screened if s.excluded is None]
    if counted:
        mean = average([u for _, u in counted], [len(d.samples) for d, _ in counted])
        twin = Twin(twin.sizes, twin.theta + mean)
    for device, update in counted:
        before = given[device.name].rounds if device.name in given else 0
        given[device.name] = Participation(
            device.name, len(device.samples), before + 1, update_digest(update)
        )
    return twin, replace(done, error_db=error_db(twin, held_out))


def _measure(
    people: People,
    job: Job,
    task: TaskBody,
    twin: Twin,
    updates: Mapping[str, Floats],
    evaluation: bytes,
    number: int,
) -> None:
    held_out = job.cohort.held_out
    before = int(error_db(twin, held_out) * MICRO)
    entries = people.aggregator.tasks.countersign(task.task, number)

    def judge(validator: "Client") -> None:
        for entry in entries:
            update = updates[entry.contribution.device]
            after = int(error_db(Twin(twin.sizes, twin.theta + update), held_out) * MICRO)
            validator.tasks.measure(
                entry, evaluation=evaluation, losses=(before, after), update=update.astype(np.float32)
            )

    people.everywhere(judge, people.validators)


def wait_past(moment: int) -> None:
    """Sleep until the next block is surely later than `moment`; blocks follow the clock."""
    while time.time() <= moment + 1:
        time.sleep(0.1)
