"""The loop of one miner."""

import logging
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from miners.node.audits import Audits
from miners.node.backlog import Backlog
from miners.node.epochs import Epochs
from miners.node.holdings import Holdings
from miners.node.peers import Peer
from miners.node.present import Present
from miners.node.sight import Sight
from miners.node.source import Source
from miners.selection import Item, Selection, Shares, select
from miners.turns import Patience, Turns
from registry.chain.base import Receipt
from registry.chain.events import event_topic
from registry.chain.gateway import Contracts
from registry.chain.seal import encode_seal, item_size
from registry.chain.sender import Sender
from registry.core.ids import Address, FeeClass, Role, Status, VersionId
from registry.core.signing import Signer
from registry.errors import RegistryError, Rejected
from registry.pool import Entry
from registry.storage.base import ContentStore

_log = logging.getLogger("miners")
_PENDING = 2_000
_GAS_PER_ITEM = 160_000
_GAS_BASE = 500_000
_ASIDE_SLOTS = 8
_PARENTS = 100_000
_SEALED = 50_000
MAX_WINDOW_S = 86_400
_NO_PEERS: Mapping[Address, Peer] = MappingProxyType({})


class MinerNode:
    """One miner: its key, its store, and the gateway whose pool it serves."""

    def __init__(
        self,
        contracts: Contracts,
        signer: Signer,
        store: ContentStore,
        source: Source,
        *,
        poll_s: float = 0.2,
        peers: Mapping[Address, Peer] = _NO_PEERS,
    ) -> None:
        self._contracts = contracts
        self._sender = Sender(contracts.link, signer)
        self._source = source
        self._poll_s = poll_s
        self.store = store
        self._holdings = Holdings(store, source, contracts.domain)
        self._sight = Sight(contracts)
        self._present = Present(contracts)
        self._shares = Shares()
        self._backlog = Backlog()
        self._epochs = Epochs(contracts, self._present, self._sender, self._backlog)
        others = {address: peer for address, peer in peers.items() if address != signer.address}
        self._audits = Audits(contracts, self._sender, self._sight, store, others)
        self._sealed: dict[VersionId, int] = {}
        self._served_slot = 0
        self._patience = Patience()
        self._aside: dict[VersionId, int] = {}
        self._parents: set[VersionId] = set()

    @property
    def address(self) -> Address:
        """Who this miner is on chain."""
        return self._sender.address

    def run(self, stop: threading.Event) -> None:
        """Mine until told to stop; a chain or gateway that is away is waited for."""
        while not stop.is_set():
            try:
                sealed = self.step()
            except RegistryError as e:
                _log.warning("miner %s waits: %s", self.address, e)
                stop.wait(1.0)
                continue
            if not sealed:
                waited_for = self._holdings if self._holdings.is_fetching else self._source
                waited_for.wait(self._poll_s)
        self.close()

    def step(self) -> int:
        """Look once; answers how many items were sealed."""
        pending = self._source.pending(_PENDING)
        now = self._look(pending)
        slot = self._contracts.slot_at(now)
        entries = [entry for entry in pending if self._is_due(entry, now, slot)]
        self._holdings.want(entries)
        self._holdings.forget({entry.version_id for entry in entries})
        selection = self._select(entries)
        self._backlog.see(slot, _classes(entries, selection), self._sealed)
        before = self._present.menu() if entries else None
        is_open = self._epochs.keep(slot, has_work=bool(entries))
        self._audits.keep(slot)
        if not is_open or not entries:
            return 0
        if self._present.menu() != before:
            before = self._present.menu()
            selection = self._select(entries)  # an epoch was closed: other prices, other items
        if not selection.batch or not self._is_my_turn(slot, selection.batch):
            return 0
        self._look(pending)
        if self._present.menu() != before or not self._sealed.keys().isdisjoint(selection.batch):
            return 0  # the miner before us was quicker while we looked
        return self._seal(_in_order(entries, selection.batch), slot)

    def settle(self, timeout_s: float) -> None:
        """Wait until what is being fetched is here or given up."""
        self._holdings.settle(timeout_s)

    def close(self) -> None:
        """Stop fetching."""
        self._holdings.close()

    def _look(self, pending: Sequence[Entry]) -> int:
        """Take in what the chain says of these, not a pool; answers the time that it is there."""
        head = self._present.look()
        now = self._contracts.link.time_after(head)
        restarts, found = self._sight.restarts, self._sight.look(head)
        if self._sight.restarts != restarts:
            # Another chain: what was sealed may have to be sealed again.
            self._sealed.clear()
            self._parents.clear()
            self._source.restart()
        if found:
            # Now, not the slot of the block: making it may have taken longer than a turn.
            self._served_slot = self._contracts.slot_at(now)
        for sealed in found:
            self._sealed[sealed.version_id] = sealed.slot
            self._remember(sealed.version_id)
            self._shares.serve((sealed.fee_class, sealed.namespace_id), sealed.size)
        self._source.forget([sealed.version_id for sealed in found])
        # A gateway may show an item for the first time after it was sealed: it is not forgotten soon.
        while len(self._sealed) > _SEALED and not self._backlog.waits(oldest := next(iter(self._sealed))):
            del self._sealed[oldest]
        known = {entry.version_id for entry in pending}
        self._aside = {v: slot for v, slot in self._aside.items() if v in known}
        return now

    def _is_due(self, entry: Entry, now: int, slot: int) -> bool:
        if entry.version_id in self._sealed or self._aside.get(entry.version_id, slot) > slot:
            return False
        terms = entry.submission
        cancelled = self._sight.cancelled_at(entry.version_id)
        if cancelled is not None and terms.issued_at <= cancelled:
            return False
        # What the contract would never take is not even fetched.
        is_takeable = 0 < terms.version.size <= self._contracts.params().max_item_bytes
        is_takeable = is_takeable and terms.deadline <= terms.issued_at + MAX_WINDOW_S
        return is_takeable and terms.deadline >= now >= terms.issued_at

    def _select(self, entries: Sequence[Entry]) -> Selection:
        held = [entry for entry in entries if self._holdings.is_held(entry)]
        submitters = {entry.submission.version.submitter for entry in held}
        parents = {parent for entry in held for parent in entry.submission.version.parents}
        accounts = {address: self._present.account(address) for address in submitters}
        namespaces = {
            address: account.namespace_id
            for address, account in accounts.items()
            if Role.SUBMITTER in account.roles
        }
        items = [_item(entry) for entry in held if _may_submit(entry, namespaces)]
        self._shares.wait({item.share for item in items})
        if not items:
            return Selection((), is_h_left=False, is_l_left=False)
        menu = self._present.menu()
        return select(
            items,
            prices={fee_class: menu.price(fee_class) for fee_class in FeeClass},
            escrow={address: account.balance for address, account in accounts.items()},
            sealed=[parent for parent in parents if self._is_sealed(parent)],
            budget=self._contracts.budget(),
            served=self._shares.served,
        )

    def _is_sealed(self, version_id: VersionId) -> bool:
        if version_id in self._parents:
            return True
        record = self._contracts.record(version_id)
        if record is None or record.status not in (Status.ACTIVE, Status.DEPRECATED):
            return False
        self._remember(version_id)
        return True

    def _remember(self, parent: VersionId) -> None:
        if len(self._parents) >= _PARENTS:
            self._parents.clear()
        self._parents.add(parent)

    def _is_my_turn(self, slot: int, batch: Sequence[VersionId]) -> bool:
        params = self._contracts.params()
        turns = Turns(params.turn_slots, params.grace_slots)
        miners = self._present.miners()
        since = self._backlog.since(batch)
        waited = 0 if since is None else slot - max(since, self._served_slot)
        if not turns.should_seal(slot, self.address, miners, waited_slots=waited):
            return False
        is_another_sending = self._is_another_sending(miners)
        return not self._patience.waits(slot, is_another_sending, params.turn_slots * len(miners))

    def _is_another_sending(self, miners: Sequence[Address]) -> bool:
        """Whether another miner's transaction is on its way, which may seal the same items."""
        link = self._contracts.link
        others = (miner for miner in miners if miner != self.address)
        return any(link.nonce(miner) > link.mined_nonce(miner) for miner in others)

    def _seal(self, batch: Sequence[Entry], slot: int) -> int:
        payload = encode_seal([entry.submission for entry in batch], [entry.signature for entry in batch])
        try:
            receipt = self._sender.send(
                self._contracts.address("TwinRegistry"),
                payload,
                gas=_GAS_BASE + _GAS_PER_ITEM * len(batch),
            )
        except Rejected as e:
            # The slot turned, or another miner closed the epoch meanwhile: the next look decides anew.
            _log.debug("seal of %d items: %s", len(batch), e)
            return 0
        refused = _refused(receipt)
        self._aside.update((version_id, slot + _ASIDE_SLOTS) for version_id in refused)
        # A parent may have been revoked since it was read.
        self._parents.difference_update(p for e in batch if e.version_id in refused for p in _parents(e))
        _log.info("sealed %d items in block %d", len(batch) - len(refused), receipt.block_number)
        return len(batch) - len(refused)


def _item(entry: Entry) -> Item:
    version = entry.submission.version
    return Item(
        version_id=entry.version_id,
        submitter=version.submitter,
        fee_class=entry.submission.fee_class,
        max_price=entry.submission.max_price,
        size=version.size,
        parents=version.parents,
        calldata=item_size(len(version.parents)),
        is_held=True,
        namespace_id=version.namespace_id,
    )


def _may_submit(entry: Entry, namespaces: Mapping[Address, int]) -> bool:
    version = entry.submission.version
    return namespaces.get(version.submitter) == version.namespace_id


def _classes(entries: Sequence[Entry], selection: Selection) -> dict[VersionId, FeeClass]:
    eligible = {*selection.batch, *selection.left}
    return {e.version_id: e.submission.fee_class for e in entries if e.version_id in eligible}


def _parents(entry: Entry) -> Sequence[VersionId]:
    return entry.submission.version.parents


def _refused(receipt: Receipt) -> list[VersionId]:
    """What the contract would not take; it is tried again later, because its reason may pass."""
    topic = event_topic("TwinRegistry", "Rejected")
    return [VersionId(log.topics[1]) for log in receipt.logs if log.topics[0] == topic]


def _in_order(entries: Sequence[Entry], batch: Sequence[VersionId]) -> list[Entry]:
    by_id = {entry.version_id: entry for entry in entries}
    return [by_id[version_id] for version_id in batch]
