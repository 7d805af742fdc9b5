"""Keeps the fee market's clock going: backlog posts, closing, rebate pages.

Anyone may close and pay; a miner does it because nothing is sealed in an epoch until the one before it is
closed. Another miner may be quicker: what it did is seen, and its refusal of ours is no error.
"""

import logging
from dataclasses import dataclass, field

from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.sender import Sender
from registry.errors import Rejected

_log = logging.getLogger("miners")
_PAGE = 100


@dataclass(slots=True)
class Backlog:
    """Slots in which eligible items were left pending, by class; the last look at a slot counts."""

    h: dict[int, bool] = field(default_factory=dict)
    any: dict[int, bool] = field(default_factory=dict)

    def note(self, slot: int, *, is_h_left: bool, is_any_left: bool) -> None:
        """Remember how a slot ended, as far as it has."""
        self.h[slot] = is_h_left
        self.any[slot] = is_any_left

    def bitmaps(self, first: int, slots: int) -> tuple[int, int]:
        """Bit i says whether slot first + i had H pending, or anything."""
        h = sum(1 << i for i in range(slots) if self.h.get(first + i))
        everything = sum(1 << i for i in range(slots) if self.any.get(first + i))
        return h, everything | h

    def forget_before(self, slot: int) -> None:
        """Epochs that are closed need no bitmap any more."""
        self.h = {at: left for at, left in self.h.items() if at >= slot}
        self.any = {at: left for at, left in self.any.items() if at >= slot}


class Epochs:
    """One miner's part in the market's clock."""

    def __init__(self, contracts: Contracts, sender: Sender) -> None:
        self._contracts = contracts
        self._sender = sender
        self.backlog = Backlog()

    def keep(self, slot: int, *, has_work: bool) -> bool:
        """Do what the present slot asks for; whether sealing is open in this slot.

        Idle epochs are closed only when there is something to seal: an idle chain makes no blocks.
        """
        slots = self._contracts.params().slots_per_epoch
        epoch = slot // slots
        state = self._contracts.open_epoch()
        while state.epoch < epoch:
            if not (has_work or state.sealed_in or state.sealed_before):
                return False
            is_open = self._step(
                state.epoch, slot, slots, is_idle=not (state.sealed_in or state.sealed_before)
            )
            if not is_open:
                return False
            state = self._contracts.open_epoch()
        return True

    def _step(self, open_epoch: int, slot: int, slots: int, *, is_idle: bool) -> bool:
        """One step towards closing; False when that has to wait."""
        rebate = self._contracts.rebate()
        if rebate.due:
            return self._send("payRebates", rebate.epoch, _PAGE)
        if is_idle:
            # One bounded call closes the whole run of idle epochs up to the one before this.
            return self._send("close", slot // slots - 1)
        if not self._contracts.read("TwinRegistry", "hasPosted", open_epoch, self._sender.address):
            h, everything = self.backlog.bitmaps(open_epoch * slots, slots)
            if not self._send("post", open_epoch, h, everything):
                return False
            self.backlog.forget_before(open_epoch * slots)
        return self._send("close", open_epoch)

    def _send(self, function: str, *args: int) -> bool:
        payload = encode_call("TwinRegistry", function, args)
        try:
            self._sender.send(self._contracts.address("TwinRegistry"), payload)
        except Rejected as e:
            _log.debug("%s%s: %s", function, args, e)
            return False
        return True
