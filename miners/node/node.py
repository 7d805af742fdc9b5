"""The loop of one miner."""

import logging
import threading
import time
from collections.abc import Iterable, Sequence

from miners.node.epochs import Epochs
from miners.node.holdings import Holdings
from miners.node.source import Source
from miners.selection import Item, Selection, select
from miners.turns import Turns
from registry.chain.gateway import Contracts
from registry.chain.seal import encode_seal, item_size
from registry.chain.sender import Sender
from registry.core.ids import Address, FeeClass, Status, VersionId
from registry.core.signing import Signer
from registry.errors import RegistryError, Rejected
from registry.pool import Entry
from registry.storage.base import ContentStore

_log = logging.getLogger("miners")
_PENDING = 2_000
_GAS_PER_ITEM = 160_000
_GAS_BASE = 500_000


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
    ) -> None:
        self._contracts = contracts
        self._sender = Sender(contracts.link, signer)
        self._source = source
        self._poll_s = poll_s
        self.store = store
        self._holdings = Holdings(store, source)
        self._epochs = Epochs(contracts, self._sender)
        self._done: dict[VersionId, float] = {}

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
                self._source.wait(self._poll_s)
        self._holdings.close()

    def step(self) -> int:
        """Look once; answers how many items were sealed."""
        now = self._contracts.link.pending_time()
        slot = self._contracts.slot_at(now)
        entries = [entry for entry in self._source.pending(_PENDING) if self._is_due(entry, now)]
        self._holdings.want([entry.submission.version for entry in entries])
        self._holdings.forget({entry.version_id for entry in entries})
        if not self._epochs.keep(slot, has_work=bool(entries)):
            return 0
        selection = self._select(entries)
        self._epochs.backlog.note(
            slot, is_h_left=selection.is_h_left, is_any_left=selection.is_h_left or selection.is_l_left
        )
        if not selection.batch or not self._is_my_turn(slot, entries, now):
            return 0
        return self._seal(_in_order(entries, selection.batch))

    def _is_due(self, entry: Entry, now: int) -> bool:
        # What was just sealed or refused is looked at again only when the gateway had time to notice.
        quiet_until = self._done.get(entry.version_id, 0.0)
        return (
            time.monotonic() >= quiet_until and entry.submission.deadline >= now >= entry.submission.issued_at
        )

    def _select(self, entries: Sequence[Entry]) -> Selection:
        if not entries:
            return Selection((), is_h_left=False, is_l_left=False)
        menu = self._contracts.menu()
        submitters = {entry.submission.version.submitter for entry in entries}
        parents = {parent for entry in entries for parent in entry.submission.version.parents}
        return select(
            [self._item(entry) for entry in entries],
            prices={fee_class: menu.price(fee_class) for fee_class in FeeClass},
            escrow={address: self._contracts.account(address).balance for address in submitters},
            sealed=[parent for parent in parents if self._is_sealed(parent)],
            budget=self._contracts.budget(),
        )

    def _item(self, entry: Entry) -> Item:
        version = entry.submission.version
        return Item(
            version_id=entry.version_id,
            submitter=version.submitter,
            fee_class=entry.submission.fee_class,
            max_price=entry.submission.max_price,
            size=version.size,
            parents=version.parents,
            calldata=item_size(len(version.parents)),
            is_held=self._holdings.is_held(entry.version_id),
        )

    def _is_sealed(self, version_id: VersionId) -> bool:
        record = self._contracts.record(version_id)
        return record is not None and record.status in (Status.ACTIVE, Status.DEPRECATED)

    def _is_my_turn(self, slot: int, entries: Sequence[Entry], now: int) -> bool:
        params = self._contracts.params()
        turns = Turns(params.turn_slots, params.grace_slots)
        miners = [miner for miner, _price in self._contracts.roster()]
        waited = (now - min(entry.received for entry in entries)) // params.slot_s
        return turns.should_seal(slot, self.address, miners, waited_slots=waited)

    def _seal(self, batch: Sequence[Entry]) -> int:
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
        self._remember(batch)
        _log.info("sealed %d items in block %d", len(batch), receipt.block_number)
        return len(batch)

    def _remember(self, batch: Iterable[Entry]) -> None:
        now = time.monotonic()
        self._done = {version_id: until for version_id, until in self._done.items() if until > now}
        self._done.update((entry.version_id, now + 5.0) for entry in batch)


def _in_order(entries: Sequence[Entry], batch: Sequence[VersionId]) -> list[Entry]:
    by_id = {entry.version_id: entry for entry in entries}
    return [by_id[version_id] for version_id in batch]
