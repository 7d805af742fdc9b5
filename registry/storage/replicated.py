"""Several stores of one member as one: the first decides, the others follow, reads survive the loss of any.

What is put is durable in the first store; what is pinned is copied to the others before `pin` returns, so far
as they answer. One that was away is brought up to date by the next `collect`. Bytes may come from any of
them, for they are hashed wherever they come from: where one is silent, lacks a block or lies, the next is
asked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from registry.core.cid import Cid
from registry.errors import Malformed, NotFound, RegistryError, StoreUnavailable, VerificationFailed
from registry.storage.base import CarResult, Collected, ContentStore, Link, Pin, Stored
from registry.storage.migrate import migrate

_T = TypeVar("_T")
_ASK_THE_NEXT = (NotFound, StoreUnavailable, VerificationFailed)


def open_kubo(
    apis: Sequence[str], *, token_file: Path | None = None, timeout_s: float = 120.0, owner: str = ""
) -> ContentStore:
    """The store in one Kubo daemon, or replicated over several; `owner` keeps its pins apart from others'."""
    from registry.storage.kubo import KuboStore

    if not apis:
        raise Malformed("store is kubo and kubo.api names no daemon")
    stores = [KuboStore(api, token_file=token_file, timeout_s=timeout_s, owner=owner) for api in apis]
    return ReplicatedStore(stores) if len(stores) > 1 else stores[0]


class ReplicatedStore:
    """A ContentStore over several; writes need the first, reads any."""

    def __init__(self, stores: Sequence[ContentStore]) -> None:
        self._stores = tuple(stores)
        self._first, self._others = self._stores[0], self._stores[1:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, chunks: Iterable[bytes]) -> Stored:
        """Store a file in the first store."""
        return self._first.put(chunks)

    def put_directory(self, entries: Mapping[str, Link]) -> Link:
        """Store a directory in the first store."""
        return self._first.put_directory(entries)

    def put_directories(self, directories: Sequence[Mapping[str, Link]]) -> list[Link]:
        """Store many directories in the first store."""
        return self._first.put_directories(directories)

    def put_car(self, chunks: Iterable[bytes]) -> CarResult:
        """Store the blocks of a CAR in the first store."""
        return self._first.put_car(chunks)

    def stat(self, cid: Cid) -> Link:
        """The sizes of a DAG that any store holds."""
        return self._ask(lambda store: store.stat(cid))

    def get(self, cid: Cid, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a file or of a range; another store goes on where one breaks off."""
        self._ask(lambda store: store.get(cid))
        return self._read(cid, offset, length)

    def _read(self, cid: Cid, offset: int, length: int | None) -> Iterator[bytes]:
        failures: list[RegistryError] = []
        for store in self._stores:
            try:
                for piece in store.get(cid, offset, length):
                    offset += len(piece)
                    length = None if length is None else length - len(piece)
                    yield piece
            except _ASK_THE_NEXT as e:
                failures.append(e)
            else:
                return
        raise failures[0]

    def block(self, cid: Cid) -> bytes:
        """The verified bytes of one block, from any store."""
        return self._ask(lambda store: store.block(cid))

    def has(self, cid: Cid) -> bool:
        """Whether any store holds the whole DAG."""
        try:
            return self._ask(lambda store: _whole(store, cid)) is not None
        except NotFound:
            return False

    def missing(self, cids: Iterable[Cid]) -> list[Cid]:
        """Those of these DAGs that no store holds whole."""
        return [cid for cid in dict.fromkeys(cids) if not self.has(cid)]

    def pin(self, cid: Cid, owner: str) -> None:
        """Keep the DAG for this owner."""
        self.pin_each((Pin(cid, owner),))

    def pin_each(self, pins: Iterable[Pin]) -> None:
        """Keep many DAGs in the first store, and in each other one that answers."""
        wanted = tuple(pins)
        cids = tuple(dict.fromkeys(pin.cid for pin in wanted))
        for cid in cids:
            self._bring(cid, self._first)
        self._first.pin_each(wanted)
        for other in self._others:
            with suppress(StoreUnavailable):
                for cid in cids:
                    self._bring(cid, other)
                other.pin_each(wanted)

    def unpin(self, cid: Cid, owner: str) -> None:
        """End this owner's wish; a store that is away learns it at the next `collect`."""
        self._first.unpin(cid, owner)
        for other in self._others:
            with suppress(StoreUnavailable):
                other.unpin(cid, owner)

    def pins(self) -> Iterator[Pin]:
        """Every pin of the first store, which decides."""
        return self._first.pins()

    def export(self, cid: Cid) -> Iterator[bytes]:
        """The whole DAG as a CARv1, from the first store that holds it."""
        return self._ask(lambda store: store.export(cid))

    def export_all(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """Many DAGs as one CARv1, from the first store that holds them all."""
        return self._ask(lambda store: store.export_all(cids))

    def collect(self, older_than: float) -> Collected:
        """Bring the others up to date, then collect everywhere; the first store's figures."""
        for other in self._others:
            with suppress(StoreUnavailable):
                self.mend(other)
                other.collect(older_than)
        return self._first.collect(older_than)

    def size_bytes(self) -> int:
        """Of the first store, which decides."""
        return self._first.size_bytes()

    def mend(self, other: ContentStore) -> None:
        """Give a store the pins and content of the first one, and end the pins that the first has ended."""
        for _ in migrate(self._first, other):
            continue
        wanted = set(self._first.pins())
        for pin in list(other.pins()):
            if pin not in wanted:
                other.unpin(pin.cid, pin.owner)

    def close(self) -> None:
        """Close all."""
        for store in self._stores:
            store.close()

    def _bring(self, cid: Cid, target: ContentStore) -> None:
        if not target.has(cid):
            target.put_car(self.export(cid))

    def _ask(self, question: Callable[[ContentStore], _T]) -> _T:
        failures: list[RegistryError] = []
        for store in self._stores:
            try:
                return question(store)
            except _ASK_THE_NEXT as e:
                failures.append(e)
        raise failures[0]


def _whole(store: ContentStore, cid: Cid) -> Cid:
    if not store.has(cid):
        raise NotFound(f"{cid} is not wholly in this store", cid=str(cid))
    return cid
