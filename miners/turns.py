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

    def should_seal(
        self, slot: int, miner: Address, miners: Sequence[Address], *, waited_slots: int
    ) -> bool:
        """Whether it is polite too: out of turn only for what a whole round of turns left behind."""
        if self.holder(slot, miners) == miner:
            return True
        return self.may_seal(slot, miner, miners) and waited_slots > self.turn_slots
