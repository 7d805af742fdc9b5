"""A submission's life, decided purely: can it be sealed now, and which state is it in.

waiting ⇄ pending → sealed → final       sealed → pending when its block is reorganised away
      ↘         ↘ rejected | expired | cancelled → pending when it is submitted anew
"""

from dataclasses import dataclass
from enum import StrEnum

from registry.core.ids import Status, VersionId, hex32
from registry.core.version import Submission


class State(StrEnum):
    """Where a submission stands."""

    PENDING = "pending"
    WAITING = "waiting"  # something that it needs is not there yet; it blocks nobody
    SEALED = "sealed"
    FINAL = "final"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OnChain:
    """A version's record on chain: its status, and when that was written or the version sealed."""

    status: Status
    time: int


def why_not_eligible(
    submission: Submission, *, price: int, free: int, missing: int, open_parents: tuple[VersionId, ...]
) -> str | None:
    """Why an admitted item cannot be sealed now, or None: then it is queued, served and counted.

    `free` is the member's escrow after everything of that member ahead of it, `missing` counts bytes or files
    that are not held and checked, `open_parents` are neither sealed nor earlier in the batch.
    """
    if missing:
        return f"{missing} of its files are not held yet"
    if open_parents:
        return f"its parent {hex32(open_parents[0])} is not sealed yet"
    if submission.max_price < price:
        return f"its max_price {submission.max_price} is below the menu's {price}"
    if free < submission.version.size * price:
        return f"its member's free escrow of {free} wei does not cover it"
    return None


def present_state(
    submission: Submission, *, now: int, record: OnChain | None, final: bool, refused: bool, eligible: bool
) -> State:
    """The state that follows from the chain, the clock and the pool, in this order of authority."""
    if record is not None and record.status != Status.CANCELLED:
        return State.FINAL if final else State.SEALED
    if record is not None and submission.issued_at <= record.time:
        return State.CANCELLED
    if refused:
        return State.REJECTED
    if now > submission.deadline:
        return State.EXPIRED
    return State.PENDING if eligible else State.WAITING
