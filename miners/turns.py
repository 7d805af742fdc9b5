"""Whose turn it is: miners[(slot / turn_slots) mod M] seals alone for the first grace_slots of its turn."""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.core.ids import Address


@dataclass(frozen=True, slots=True)
class Turns:
    """The constants of turn-taking (protocol.md 2)."""

    turn_slots: int
    grace_slots: int

    def holder(self, slot: int, miners: Sequence[Address]) -> Address | None:
        """The miner whose turn a slot is, None without miners."""
        return miners[slot // self.turn_slots % len(miners)] if miners else None

    def is_exclusive(self, slot: int) -> bool:
        """Whether only the holder may seal in this slot."""
        return slot % self.turn_slots < self.grace_slots

    def may_seal(self, slot: int, miner: Address, miners: Sequence[Address]) -> bool:
        """Whether the contract would let this miner seal."""
        return miner in miners and (not self.is_exclusive(slot) or self.holder(slot, miners) == miner)

    def is_up(self, slot: int, miner: Address, miners: Sequence[Address], *, waited_slots: int) -> bool:
        """Whether work that waited so long is this miner's: the holder's, then the next one's, and so on.

        Each has a whole turn before the next: a miner that is gone is stood in for by one other at a time.
        Behind other work nothing waits while that is sealed: a long queue is no sign that somebody is gone.
        """
        if miner not in miners:
            return False
        behind = (miners.index(miner) - slot // self.turn_slots) % len(miners)
        return behind == 0 or waited_slots > self.turn_slots * behind

    def should_seal(self, slot: int, miner: Address, miners: Sequence[Address], *, waited_slots: int) -> bool:
        """Whether the contract would let it and it is its work."""
        may = self.may_seal(slot, miner, miners)
        return may and self.is_up(slot, miner, miners, waited_slots=waited_slots)


class Patience:
    """How long one miner waits for what others have on their way, because it may seal the same items."""

    def __init__(self) -> None:
        self._since: int | None = None

    def waits(self, slot: int, is_another_sending: bool, most_slots: int) -> bool:
        """Whether to wait on; who always has something on its way stops nobody for longer than this."""
        if not is_another_sending:
            self._since = None
            return False
        if self._since is None:
            self._since = slot
        return slot - self._since < most_slots
