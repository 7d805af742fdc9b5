"""The content store of a real Kubo daemon, which is not believed either.

Files are chunked here and uploaded as CARs; every block that is read is hashed here. Owners' pins and the
leases of fresh content are handles of our own (kubo_handles.py): many owners can pin one CID, and no pin that
somebody else made is ever touched.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Self

from registry.core.cid import DAG_PB, RAW, Cid
from registry.errors import Malformed, NotFound, VerificationFailed
from registry.storage.base import CarResult, Collected, Link, Pin, Stored
from registry.storage.car import read_header, write_car
from registry.storage.dagpb import decode_node
from registry.storage.inuse import InUse
from registry.storage.kubo_handles import LEASE, PIN, Handle, lease_all, lease_time
from registry.storage.kubo_rpc import Daemon
from registry.storage.kubo_stream import FileStream
from registry.storage.reader import describe, is_whole, read, stated, verify_block, walk
from registry.storage.spool import Spool
from registry.storage.turns import Turns
from registry.storage.unixfs import directory, import_file

_OWNER_BYTES = 150  # Kubo takes pin names of at most 255 bytes
_TRIES = 3
_REPEATS = 8


class KuboStore:
    """A ContentStore in a Kubo daemon (0.39 to 0.44), reached by its RPC address."""

    def __init__(
        self,
        api: str,
        *,
        token_file: Path | None = None,
        timeout_s: float = 120.0,
        owner: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._daemon = Daemon(api, token_file, timeout_s)
        self._clock = clock
        # Several of TwinLedger's parts may share a daemon: each sees and ends its own pins only.
        self._owner = f"{owner}/" if owner else ""
        self._in_use = InUse()
        self._turns = Turns()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> str:
        """The daemon's version, or StoreUnavailable with the reason."""
        return self._daemon.version()

    def put(self, chunks: Iterable[bytes]) -> Stored:
        """Chunk a file here, upload it as a CAR; durable as far as the daemon's datastore is."""
        with Spool() as spool:
            stored = import_file(chunks, spool.add)
            self._upload(spool)
        return stored

    def put_directory(self, entries: Mapping[str, Link]) -> Link:
        """Store the directory of held entries."""
        (stored,) = self.put_directories([entries])
        return stored

    def put_directories(self, directories: Sequence[Mapping[str, Link]]) -> list[Link]:
        """Store many directories in one upload."""
        with Spool() as spool:
            stored = [directory(entries, spool.add) for entries in directories]
            paths = {link.cid: path for entries in directories for path, link in entries.items()}
            for cid, path in paths.items():
                if self.block_size(cid) is None:
                    raise NotFound(f"{path!r} ({cid}) is not held by {self._daemon.api}")
            if stored:
                self._upload(spool)
        return stored

    def put_car(self, chunks: Iterable[bytes]) -> CarResult:
        """Store every block of a CARv1 after all of them were hashed."""
        with Spool() as spool:
            roots, frames = read_header(chunks)
            count = 0
            for frame in frames:
                spool.add(frame.cid, frame.block)
                count += 1
            if count:
                self._upload(spool)
        return CarResult(roots, count)

    def stat(self, cid: Cid) -> Link:
        """The sizes of a held file or directory."""
        return describe(self, cid)

    def get(self, cid: Cid, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a file or of a range; NotFound at once, not at the first byte."""
        if self.block_size(cid) is None:
            raise self._not_found(cid)
        return self._read(cid, offset, length)

    def _read(self, cid: Cid, offset: int, length: int | None) -> Iterator[bytes]:
        with self._in_use.hold(cid):
            stream = FileStream(self._daemon, cid, self.block, None if length is None else offset + length)
            with closing(stream):
                yield from read(self.block, cid, offset, length, leaf_of=stream.leaf)

    def block(self, cid: Cid) -> bytes:
        """The verified bytes of one block; VerificationFailed names the daemon."""
        block = self._daemon.block(cid)
        verify_block(cid, block, f"the Kubo daemon at {self._daemon.api}")
        return block

    def block_size(self, cid: Cid) -> int | None:
        """The length of a held block, None when it is not held."""
        return self._daemon.block_size(cid)

    def has(self, cid: Cid) -> bool:
        """Whether the whole DAG is held by the daemon itself; the swarm is not asked."""
        return self._is_whole_at_once(cid) or is_whole(self, cid)

    def missing(self, cids: Iterable[Cid]) -> list[Cid]:
        """Those of these DAGs that the daemon does not hold whole."""
        return [cid for cid in dict.fromkeys(cids) if not self.has(cid)]

    def _is_whole_at_once(self, cid: Cid) -> bool:
        """Whether the daemon counts all the bytes that the nodes state: one question instead of one per leaf.

        False decides nothing: then every leaf is asked for, which also finds the one that contradicts.
        """
        try:
            sizes = None if cid.codec == RAW else stated(self, cid)
        except NotFound:
            return False
        # The daemon counts repeats as often as they come: of a DAG made of repeats it must not be asked.
        is_plain = sizes is not None and sizes.blocks <= _REPEATS * sizes.distinct
        return is_plain and sizes is not None and self._daemon.local_bytes(cid) == sizes.bytes

    def pull(self, cid: Cid) -> None:
        """Fetch a DAG from other daemons of the swarm; a lease keeps it."""
        with self._turns.shared():
            # The content cannot be collected while its own fetching pins it; the lease then takes over.
            handle = Handle.lease((cid,))
            self._daemon.put_block(handle.cid, handle.block)
            self._daemon.fetch(handle.cid, self._lease_name())

    def pin(self, cid: Cid, owner: str) -> None:
        """Keep the DAG for this owner."""
        self.pin_each((Pin(cid, owner),))

    def pin_each(self, pins: Iterable[Pin]) -> None:
        """Keep many DAGs for their owners; all are known to be held before the first is pinned."""
        wanted = tuple(pins)
        for owner in {pin.owner for pin in wanted}:
            if not owner or len((self._owner + owner).encode()) > _OWNER_BYTES:
                raise Malformed(f"the owner of a pin has 1 to {_OWNER_BYTES} bytes, got {owner!r}")
        for cid in dict.fromkeys(pin.cid for pin in wanted):
            if not self.has(cid):
                raise self._not_found(cid)
        with self._turns.shared():
            for pin in wanted:
                full = self._owner + pin.owner
                self._keep(Handle.pin(pin.cid, full), f"{PIN}{pin.cid}:{full}")

    def unpin(self, cid: Cid, owner: str) -> None:
        """End this owner's wish."""
        self._daemon.unpin(str(Handle.pin(cid, self._owner + owner).cid))

    def pins(self) -> Iterator[Pin]:
        """Every pin made through this store's owner, in order of CID and owner."""
        found = (pin.name for pin in self._daemon.pins() if pin.name.startswith(PIN))
        split = (name.removeprefix(PIN).partition(":") for name in found)
        mine = ((cid, owner) for cid, _, owner in split if owner.startswith(self._owner))
        return iter(sorted(Pin(Cid.parse(cid), owner.removeprefix(self._owner)) for cid, owner in mine))

    def export(self, cid: Cid) -> Iterator[bytes]:
        """The whole DAG as a CARv1, each block hashed here."""
        return self.export_all((cid,))

    def export_all(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """Many DAGs as one CARv1, each block once."""
        if missing := next((cid for cid in cids if not self.has(cid)), None):
            raise self._not_found(missing)
        return self._export(tuple(cids))

    def _export(self, cids: tuple[Cid, ...]) -> Iterator[bytes]:
        with self._in_use.hold_all(cids):
            yield from write_car(cids, walk(self.block, cids))

    def size_bytes(self) -> int:
        """The daemon's whole repository."""
        return self._daemon.repo_size()

    def collect(self, older_than: float) -> Collected:
        """End leases of so many seconds, and let the daemon drop what no pin, lease or reader needs."""
        with self._turns.alone(), self._in_use.gate():
            self._end_leases(self._clock() - older_than, self._renew_reads())
            before = self._daemon.repo_size()
            blocks = self._daemon.collect_garbage()
            return Collected(blocks, max(0, before - self._daemon.repo_size()))

    def _renew_reads(self) -> set[str]:
        """Leases for what is being read, so that they outlive this collection."""
        renewed = set()
        for cid in self._in_use.roots():
            handle = Handle.lease((cid,))
            with suppress(NotFound):
                self._keep(handle, self._lease_name())
                renewed.add(str(handle.cid))
        return renewed

    def _end_leases(self, cutoff: float, renewed: set[str]) -> None:
        for pin in self._daemon.pins():
            begun = lease_time(pin.name)
            if begun is not None and begun < cutoff and pin.cid not in renewed:
                self._daemon.unpin(pin.cid)
            elif not pin.name and self._is_lease(pin.cid):
                # Its import ended between the pin and the name: from now on it has an age.
                self._daemon.pin(Cid.parse(pin.cid), self._lease_name())

    def _is_lease(self, text: str) -> bool:
        try:
            cid = Cid.parse(text)
            links = decode_node(self.block(cid)).links if cid.codec == DAG_PB else ()
        except (Malformed, NotFound, VerificationFailed):
            return False
        return bool(links) and links[0].name.startswith(LEASE.encode())

    def close(self) -> None:
        """Close the connections; the daemon goes on."""
        self._daemon.close()

    def _upload(self, spool: Spool) -> None:
        """Hand over a CAR and lease what is in it."""
        held = spool.cids
        lease = lease_all(spool)
        spool.seal(lease)
        with self._turns.shared():
            if spool.is_self_contained:
                self._daemon.import_pinned(spool.path, spool.blocks, lease)
                self._daemon.pin(lease, self._lease_name())
            else:
                self._upload_part(spool, lease, held)

    def _upload_part(self, spool: Spool, lease: Cid, held: tuple[Cid, ...]) -> None:
        # A collection by the daemon itself can come between the import and the pin: then once more.
        for _ in range(_TRIES):
            self._daemon.import_car(spool.path, spool.blocks)
            if self._daemon.is_whole(lease):
                self._daemon.pin(lease, self._lease_name())
                return
        # A part of a DAG was uploaded and the rest is not here: its blocks are leased one by one.
        self._daemon.pin_blocks(held, self._lease_name())

    def _keep(self, handle: Handle, name: str) -> None:
        self._daemon.put_block(handle.cid, handle.block)
        # Asked first: a recursive pin of what is not whole would wait for the swarm, offline or not.
        if not self._daemon.is_whole(handle.cid):
            raise NotFound(f"not all that {name} links to is held by the Kubo daemon at {self._daemon.api}")
        self._daemon.pin(handle.cid, name)

    def _lease_name(self) -> str:
        return f"{LEASE}{self._clock():.3f}"

    def _not_found(self, cid: Cid) -> NotFound:
        return NotFound(f"{cid} is not wholly held by the Kubo daemon at {self._daemon.api}", cid=str(cid))
