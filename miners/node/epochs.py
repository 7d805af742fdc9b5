"""Keeps the fee market's clock going: backlog posts, closing, rebate pages.

Anyone may close and pay; a miner does it because nothing is sealed in an epoch until the one before it is
closed. Posts are each miner's own. The rest is the work of the miner whose turn it is, and of the next one
when that one is gone, so that three miners do not pay for the same transaction three times.
"""

import logging

from miners.node.backlog import Backlog
from miners.node.present import Present
from miners.turns import Turns
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts, OpenEpoch
from registry.chain.sender import Sender
from registry.errors import Rejected

_log = logging.getLogger("miners")
_PAGE = 100


class Epochs:
    """One miner's part in the market's clock."""

    def __init__(self, contracts: Contracts, present: Present, sender: Sender, backlog: Backlog) -> None:
        self._contracts = contracts
        self._present = present
        self._sender = sender
        self._backlog = backlog
        self._due: dict[str, tuple[int, int, int]] = {}

    def keep(self, slot: int, *, has_work: bool) -> bool:
        """Do what the present slot asks for; whether sealing is open in this slot.

        Idle epochs are closed only when there is something to seal: an idle chain makes no blocks.
        """
        slots = self._contracts.params().slots_per_epoch
        state = self._present.open_epoch()
        while True:
            self._pay(slot)
            if state.epoch >= slot // slots:
                return True
            if not self._advance(state, slot, slots, has_work=has_work):
                return False
            state = self._present.open_epoch()

    def _pay(self, slot: int) -> None:
        """Pay the rebates that are due, page by page."""
        rebate = self._present.rebate()
        while rebate.due and self._is_mine("pay", rebate.epoch, rebate.cursor, slot):
            if not self._send("payRebates", rebate.epoch, _PAGE):
                return
            rebate = self._present.rebate()

    def _advance(self, state: OpenEpoch, slot: int, slots: int, *, has_work: bool) -> bool:
        """One step towards closing; False when that has to wait."""
        if not (state.sealed_in or state.sealed_before or state.posted):
            return has_work and self._close_idle(state.epoch, slot, slots)
        miners = self._present.miners()
        posted = state.posted
        if self._sender.address in miners and not self._has_posted(state.epoch):
            posted += self._post(state.epoch, slots)
        is_closable = posted >= len(miners) or slot >= (state.epoch + 1) * slots + self._post_slots
        if not is_closable or not self._is_mine("close", state.epoch, 0, slot):
            return False
        return self._send("close", state.epoch)

    def _close_idle(self, first: int, slot: int, slots: int) -> bool:
        """Close the whole run of idle epochs in one bounded call, as far as posting for it is over."""
        last = slot // slots - 1
        if slot < (last + 1) * slots + self._post_slots:
            last -= 1
        return last >= first and self._is_mine("close", first, 0, slot) and self._send("close", last)

    def _post(self, epoch: int, slots: int) -> bool:
        h, everything = self._backlog.bitmaps(epoch * slots, slots)
        if not self._send("post", epoch, h, everything):
            return False
        # The bits of an epoch are posted once; what still waits carries on by itself.
        self._backlog.forget_before((epoch + 1) * slots)
        return True

    def _has_posted(self, epoch: int) -> bool:
        return bool(self._contracts.read("TwinRegistry", "hasPosted", epoch, self._sender.address))

    @property
    def _post_slots(self) -> int:
        return self._contracts.params().post_slots

    def _is_mine(self, what: str, epoch: int, place: int, slot: int) -> bool:
        """Whether this piece of work is ours, or has waited long enough to become ours."""
        known = self._due.get(what)
        if known is None or known[:2] != (epoch, place):
            known = self._due[what] = (epoch, place, slot)
        params = self._contracts.params()
        turns = Turns(params.turn_slots, params.grace_slots)
        waited = slot - known[2]
        return turns.is_up(slot, self._sender.address, self._present.miners(), waited_slots=waited)

    def _send(self, function: str, *args: int) -> bool:
        payload = encode_call("TwinRegistry", function, args)
        try:
            self._sender.send(self._contracts.address("TwinRegistry"), payload)
        except Rejected as e:
            # Another miner was quicker: what it did is seen at the next look.
            _log.debug("%s%s: %s", function, args, e)
            return False
        self._present.look()
        return True
