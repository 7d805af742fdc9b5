"""Proofs of storage: after each epoch every miner looks whether the others hold what they are paid for.

Each miner has to show one block of one version, drawn by the epoch's beacon. Who answers without it failed;
who does not answer is absent, and keeps his bond. A verdict is given in the second half of the audit only, so
that a restart or a slow pin frames nobody; and only on blocks that enough others can show.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from miners.node.challenge import leaf_of, pick
from miners.node.peers import Peer
from miners.node.sight import Sight
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.sender import Sender
from registry.core.cid import Cid, manifest_cid, weights_cid
from registry.core.ids import Address
from registry.errors import NotFound, RegistryError, Rejected, Unavailable, VerificationFailed
from registry.storage.base import ContentStore

_log = logging.getLogger("miners")


class Verdict(IntEnum):
    """As StorageMarket counts them."""

    NONE = 0
    FAILED = 1
    ABSENT = 2
    ANSWERED = 3


@dataclass(frozen=True, slots=True)
class _Running:
    """An audit between its beacon and its end."""

    epoch: int
    beacon_slot: int
    miners: tuple[Address, ...]


class Audits:
    """One miner as an auditor of the others, and as a claimant of its own credits."""

    def __init__(
        self,
        contracts: Contracts,
        sender: Sender,
        sight: Sight,
        store: ContentStore,
        peers: Mapping[Address, Peer],
    ) -> None:
        self._contracts = contracts
        self._sender = sender
        self._sight = sight
        self._store = store
        self._peers = peers
        self._audit_slots: int | None = None
        self._retention = 0
        self._seen_epoch = -1
        self._running: list[_Running] = []
        self._absent: set[tuple[int, Address]] = set()
        self._silent: set[Address] = set()
        self._worthless: set[int] = set()
        self._next_look = 0
        self._next_claim = 0
        self._next_lift = 0

    def keep(self, slot: int) -> None:
        """Attest what is due in this slot, lift what can be lifted, and claim what is settled."""
        if not self._sight.remember():
            return
        if self._audit_slots is None:
            self._audit_slots = int(self._contracts.read("StorageMarket", "auditSlots"))
            self._retention = int(self._contracts.read("StorageMarket", "retentionEpochs"))
            self._recall()
        if slot < self._next_look:
            return
        self._next_look = slot + 1
        self._silent.clear()
        self._begin(self._audit_slots, slot)
        for audit in list(self._running):
            if slot > audit.beacon_slot + self._audit_slots:
                self._running.remove(audit)
            elif slot >= audit.beacon_slot + self._audit_slots // 2:
                self._running.remove(audit)
                self._judge(audit)
        self._lift(slot)
        if slot >= self._next_claim:
            self._claim(slot)

    def _begin(self, audit_slots: int, slot: int) -> None:
        """Take up the audits of epochs that were closed since the last look."""
        open_epoch = self._contracts.open_epoch().epoch
        oldest = slot // self._contracts.params().slots_per_epoch - 2 - audit_slots
        for epoch in range(max(self._seen_epoch + 1, oldest, 0), open_epoch):
            beacon_slot, is_drawn, _beacon = self._contracts.read("StorageMarket", "audit", epoch)
            if is_drawn and slot <= beacon_slot + audit_slots:
                self._running.append(_Running(epoch, beacon_slot, self._roster_of(epoch)))
        self._seen_epoch = max(self._seen_epoch, open_epoch - 1)

    def _judge(self, audit: _Running) -> None:
        if self.address not in audit.miners:
            return
        for miner in audit.miners:
            if miner == self.address:
                continue
            leaf = self._leaf(audit.epoch, miner)
            verdict = Verdict.NONE if leaf is None else self._look(miner, leaf)
            if leaf is None or verdict is Verdict.NONE:
                continue
            shown_by = self._shown_by(audit.miners, miner, leaf)
            _log.warning("%s is %s on %s of epoch %d", miner, verdict.name.lower(), leaf, audit.epoch)
            if self._attest(audit.epoch, miner, verdict, shown_by) and verdict is Verdict.ABSENT:
                self._absent.add((audit.epoch, miner))

    def _lift(self, slot: int) -> None:
        """Whoever was absent and answers again gets its credits; asked once a turn."""
        if slot < self._next_lift:
            return
        self._next_lift = slot + self._contracts.params().turn_slots
        for epoch, miner in sorted(self._absent):
            verdict = self._verdict(epoch, miner)
            if verdict is Verdict.ABSENT:
                leaf = self._leaf(epoch, miner)
                if leaf is None or self._look(miner, leaf) is not Verdict.NONE:
                    continue
                self._attest(epoch, miner, Verdict.ANSWERED, 0)
                self._absent.discard((epoch, miner))
            elif verdict is not Verdict.NONE or not self._is_audited_at(epoch, slot):
                self._absent.discard((epoch, miner))

    def _claim(self, slot: int) -> None:
        """Collect credits whose audit is over, and withdraw them into the miner's coin.

        Once in a few epochs: every transaction takes a block, and on a small chain that is a slot.
        """
        params = self._contracts.params()
        self._next_claim = slot + params.turn_slots
        settled = {epoch: wei for epoch in self._sight.uncollected(self.address) if (wei := self._due(epoch))}
        claimed = dict(list(settled.items())[:_PAGE])
        if claimed and self._send("TwinRegistry", "collect", self.address, list(claimed)):
            self._send("TwinRegistry", "withdraw", sum(claimed.values()))
            self._next_claim = slot + _CLAIM_EPOCHS * params.slots_per_epoch

    def _due(self, epoch: int) -> int:
        """What may be collected of an epoch now, in wei."""
        if epoch > self._seen_epoch or epoch in self._worthless:
            return 0
        wei = int(self._contracts.read("TwinRegistry", "creditOf", self.address, epoch))
        if wei == 0:
            self._worthless.add(epoch)
            return 0
        return wei if self._contracts.read("StorageMarket", "isSettled", epoch, self.address) else 0

    def _recall(self) -> None:
        """After a restart: whose absence of the past is still to be lifted."""
        for miner in self._peers:
            for epoch in self._sight.uncollected(miner)[-_RECALLED:]:
                if self._verdict(epoch, miner) is Verdict.ABSENT:
                    self._absent.add((epoch, miner))

    @property
    def address(self) -> Address:
        """Who audits."""
        return self._sender.address

    def _leaf(self, epoch: int, miner: Address) -> Cid | None:
        """The block that a miner has to show for an epoch; None when there is none, or we lack it too."""
        kept = self._sight.kept_by(miner, after=epoch - self._retention, through=epoch)
        if not kept:
            return None
        challenge: bytes = self._contracts.read("StorageMarket", "challengeOf", epoch, miner)
        version = pick(challenge, kept)
        roots = (manifest_cid(version.manifest), weights_cid(version.weights_root))
        try:
            return leaf_of(challenge, roots, self._store.block)
        except (NotFound, VerificationFailed):
            return None

    def _look(self, miner: Address, leaf: Cid) -> Verdict:
        """NONE when the miner shows the block, else what is wrong with it.

        Who is silent is waited for once in a slot: nothing is sealed here meanwhile.
        """
        peer = self._peers.get(miner)
        if peer is None:
            return Verdict.NONE  # nobody told us where it is: that is not its fault
        if miner in self._silent:
            return Verdict.ABSENT
        try:
            peer.block(leaf)
        except Unavailable:
            self._silent.add(miner)
            return Verdict.ABSENT
        except RegistryError:
            return Verdict.FAILED
        return Verdict.NONE

    def _shown_by(self, miners: Sequence[Address], audited: Address, leaf: Cid) -> int:
        """One bit per roster miner, the audited one aside, that holds the block."""
        shown = 0
        for place, miner in enumerate(miners):
            if miner == self.address:
                shown |= self._holds(leaf) << place
            elif miner != audited and miner in self._peers:
                shown |= (self._look(miner, leaf) is Verdict.NONE) << place
        return shown

    def _holds(self, leaf: Cid) -> bool:
        try:
            self._store.block(leaf)
        except (NotFound, VerificationFailed):
            return False
        return True

    def _roster_of(self, epoch: int) -> tuple[Address, ...]:
        """The miners of a closed epoch in roster order: bit i of `shownBy` is the i-th of them."""
        _h, _l, roster_id = self._contracts.read("TwinRegistry", "epochTotals", epoch)
        places = {
            miner: self._contracts.read("TwinRegistry", "placeOf", roster_id, miner)[0]
            for miner in {*self._peers, self.address}
        }
        size = int(self._contracts.read("TwinRegistry", "rosterSize", roster_id))
        by_place = {place: miner for miner, place in places.items() if place}
        return tuple(by_place.get(place, _UNKNOWN) for place in range(1, size + 1))

    def _verdict(self, epoch: int, miner: Address) -> Verdict:
        return Verdict(self._contracts.read("StorageMarket", "verdictOf", epoch, miner))

    def _is_audited_at(self, epoch: int, slot: int) -> bool:
        beacon_slot, _drawn, _beacon = self._contracts.read("StorageMarket", "audit", epoch)
        return slot <= int(beacon_slot) + (self._audit_slots or 0)

    def _attest(self, epoch: int, miner: Address, verdict: Verdict, shown_by: int) -> bool:
        return self._send("StorageMarket", "attest", epoch, miner, int(verdict), shown_by)

    def _send(self, contract: str, function: str, *args: object) -> bool:
        try:
            self._sender.send(self._contracts.address(contract), encode_call(contract, function, args))
        except Rejected as e:
            _log.debug("%s%s: %s", function, args, e)
            return False
        return True


_PAGE = 50
_RECALLED = 200
_CLAIM_EPOCHS = 4
_UNKNOWN = Address("0x" + "0" * 40)
