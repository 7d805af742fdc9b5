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
            for cid in cids:
                use.claim(cid)
            yield
        finally:
            use.end()

    def roots(self) -> list[Cid]:
        """Every CID in use now."""
        with self._gate:
            return list(self._users)

    def add(self, cid: Cid, then: Callable[[Cid], _T]) -> _T:
        """One more user of a CID; `then` runs before the gate opens."""
        with self._gate:
            self._users[cid] += 1
            return then(cid)

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

    def claim(self, cid: Cid) -> None:
        """Keep a CID from being collected."""
        self.claim_then(cid, lambda _: None)

    def claim_then(self, cid: Cid, look: Callable[[Cid], _T]) -> _T:
        """Claim, and look while the gate is held: what is seen stays true until `end`."""
        if cid in self._claimed:
            return look(cid)
        self._claimed.add(cid)
        return self._in_use.add(cid, look)

    def end(self) -> None:
        """Let go of everything claimed."""
        self._in_use.drop(self._claimed)
        self._claimed = set()
