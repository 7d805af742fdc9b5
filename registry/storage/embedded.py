"""The content store inside the process: CARv1 packs and a SQLite index in one folder, no daemon.

    FOLDER/packs/*.car   the blocks, written once        FOLDER/index.db   where each is; rebuilt when missing
    FOLDER/pins.db       who wants what; primary data    FOLDER/lock, owner   one process at a time
    FOLDER/reserve       room that a full disk keeps for unpinning and collecting

>>> import tempfile; folder = tempfile.TemporaryDirectory()
>>> with EmbeddedStore(Path(folder.name)) as store:
...     kept = store.put([b"hello ", b"world"])
...     b"".join(store.get(kept.cid, offset=6))
b'world'
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from registry.core.cid import Cid
from registry.errors import Conflict, NotFound, StoreUnavailable, VerificationFailed
from registry.storage.base import CarResult, Collected, Link, Pin, Stored
from registry.storage.blockindex import BlockIndex, Commit, Pack, PackState
from registry.storage.car import read_header, write_car
from registry.storage.collector import Collector
from registry.storage.importing import Intake
from registry.storage.inuse import InUse
from registry.storage.packs import PackFolder
from registry.storage.pinbook import PinBook
from registry.storage.reader import describe, is_whole, read, walk
from registry.storage.room import Reserve, disk
from registry.storage.unixfs import directory, import_file

_LOOKS = 4
_FRAMES = 16
"""So many blocks of a CAR, 2 MiB at most each, are in memory while the index is asked for them."""


class EmbeddedStore:
    """A ContentStore in a folder that this process alone uses; safe against kill -9 at every instant."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._clock = folder, clock
        with disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = hold_folder(folder)
        try:
            self._reserve = Reserve(folder)
            with self._reserve.lend():
                self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        with disk(self._folder):
            (self._folder / "owner").write_text(f"{os.getpid()}\n")
        self._packs = PackFolder(self._folder / "packs")
        self._index = _open_index(self._folder / "index.db")
        self._pins = PinBook(self._folder / "pins.db")
        self._in_use = InUse()
        self._intake = Intake(
            self._packs, self._index, self._in_use, reserve=self._reserve, clock=self._clock
        )
        self._collector = Collector(self._packs, self._index, self._pins, self._in_use, self._intake)
        self._reconcile()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def size_bytes(self) -> int:
        """The length of all packs."""
        return sum(self._packs.sizes().values())

    def put(self, chunks: Iterable[bytes]) -> Stored:
        """Store a file; durable when it returns."""
        with self._intake.begin() as incoming:
            stored = import_file(chunks, incoming.add)
            incoming.commit()
        return stored

    def put_directory(self, entries: Mapping[str, Link]) -> Link:
        """Store the directory of held entries."""
        (stored,) = self.put_directories([entries])
        return stored

    def put_directories(self, directories: Sequence[Mapping[str, Link]]) -> list[Link]:
        """Store many directories in one commit, or none."""
        with self._intake.begin() as incoming:
            named = {link.cid: path for entries in directories for path, link in entries.items()}
            held = incoming.claim(named.keys())
            for cid, path in named.items():
                if cid not in held:
                    raise NotFound(f"{path!r} ({cid}) is not in this store")
            stored = [directory(entries, incoming.add) for entries in directories]
            incoming.commit()
        return stored

    def put_car(self, chunks: Iterable[bytes]) -> CarResult:
        """Store every block of a CARv1 in one commit, or none."""
        count = 0
        with self._intake.begin() as incoming:
            roots, frames = read_header(chunks)
            while portion := [(frame.cid, frame.block) for frame in islice(frames, _FRAMES)]:
                incoming.add_all(dict(portion))
                count += len(portion)
            incoming.commit()
        return CarResult(roots, count)

    def stat(self, cid: Cid) -> Link:
        """The sizes of a held file or directory."""
        return describe(self, cid)

    def get(self, cid: Cid, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a file or of a range; NotFound at once, not at the first byte."""
        if self.block_size(cid) is None and self._index.find(cid) is None:
            raise _not_found(cid)
        return self._read(cid, offset, length)

    def _read(self, cid: Cid, offset: int, length: int | None) -> Iterator[bytes]:
        with self._in_use.hold(cid):
            yield from read(self.block, cid, offset, length)

    def block(self, cid: Cid) -> bytes:
        """The verified bytes of one block; VerificationFailed names the pack and the offset."""
        for _ in range(_LOOKS):
            spot = self._index.find(cid)
            if spot is None:
                raise _not_found(cid)
            try:
                with disk(self._folder):
                    return self._packs.read(cid, spot)
            except StoreUnavailable as e:
                # Between the look-up and the opening, a compaction moved the block: look again.
                if not isinstance(e.__cause__, FileNotFoundError):
                    raise
            except VerificationFailed:
                with suppress(StoreUnavailable):
                    self._index.mark_bad(cid, spot)
                raise
        raise StoreUnavailable(f"the pack that holds {cid} is gone from {self._packs.path}")

    def block_size(self, cid: Cid) -> int | None:
        """The length of a held block, None when it is not held or found corrupt before."""
        return self._index.size(cid)

    def has(self, cid: Cid) -> bool:
        """Whether the whole DAG is held."""
        return is_whole(self, cid)

    def missing(self, cids: Iterable[Cid]) -> list[Cid]:
        """Those of these DAGs that are not wholly held; the index is asked once which are begun."""
        wanted = tuple(dict.fromkeys(cids))
        begun = self._index.held(wanted)
        return [cid for cid in wanted if cid not in begun or not is_whole(self, cid)]

    def pin(self, cid: Cid, owner: str) -> None:
        """Keep the DAG for this owner."""
        self.pin_each((Pin(cid, owner),))

    def pin_each(self, pins: Iterable[Pin]) -> None:
        """Keep many DAGs for their owners, in one commit."""
        wanted = tuple(pins)
        with self._intake.begin() as incoming:
            named = dict.fromkeys(pin.cid for pin in wanted)
            incoming.claim(named)
            if missing := self.missing(named):
                raise _not_found(missing[0])
            self._pins.add(wanted)

    def unpin(self, cid: Cid, owner: str) -> None:
        """End this owner's wish; possible on a full disk."""
        with self._reserve.lend():
            self._pins.remove(Pin(cid, owner))

    def pins(self) -> Iterator[Pin]:
        """Every pin, in order of CID and owner."""
        return iter(self._pins.all())

    def export(self, cid: Cid) -> Iterator[bytes]:
        """The whole DAG as a CARv1, from however many packs it lies in."""
        return self.export_all((cid,))

    def export_all(self, cids: Sequence[Cid]) -> Iterator[bytes]:
        """Many DAGs as one CARv1, each block once."""
        if missing := self.missing(cids):
            raise _not_found(missing[0])
        return self._export(tuple(cids))

    def _export(self, cids: tuple[Cid, ...]) -> Iterator[bytes]:
        with self._in_use.hold_all(cids):
            yield from write_car(cids, walk(self.block, cids))

    def collect(self, older_than: float) -> Collected:
        """Drop what is unpinned, unused and was last stored more than `older_than` seconds ago.

        Possible on a full disk.
        """
        with self._reserve.lend():
            return self._collector.collect(self.block, self._clock() - older_than)

    def damage(self) -> Iterator[VerificationFailed]:
        """Read everything; one finding for each block whose bytes are wrong."""
        for pack in self._index.packs():
            for cid, _ in self._index.blocks_of(pack.name):
                try:
                    self.block(cid)
                except VerificationFailed as e:
                    yield e
                except NotFound:
                    continue  # collected meanwhile

    def close(self) -> None:
        """Let go of the folder; a second time is nothing."""
        if not self._lock.is_locked:
            return
        self._intake.close()
        self._index.close()
        self._pins.close()
        (self._folder / "owner").unlink(missing_ok=True)
        self._lock.release()

    def _reconcile(self) -> None:
        """Make the index agree with the packs on disk, whatever a crash or a hand did to either."""
        self._packs.remove_unfinished()
        self._collector.remove_dropped()
        on_disk = self._packs.sizes()
        known = self._index.packs()
        for pack in known:
            length = on_disk.get(pack.name, 0)
            if length < pack.length:
                self._index.forget(pack.name, behind=length)
                self._index.set_state(pack.name, PackState.SEALED)
            elif pack.state is PackState.OPEN:
                self._intake.resume(pack)
        for name in on_disk.keys() - {pack.name for pack in known}:
            self._adopt(name, on_disk[name])

    def _adopt(self, name: str, length: int) -> None:
        with disk(self._folder):
            written = self._packs.file(name).stat().st_mtime
        pack = Pack(name, length, PackState.SEALED, 0)
        self._index.commit([Commit(pack, list(self._packs.scan(name)), ())], written)


def _open_index(path: Path) -> BlockIndex:
    try:
        return BlockIndex(path)
    except StoreUnavailable as e:
        if type(e.__cause__) is not sqlite3.DatabaseError:
            raise
        # The file is no database any more. It holds nothing that the packs do not: begin a new one.
        for part in ("", "-wal", "-shm"):
            path.with_name(path.name + part).unlink(missing_ok=True)
        return BlockIndex(path)


def hold_folder(folder: Path) -> FileLock:
    """Keep every other process out; Conflict names the one that is in."""
    lock = FileLock(folder / "lock", timeout=0, thread_local=False)
    owner = folder / "owner"
    with disk(folder):
        try:
            lock.acquire()
        except Timeout as e:
            pid = owner.read_text().strip() if owner.exists() else "unknown"
            raise Conflict(
                f"the store {folder} is in use by process {pid}", hint=f"stop process {pid} first", pid=pid
            ) from e
    return lock


def _not_found(cid: Cid) -> NotFound:
    return NotFound(f"{cid} is not wholly in this store", cid=str(cid))
