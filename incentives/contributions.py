"""How good an update was, and whether it counts: rules on signed integers (protocol.md 5).

Accuracy is the lower median over at least three validators other than the device and the aggregator. An
update is left out when it is a copy of an earlier one, nearly one (free riding), next to nothing, or far
longer than the others (poisoning). Every rule is a function of stated integers, so anyone excludes the same.

>>> lower_median([7, 3, 9, 5])
5
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from incentives.stackelberg import theta_ppm
from registry.core.ids import Address, address_bytes
from registry.errors import Malformed

PPM = 1_000_000
MICRO = 1_000_000
LEAST_VALIDATORS = 3
SKETCH_BITS = 256
_PIECE = 4096


class Exclusion(StrEnum):
    """Why an update does not count."""

    UNMEASURED = "fewer than three independent validators measured it"
    EMPTY = "it changes nothing"
    DUPLICATE = "another device sent the same bytes before"
    NEAR_DUPLICATE = "it points where an earlier update points"
    NORM_OUTLIER = "its norm is far above the median"
    REPUTATION = "the device's reputation is below the task's threshold"
    NOT_HIRED = "the mechanism did not hire the device"


@dataclass(frozen=True, slots=True)
class Rules:
    """A task's thresholds: sketch bits that may differ in a near-duplicate, and norm over median in ppm."""

    near_bits: int = 16
    norm_limit_ppm: int = 3_000_000

    def __post_init__(self) -> None:
        if not 0 <= self.near_bits < SKETCH_BITS // 2 or self.norm_limit_ppm < PPM:
            raise Malformed(
                f"{self.near_bits} sketch bits are not within 0 and {SKETCH_BITS // 2 - 1}, or a norm limit "
                f"of {self.norm_limit_ppm} ppm is below the median itself"
            )


@dataclass(frozen=True, slots=True)
class Stated:
    """What one validator stated of one update."""

    validator: Address
    loss_before: int
    loss_after: int
    norm: int
    sketch: bytes


@dataclass(frozen=True, slots=True)
class Update:
    """One device's update of a round, as it was committed and measured."""

    device: Address
    sha256: bytes
    issued_at: int
    stated: tuple[Stated, ...]


@dataclass(frozen=True, slots=True)
class Screened:
    """What became of one update: its accuracy, or why it does not count."""

    device: Address
    theta: int
    exclusion: Exclusion | None


def lower_median(values: Sequence[int]) -> int:
    """The middle value; of two middle ones the lower, so that it is a value somebody stated."""
    if not values:
        raise Malformed("nothing has no median")
    return sorted(values)[(len(values) - 1) // 2]


def screen(
    updates: Sequence[Update], rules: Rules, validators: Sequence[Address], aggregator: Address
) -> tuple[Screened, ...]:
    """Every update's accuracy or exclusion, by device address.

    An earlier update is one with a smaller (issued_at, device); what is excluded for another reason still
    counts as earlier, because a copy of a bad update is no better.
    """
    named = frozenset(validators)
    judged = {
        u.device: [s for s in u.stated if s.validator in named - {u.device, aggregator}] for u in updates
    }
    heard = {device: stated for device, stated in judged.items() if len(stated) >= LEAST_VALIDATORS}
    norms = {device: lower_median([s.norm for s in stated]) for device, stated in heard.items()}
    sketches = {device: _agreed(stated) for device, stated in heard.items()}
    usual = lower_median([n for n in norms.values() if n]) if any(norms.values()) else 0
    found, earlier = [], list[Update]()
    for update in sorted(updates, key=lambda u: (u.issued_at, address_bytes(u.device))):
        reason = _exclusion(update, earlier, rules, norms, sketches, usual)
        theta = PPM if update.device not in heard else _theta(heard[update.device])
        found.append(Screened(update.device, theta, reason))
        earlier.append(update)
    return tuple(sorted(found, key=lambda s: address_bytes(s.device)))


def _exclusion(
    update: Update,
    earlier: Sequence[Update],
    rules: Rules,
    norms: Mapping[Address, int],
    sketches: Mapping[Address, int],
    usual: int,
) -> Exclusion | None:
    if any(update.sha256 == other.sha256 for other in earlier):
        return Exclusion.DUPLICATE
    if update.device not in norms:
        return Exclusion.UNMEASURED
    norm, sketch = norms[update.device], sketches[update.device]
    if norm == 0:
        return Exclusion.EMPTY
    if norm * PPM > rules.norm_limit_ppm * usual:
        return Exclusion.NORM_OUTLIER
    others = (sketches[o.device] for o in earlier if norms.get(o.device))
    if any((sketch ^ other).bit_count() <= rules.near_bits for other in others):
        return Exclusion.NEAR_DUPLICATE
    return None


def _theta(stated: Sequence[Stated]) -> int:
    return lower_median([theta_ppm(loss_before=s.loss_before, loss_after=s.loss_after) for s in stated])


def _agreed(stated: Sequence[Stated]) -> int:
    """The sketch that most state, the smaller of two: one liar among three changes nothing."""
    sketches = [int.from_bytes(s.sketch, "big") for s in stated]
    return min(set(sketches), key=lambda s: (-sketches.count(s), s))


def norm_micro(update: NDArray[np.float32]) -> int:
    """The L2 norm in micro-units, floored, on values rounded to micro-units: the same on every machine."""
    return math.isqrt(sum(v * v for v in _micro(update).tolist()))


def sketch(update: NDArray[np.float32]) -> bytes:
    """256 signs of sums of the update's values under fixed pseudo-random signs (SimHash).

    The share of differing bits of two sketches tends to angle / pi, so copies with a little noise agree in
    nearly all of them and independent updates in about half.
    """
    whole = _micro(update)
    sums = np.zeros(SKETCH_BITS, dtype=np.int64)
    for start in range(0, len(whole), _PIECE):
        piece = whole[start : start + _PIECE]
        name = b"TwinLedger sketch" + start.to_bytes(8, "big")
        raw = np.frombuffer(hashlib.shake_256(name).digest(len(piece) * SKETCH_BITS // 8), dtype=np.uint8)
        signs = np.unpackbits(raw).reshape(len(piece), SKETCH_BITS)
        # Integer sums: no order of additions can change a sign.
        sums += piece @ (2 * signs.astype(np.int64) - 1)
    return np.packbits(sums > 0).tobytes()


def _micro(update: NDArray[np.float32]) -> NDArray[np.int64]:
    flat = np.asarray(update, dtype=np.float64).ravel()
    if not np.all(np.isfinite(flat)):
        raise Malformed("an update with NaN or infinity has no norm")
    return np.asarray(np.rint(np.clip(flat, -1e6, 1e6) * MICRO), dtype=np.int64)
