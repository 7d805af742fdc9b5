"""Where a miner finds work: the pools of gateways, and the bytes behind what they hold."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from registry.core.cid import Cid
from registry.pool import Entry, Pool
from registry.storage.base import ContentStore


class Source(Protocol):
    """One gateway as a miner sees it."""

    def pending(self, limit: int) -> Sequence[Entry]:
        """Pending submissions in order of arrival."""

    def car(self, cid: Cid) -> Iterator[bytes]:
        """The whole DAG of a CID, as a CAR."""

    def wait(self, timeout_s: float) -> None:
        """Return when something may have changed, at the latest after the timeout."""


class LocalSource:
    """A gateway in the same process."""

    def __init__(self, pool: Pool, store: ContentStore) -> None:
        self._pool = pool
        self._store = store
        self._seen = -1

    def pending(self, limit: int) -> Sequence[Entry]:
        """Pending submissions in order of arrival."""
        return self._pool.pending(limit=limit)

    def car(self, cid: Cid) -> Iterator[bytes]:
        """The whole DAG of a CID, as a CAR."""
        return self._store.export(cid)

    def wait(self, timeout_s: float) -> None:
        """Return when the pool changed, at the latest after the timeout."""
        self._seen = self._pool.wait(self._seen, timeout_s)
