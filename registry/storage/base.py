"""The promise of every content store, and the records that cross it.

Content is addressed: a name is the hash of what it names, so a store needs no trust, only disk. Every
backend must satisfy tests/conformance/test_store.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.core.cid import Cid


@dataclass(frozen=True, slots=True)
class Link:
    """What a directory must know of an entry: its name, its file bytes, and the bytes of its whole DAG."""

    cid: Cid
    size: int
    dag_size: int


@dataclass(frozen=True, slots=True)
class Stored(Link):
    """A file as imported, with the sha-256 of its bytes in one piece."""

    sha256: bytes


@dataclass(frozen=True, slots=True)
class CarResult:
    """What an uploaded CAR held: its roots, and how many blocks were read."""

    roots: tuple[Cid, ...]
    blocks: int


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """One owner's wish that a DAG is kept."""

    cid: Cid
    owner: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection dropped."""

    blocks: int
    bytes: int


class ContentStore(Protocol):
    """Keeps content under its CID, and is never believed: what is read is hashed again.

    - `put*` are idempotent and durable once they return. What they stored is unpinned and is kept until a
      `collect` whose `older_than` is less than its age in seconds.
    - `get`, `block`, `export` hash every block they give: a wrong byte is VerificationFailed, not data.
    - A CID that is not wholly held is NotFound; a store that does not answer or is full is StoreUnavailable.
    - Pins belong to owners: content stays while one owner pins it. `pin` and `unpin` are idempotent.
    - `collect` never takes what is pinned, being uploaded, being read, or younger than `older_than`.
    - All methods may be called from several threads at once.
    """

    def put(self, chunks: Iterable[bytes]) -> Stored:
        """Store a file given in pieces of any length, as profile unixfs-v1-2025."""

    def put_directory(self, entries: Mapping[str, Link]) -> Link:
        """Store the directory of held entries; paths may be nested (`a/b.safetensors`)."""

    def put_directories(self, directories: Sequence[Mapping[str, Link]]) -> list[Link]:
        """Store many directories in one commit, or none."""

    def put_car(self, chunks: Iterable[bytes]) -> CarResult:
        """Store every block of a CARv1 in one commit, or none."""

    def stat(self, cid: Cid) -> Link:
        """The sizes of a held file or directory, as its root block states them."""

    def get(self, cid: Cid, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a file, or of a range of it; the range is clipped to the file."""

    def block(self, cid: Cid) -> bytes:
        """The exact bytes of one block."""

    def has(self, cid: Cid) -> bool:
        """Whether the whole DAG is held; VerificationFailed if the DAG contradicts its own sizes."""

    def missing(self, cids: Iterable[Cid]) -> list[Cid]:
        """Those of these DAGs that are not wholly held, each once, in their order."""

    def pin(self, cid: Cid, owner: str) -> None:
        """Keep the DAG for this owner; NotFound unless it is held whole."""

    def pin_each(self, pins: Iterable[Pin]) -> None:
        """Keep many DAGs for their owners, in one commit; none is pinned if one is not held."""

    def unpin(self, cid: Cid, owner: str) -> None:
        """End this owner's wish."""

    def pins(self) -> Iterator[Pin]:
        """Every pin, in order of CID and owner."""

    def export(self, cid: Cid) -> Iterator[bytes]:
        """The whole DAG as a CARv1, parents first, each block once."""

    def export_all(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """Many DAGs as one CARv1 whose roots they are, each block once; NotFound unless all are held."""

    def collect(self, older_than: float) -> Collected:
        """Drop what nobody needs and free its disk space."""

    def size_bytes(self) -> int:
        """What the content takes on disk; of a store that is shared, with what others keep in it."""

    def close(self) -> None:
        """Let go of the folder or the connection; nothing is lost."""
