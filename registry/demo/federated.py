"""Federated averaging (McMahan et al., 2017) over a lossy uplink.

Each round every device trains the shared twin on its own measurements and sends the difference in float32;
the cell averages what arrived, weighted by samples. A device whose update is lost is absent for that round.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

import numpy as np

from registry.demo.learner import Adam, Samples, Twin, error_db, gradient, samples_of
from registry.demo.radio import Floats, subcarriers
from registry.demo.uplink import Uplink, send, snr
from registry.demo.world import Cell, Track

STRETCHES, HELD_OUT_EVERY = 8, 4
BITS_PER_PARAMETER = 32
LOCAL_STEPS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """A participant: its training rows, the quality of its uplink, and its effort in a round."""

    name: str
    samples: Samples
    uplink_snr: float
    local_steps: int = LOCAL_STEPS


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """The devices of a cell and the rows that no device trains on."""

    devices: tuple[Device, ...]
    held_out: Samples


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a cell trains: at most `rounds`, or until the held-out error is at most `target_db`."""

    rounds: int
    target_db: float = 0.0
    rate: float = 0.01
    uplink: Uplink = field(default_factory=Uplink)


@dataclass(frozen=True, slots=True)
class Round:
    """One round as it went; number 0 is the start, before any training."""

    number: int
    error_db: float
    seconds: float
    retransmissions: int
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Participation:
    """What one device gave: its last update that arrived, and in how many rounds it was there."""

    device: str
    samples: int
    rounds: int
    update_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A trained twin and its history."""

    twin: Twin
    rounds: tuple[Round, ...]
    participants: tuple[Participation, ...]

    @property
    def error_db(self) -> float:
        """The held-out error after the last round."""
        return self.rounds[-1].error_db


class SlopeRule(Protocol):
    """How a device turns its rows into a descent direction; privacy replaces the plain gradient."""

    def __call__(self, twin: Twin, samples: Samples, rng: np.random.Generator, /) -> Floats: ...


def plain_slope(twin: Twin, samples: Samples, _rng: np.random.Generator, /) -> Floats:
    """The exact gradient over all the device's rows."""
    return gradient(twin, samples)


def cohort_of(cell: Cell, tracks: Sequence[Track], uplink: Uplink) -> Cohort:
    """Cut each device's way into eight stretches and hold out the fourth and the last.

    Whole stretches, because a report next to one that was trained on is hardly unseen.
    """
    devices, held = [], []
    per_subcarrier_dbm = cell.layer.transmit_dbm - 10.0 * np.log10(subcarriers(cell.layer.bandwidth_hz))
    for track in tracks:
        rows = samples_of(cell, track)
        is_held = np.arange(len(rows)) * STRETCHES // len(rows) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
        gain = float(np.mean(track.rsrp_dbm[~is_held]) - per_subcarrier_dbm)
        own = Samples(rows.inputs[~is_held], rows.outputs[~is_held])
        devices.append(Device(track.device, own, snr(uplink, gain)))
        held.append(Samples(rows.inputs[is_held], rows.outputs[is_held]))
    inputs, outputs = [h.inputs for h in held], [h.outputs for h in held]
    return Cohort(tuple(devices), Samples(np.concatenate(inputs), np.concatenate(outputs)))


def train_locally(
    twin: Twin, device: Device, schedule: Schedule, slope: SlopeRule, rng: np.random.Generator
) -> Floats:
    """The update of one device: the difference after its local steps, in float32 as it is sent."""
    theta = twin.theta
    adam = Adam(schedule.rate, np.zeros_like(theta), np.zeros_like(theta))
    for _ in range(device.local_steps):
        theta = adam.move(theta, slope(Twin(twin.sizes, theta), device.samples, rng))
    return (theta - twin.theta).astype("<f4").astype(np.float64)


def average(updates: Sequence[Floats], samples: Sequence[int]) -> Floats:
    """The mean update, each weighted by the samples behind it."""
    return np.average(np.stack(updates), axis=0, weights=np.asarray(samples, dtype=np.float64))


def update_digest(update: Floats) -> str:
    """The SHA-256 of an update's float32 little-endian bytes."""
    return "0x" + sha256(update.astype("<f4").tobytes()).hexdigest()


def federate(
    start: Twin,
    cohort: Cohort,
    schedule: Schedule,
    rng: np.random.Generator,
    *,
    slope: SlopeRule = plain_slope,
    on_round: Callable[[Round], None] = lambda _: None,
) -> Training:
    """Train from `start` until the target or the last round; the outcome depends on the arguments alone."""
    twin = start
    rounds = [Round(0, error_db(start, cohort.held_out), 0.0, 0, ())]
    seen: dict[str, Participation] = {}
    while rounds[-1].error_db > schedule.target_db and len(rounds) <= schedule.rounds:
        twin, done, arrived = run_round(twin, cohort, schedule, rng, slope, number=len(rounds))
        for device, update in arrived:
            before = seen[device.name].rounds if device.name in seen else 0
            seen[device.name] = Participation(
                device.name, len(device.samples), before + 1, update_digest(update)
            )
        rounds.append(done)
        on_round(done)
    return Training(twin, tuple(rounds), tuple(seen[name] for name in sorted(seen)))


def run_round(
    twin: Twin,
    cohort: Cohort,
    schedule: Schedule,
    rng: np.random.Generator,
    slope: SlopeRule,
    *,
    number: int,
) -> tuple[Twin, Round, list[tuple[Device, Floats]]]:
    """One round: the averaged twin, how it went, and each update that arrived with its device."""
    arrived: list[tuple[Device, Floats]] = []
    absent, retransmissions, seconds = [], 0, 0.0
    for device in cohort.devices:
        update = train_locally(twin, device, schedule, slope, rng)
        delivery = send(schedule.uplink, BITS_PER_PARAMETER * update.size, device.uplink_snr, rng)
        seconds = max(seconds, delivery.seconds)
        retransmissions += max(delivery.attempts - 1, 0)
        if delivery.has_arrived:
            arrived.append((device, update))
        else:
            absent.append(device.name)
    if arrived:
        mean = average([u for _, u in arrived], [len(d.samples) for d, _ in arrived])
        twin = Twin(twin.sizes, twin.theta + mean)
    done = Round(number, error_db(twin, cohort.held_out), seconds, retransmissions, tuple(absent))
    return twin, done, arrived
