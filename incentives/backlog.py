"""Measuring a waiting externality from what lies pending at the end of each slot [R].

Remove one included byte and one waiting byte moves up in each following slot until nothing is left
waiting: the length of that run prices the byte. By Mecke's formula its mean over included bytes is the
waiting tax of `fwt.py`, so no arrival time is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.errors import Malformed


@dataclass(frozen=True, slots=True)
class Pending:
    """One slot's two bits of a miner's post: priority items pending, anything pending."""

    high: bool
    any: bool

    def __post_init__(self) -> None:
        if self.high and not self.any:
            raise Malformed("a slot with priority items pending has something pending", field="post")


@dataclass(frozen=True, slots=True)
class SealedBytes:
    """Bytes of each class that one slot sealed."""

    high: int
    low: int


@dataclass(frozen=True, slots=True)
class Delay:
    """What a byte of some slot delayed: slots of class-H waiting behind it, slots of any waiting."""

    run_high: int
    run_all: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Externalities in wei per byte, floored; `high_on_high` + `high_on_low` is `high` up to one floor."""

    high: int
    low: int
    high_on_high: int
    high_on_low: int


@dataclass(frozen=True, slots=True)
class DelayCosts:
    """gH > gL: wei per byte and slot of waiting; runs are cut at `run_cap`."""

    high: int
    low: int
    run_cap: int


def runs(pending: Sequence[Pending], run_cap: int) -> list[Delay]:
    """For each slot how long waiting goes on unbroken from it, at most `run_cap`.

    >>> runs([Pending(False, True), Pending(False, True), Pending(False, False)], run_cap=9)
    [Delay(run_high=0, run_all=2), Delay(run_high=0, run_all=1), Delay(run_high=0, run_all=0)]
    """
    found: list[Delay] = []
    high = every = 0
    for slot in reversed(pending):
        high = min(run_cap, 1 + high) if slot.high else 0
        every = min(run_cap, 1 + every) if slot.any else 0
        found.append(Delay(high, every))
    found.reverse()
    return found


def estimate(
    sealed: Sequence[SealedBytes], pending: Sequence[Pending], following: Sequence[Pending], costs: DelayCosts
) -> Estimate:
    """The mean externality of the bytes of one epoch; runs are read on through the `following` epoch.

    ext_H = gH run_H + gL (run_A - min(run_H, run_A)), ext_L = gL run_A, weighted by included bytes. A class
    without bytes takes the plain mean, so a price that emptied a class can come down again.
    """
    delays = runs([*pending, *following], costs.run_cap)[: len(sealed)]
    on_high = [costs.high * d.run_high for d in delays]
    on_low = [costs.low * (d.run_all - min(d.run_high, d.run_all)) for d in delays]
    low = [costs.low * d.run_all for d in delays]
    both = [a + b for a, b in zip(on_high, on_low, strict=True)]
    high_bytes, low_bytes = [s.high for s in sealed], [s.low for s in sealed]
    return Estimate(
        high=_weighted_floor(both, high_bytes),
        low=_weighted_floor(low, low_bytes),
        high_on_high=_weighted_floor(on_high, high_bytes),
        high_on_low=_weighted_floor(on_low, high_bytes),
    )


def _weighted_floor(values: Sequence[int], weights: Sequence[int]) -> int:
    total = sum(weights)
    if total:
        return sum(v * w for v, w in zip(values, weights, strict=True)) // total
    return sum(values) // len(values) if values else 0


def lower_median(values: Sequence[int]) -> int:
    """The largest value that more than half of the views do not fall below; a tie of halves goes down.

    >>> lower_median([9, 0, 4]), lower_median([9, 4])
    (4, 4)
    """
    return sorted(values)[(len(values) - 1) // 2]
