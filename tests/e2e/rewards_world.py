"""A task played through a live gateway: devices, validators, an aggregator, each with keys of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from registry.core.ids import keccak, sha256
from registry.core.signing import KeySigner
from registry.sdk import Client
from registry.sdk.tasks import TaskPlan
from registry.wire_rewards import EntryBody, ParametersBody
from registry.wire_tasks import TaskBody

EVALUATION = sha256(b"evaluation set")
WINDOW_S = 2


@dataclass
class Cast:
    """Everybody in a task; `live` is the installation they talk to."""

    live: object
    sponsor: Client
    devices: list[Client]
    validators: list[Client]
    clients: list[Client] = field(default_factory=list)

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def chain_time(self) -> int:
        return self.sponsor.account.show().chain_time

    def wait_past(self, moment: int) -> None:
        """Until a transaction meets a later chain time; blocks follow the clock."""
        wait_until(lambda: time.time() > moment + 1, max(0.0, moment + 2 - time.time()) + 30)


def wait_until(holds: Callable[[], bool], patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def cast(live, label: str, devices: int = 3, validators: int = 3) -> Cast:
    """Admits so many devices and validators of their own names."""
    sponsor = live.client()
    found = Cast(live, sponsor, [], [], [sponsor])
    for role, count, kept in (
        ("device", devices, found.devices),
        ("validator", validators, found.validators),
    ):
        for i in range(count):
            signer = KeySigner(keccak(f"{label} {role} {i}".encode()))
            sponsor.members.add(signer.address, f"{label}-{role}s", [role])
            client = Client(live.url, signer, home=live.home.root)
            kept.append(client)
            found.clients.append(client)
    return found


def parameters(cast_: Cast, **changes: object) -> ParametersBody:
    fields: dict[str, object] = {
        "model": "local/rewarded",
        "validators": [v.address for v in cast_.validators],
    }
    return ParametersBody(**(fields | changes))


def plan(cast_: Cast, mechanism: str = "stackelberg", **changes: object) -> TaskPlan:
    fields: dict[str, object] = {
        "parameters": parameters(cast_),
        "mechanism": mechanism,
        "aggregator": cast_.sponsor.address,
        "rounds": 1,
        "seats": 4,
        "unit": 10**12,
        "bond": 1_000,
        "bids_s": 4,
        "reveals_s": 1,
        "window_s": WINDOW_S,
        "deadline_s": 600,
    }
    return TaskPlan(**(fields | changes))  # type: ignore[arg-type]


def update_of(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=400).astype(np.float32)


def train(cast_: Cast, task: TaskBody, losses: list[int], round_: int = 0) -> list[EntryBody]:
    """Each device contributes an update of its own; every validator measures it at its loss of 10^6."""
    for device, (seed, _) in zip(cast_.devices, enumerate(losses), strict=False):
        digest = sha256(update_of(seed).tobytes())
        device.tasks.contribute(task.task, round_, digest, samples=10 + seed)
    entries = cast_.sponsor.tasks.countersign(task.task, round_)
    by_device = {d.address: i for i, d in enumerate(cast_.devices)}
    for entry in entries:
        i = by_device[entry.contribution.device]  # type: ignore[index]
        for validator in cast_.validators:
            validator.tasks.measure(
                entry, evaluation=EVALUATION, losses=(10**6, losses[i]), update=update_of(i)
            )
    return entries


def settled(cast_: Cast, losses: list[int], **changes: object) -> TaskBody:
    """A Stackelberg task with one settled round whose window is over."""
    task = cast_.sponsor.tasks.create(plan(cast_, **changes))
    cast_.wait_past(task.reveals_until)
    cast_.sponsor.tasks.begin(task.task, 0, EVALUATION)
    train(cast_, task, losses)
    cast_.sponsor.tasks.settle(task.task, 0)
    return cast_.sponsor.tasks.show(task.task)
