"""Where a miner finds work: the pools of gateways, and the bytes behind what they hold."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from registry.core.cid import Cid
from registry.core.ids import FeeClass, VersionId
from registry.pool import Entry, Pool
from registry.storage.base import ContentStore

_OF_EACH = 400


class Source(Protocol):
    """One gateway as a miner sees it."""

    def pending(self, limit: int) -> Sequence[Entry]:
        """Pending submissions in order of arrival, at least the first `limit` of them or of each queue."""

    def car(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """The whole DAGs of these CIDs, as one CAR; NotFound unless all are held."""

    def forget(self, version_ids: Collection[VersionId]) -> None:
        """These are settled on chain: a copy of the queue need not hold them any longer."""

    def restart(self) -> None:
        """The chain changed: what was settled may be work again."""

    def wait(self, timeout_s: float) -> None:
        """Return when something may have changed, at the latest after the timeout."""


class LocalSource:
    """A gateway in the same process, of whose pool a copy is kept: an entry is read from SQL once."""

    def __init__(self, pool: Pool, store: ContentStore) -> None:
        self._pool = pool
        self._store = store
        self._seen = -1
        self._copied = -1
        self._copy: dict[int, Entry] = {}
        self._window: list[Entry] = []

    def pending(self, limit: int) -> Sequence[Entry]:
        """The head of every queue (class and namespace) in order of arrival: two batches of each at most."""
        changes = self._pool.changes
        if changes != self._copied:
            self._refresh(min(limit, _OF_EACH))
            self._copied = changes
        return self._window

    def car(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """The whole DAGs of these CIDs, as one CAR."""
        return self._store.export_all(cids)

    def forget(self, _version_ids: Collection[VersionId]) -> None:
        """The pool itself says what is settled."""

    def restart(self) -> None:
        """The pool itself takes back what a reorganisation undid."""

    def wait(self, timeout_s: float) -> None:
        """Return when the pool changed, at the latest after the timeout."""
        self._seen = self._pool.wait(self._seen, timeout_s)

    def _refresh(self, of_each: int) -> None:
        places = self._pool.pending_places()
        missing = [version_id for sequence, version_id in places if sequence not in self._copy]
        read = {entry.sequence: entry for entry in self._pool.get_many(missing).values()}
        known = {**self._copy, **read}
        # What was replaced between the two reads is there under its new number the next time.
        self._copy = {sequence: known[sequence] for sequence, _id in places if sequence in known}
        taken: Counter[tuple[FeeClass, int]] = Counter()
        self._window = []
        for entry in self._copy.values():
            share = (entry.submission.fee_class, entry.submission.version.namespace_id)
            taken[share] += 1
            if taken[share] <= of_each:
                self._window.append(entry)
