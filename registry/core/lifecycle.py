"""A submission's life, decided purely: which state is it in.

waiting ⇄ pending → sealed → final       sealed → pending when its block is reorganised away
      ↘         ↘ rejected | expired | cancelled → pending when it is submitted anew
"""

from dataclasses import dataclass
from enum import StrEnum

from registry.core.ids import Status
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
