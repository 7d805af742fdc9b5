"""What a collection must not take although nobody has pinned it: running imports and reads."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from registry.core.cid import Cid

_T = TypeVar("_T")


class InUse:
    """Counts who uses which CID; `gate` orders "I use it and it is there" against "nobody does, drop it"."""

    def __init__(self) -> None:
        self._gate = threading.RLock()
        self._users: Counter[Cid] = Counter()

    @contextmanager
    def gate(self) -> Iterator[None]:
        """While inside, no CID comes into use."""
        with self._gate:
            yield

    @contextmanager
    def hold(self, cid: Cid) -> Iterator[None]:
        """Keep a DAG while the block runs: the lease of a read."""
        with self.hold_all((cid,)):
            yield

    @contextmanager
    def hold_all(self, cids: Iterable[Cid]) -> Iterator[None]:
        """Keep many DAGs while the block runs."""
        use = Use(self)
        try:
            use.claim_then(tuple(cids), lambda: None)
            yield
        finally:
            use.end()

    def roots(self) -> list[Cid]:
        """Every CID in use now."""
        with self._gate:
            return list(self._users)

    def add(self, cids: Iterable[Cid], then: Callable[[], _T]) -> _T:
        """One more user of each; `then` runs before the gate opens."""
        with self._gate:
            self._users.update(cids)
            return then()

    def drop(self, cids: Iterable[Cid]) -> None:
        """One user less of each."""
        with self._gate:
            for cid in cids:
                self._users[cid] -= 1
                if not self._users[cid]:
                    del self._users[cid]


class Use:
    """What one import or read holds on to until it ends."""

    def __init__(self, in_use: InUse) -> None:
        self._in_use = in_use
        self._claimed: set[Cid] = set()

    def claim_then(self, cids: Iterable[Cid], look: Callable[[], _T]) -> _T:
        """Keep CIDs from being collected, and look while the gate is held: what is seen stays until `end`."""
        new = set(cids) - self._claimed
        self._claimed |= new
        return self._in_use.add(new, look)

    def end(self) -> None:
        """Let go of everything claimed."""
        self._in_use.drop(self._claimed)
        self._claimed = set()
