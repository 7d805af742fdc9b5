"""The folder of an embedded store as it lies, looked at without changing a byte of it.

Opening a store mends what a crash or a hand did to it. Whoever asks what is wrong must see it before that:
here the index is only read, and every pack is held against it. A block must be of its CID, the CAR frame
around it must be the frame of exactly that block, and what lies between frames must be frames too. Behind the
recorded length of the open pack nothing was promised to anybody.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from registry.core.cid import RAW, Cid
from registry.errors import Malformed, NotFound, RegistryError, StoreUnavailable, VerificationFailed
from registry.storage.base import Link, Pin
from registry.storage.blockindex import PackState
from registry.storage.car import HEADER_LENGTH, frame_prefix, read_header
from registry.storage.dagpb import read_uvarint
from registry.storage.embedded import hold_folder
from registry.storage.packs import PackFolder, Spot
from registry.storage.reader import describe, is_whole, verify_block
from registry.storage.room import disk

_NO_ROOT = Cid(RAW, bytes(32))  # of a pack that was never published
_BLOCKS = (
    "SELECT b.cid, p.name, b.offset, b.length, b.is_bad FROM block b JOIN pack p ON p.id = b.pack"
    " ORDER BY p.name, b.offset"
)


class Shelf:
    """What a store's index and pins say, and whether the packs bear it out."""

    def __init__(self, folder: Path) -> None:
        """Conflict when a process has the store open; StoreUnavailable when index or pins cannot be read."""
        self._folder = folder
        self._lock = hold_folder(folder)
        try:
            self._held: dict[Cid, Spot] = {}
            self._bad: set[Cid] = set()
            self._packs: dict[str, tuple[int, PackState]] = {}
            if (folder / "index.db").exists():
                self._read_index()
            elif (folder / "packs").is_dir():
                self._read_packs()
            self.pins = [
                Pin(_cid(raw), owner)
                for raw, owner in _rows(folder / "pins.db", "SELECT cid, owner FROM pin")
            ]
        except BaseException:
            self._lock.release()
            raise

    def _read_index(self) -> None:
        for raw, pack, offset, length, is_bad in _rows(self._folder / "index.db", _BLOCKS):
            cid = _cid(raw)
            self._held[cid] = Spot(pack, offset, length)
            if is_bad:
                self._bad.add(cid)
        packs = _rows(self._folder / "index.db", "SELECT name, length, state FROM pack ORDER BY name")
        self._packs = {name: (length, _state(name, state)) for name, length, state in packs}

    def _read_packs(self) -> None:
        """A restored store has no index yet: what the next start will write into it is in the packs."""
        packs = PackFolder(self._folder / "packs")
        for name, length in packs.sizes().items():
            self._packs[name] = (length, PackState.SEALED)
            for cid, spot in packs.scan(name):
                self._held.setdefault(cid, spot)

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.release()

    def block(self, cid: Cid) -> bytes:
        """The bytes of a block, which are of its CID."""
        spot = self._held.get(cid)
        if spot is None:
            raise NotFound(f"{cid} is not in this store", cid=str(cid))
        path = self._path(spot.pack)
        with disk(path), path.open("rb") as f:
            f.seek(spot.offset)
            block = f.read(spot.length)
        verify_block(cid, block, f"pack {path} at offset {spot.offset}")
        return block

    def block_size(self, cid: Cid) -> int | None:
        """The length of a held block, None when it is not held or was found corrupt before."""
        spot = self._held.get(cid)
        return None if spot is None or cid in self._bad else spot.length

    def stat(self, cid: Cid) -> Link:
        """The sizes of a held DAG, as its nodes state them."""
        return describe(self, cid)

    def has(self, cid: Cid) -> bool:
        """Whether a whole DAG is held."""
        return is_whole(self, cid)

    def damage(self) -> Iterator[str]:
        """Everything in the packs that is not as the index and the format have it."""
        held: dict[str, list[tuple[Cid, Spot]]] = {}
        for cid, spot in self._held.items():
            held.setdefault(spot.pack, []).append((cid, spot))
        for name, (length, state) in self._packs.items():
            if state is not PackState.DROPPED:
                yield from self._pack(self._path(name), length, state, held.get(name, []))

    def _pack(self, path: Path, length: int, state: PackState, held: list[tuple[Cid, Spot]]) -> Iterator[str]:
        try:
            with disk(path), path.open("rb") as f, mmap(f.fileno(), 0, access=ACCESS_READ) as raw:
                if len(raw) < length or (len(raw) > length and state is PackState.SEALED):
                    yield f"the pack {path} has {len(raw)} bytes, and the index knows {length}"
                yield from self._frames(path, raw, length, held)
        except (StoreUnavailable, ValueError) as e:  # mmap of an empty file is a ValueError
            yield f"the pack {path} cannot be read: {e}"

    def _frames(self, path: Path, raw: mmap, length: int, held: list[tuple[Cid, Spot]]) -> Iterator[str]:
        inside, at = {_NO_ROOT}, HEADER_LENGTH
        for cid, spot in held:
            block = raw[spot.offset : spot.offset + spot.length]
            prefix = frame_prefix(cid, block)
            start = spot.offset - len(prefix)
            try:
                verify_block(cid, block, f"pack {path} at offset {spot.offset}")
            except VerificationFailed as e:
                yield e.message
            else:
                if cid in self._bad:
                    yield f"{cid} counts as corrupt, and is whole: the next copy that comes in heals it"
            if raw[start : spot.offset] != prefix:
                yield f"the frame in pack {path} at offset {start} is not that of {cid}"
            yield from self._dropped(path, raw, at, start, inside)
            inside.add(cid)
            at = spot.offset + spot.length
        yield from self._dropped(path, raw, at, length, inside)
        try:
            (root,) = read_header([raw[:HEADER_LENGTH]])[0]
        except (RegistryError, ValueError) as e:
            yield f"the header of pack {path} is no CARv1's: {e}"
            return
        if root not in inside:
            yield f"the header of pack {path} names {root}, which is not in it"

    def _dropped(self, path: Path, raw: mmap, at: int, end: int, inside: set[Cid]) -> Iterator[str]:
        """What nobody wants any more: frames like the others. A bad copy of a block may have been healed."""
        start = at
        while at < end:
            start = at
            try:
                size, body = read_uvarint(raw[at : at + 10], 0)
                at += body
                cid = Cid.of_raw(raw[at : at + 36])
                if cid not in self._held:
                    verify_block(cid, raw[at + 36 : min(at + size, end)], f"pack {path} at offset {at + 36}")
            except RegistryError as e:
                yield f"what lies in pack {path} at offset {start} is no frame of a CAR: {e.message}"
                return
            inside.add(cid)
            at += size
        if at > end:
            yield f"the frame in pack {path} at offset {start} is longer than its place"

    def _path(self, pack: str) -> Path:
        return self._folder / "packs" / f"{pack}.car"


def _state(pack: str, state: str) -> PackState:
    try:
        return PackState(state)
    except ValueError as e:
        raise VerificationFailed(f"the store's index says that pack {pack} is {state!r}") from e


def _cid(raw: object) -> Cid:
    try:
        return Cid.of_raw(raw if isinstance(raw, bytes) else b"")
    except Malformed as e:
        raise VerificationFailed(f"the store's index or its pins hold {raw!r}, which is no CID") from e


def _rows(path: Path, sql: str) -> list[Any]:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute("PRAGMA query_only = ON")
            return connection.execute(sql).fetchall()
    except sqlite3.Error as e:
        raise StoreUnavailable(f"{path} cannot be read: {e}") from e
