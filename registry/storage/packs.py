"""Pack files: valid CARv1 archives that are written once and never changed.

A pack is written as `new-*`, synced, renamed, and only then indexed, so a crash leaves at most a `new-*` file
that nobody knows. One *open* pack takes the small imports: it only grows, and what lies behind the length
that the index has recorded was never promised to anybody.
"""

import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from registry.core.cid import RAW, Cid
from registry.errors import Malformed, StoreUnavailable
from registry.storage.car import HEADER_LENGTH, car_header, frame_prefix
from registry.storage.dagpb import read_uvarint
from registry.storage.reader import MAX_BLOCK, verify_block
from registry.storage.room import disk
from registry.storage.writebehind import WriteBehind, write_at

_NO_ROOT = Cid(RAW, bytes(32))
_SYNC_EVERY = 32 << 20


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a block's bytes are."""

    pack: str
    offset: int
    length: int


class PackFolder:
    """The folder of packs: makes, reads, lists and removes them."""

    def __init__(self, folder: Path) -> None:
        self.path, self._text = folder, str(folder)
        with disk(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def file(self, pack: str) -> Path:
        """The path of a pack."""
        return self.path / f"{pack}.car"

    def create(self) -> "PackWriter":
        """Begin a pack that does not exist for anybody until it is published."""
        name = uuid.uuid4().hex
        path = self.path / f"new-{name}.car"
        with disk(self.path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        writer = PackWriter(self, name, path, descriptor)
        try:
            writer.truncate(0)
            writer.write_header(_NO_ROOT)
        except StoreUnavailable:
            writer.abandon()
            raise
        return writer

    def reopen(self, pack: str, length: int) -> "PackWriter":
        """Go on behind the recorded length of an open pack; what lay behind it was never promised."""
        with disk(self.path):
            descriptor = os.open(self.file(pack), os.O_RDWR)
        writer = PackWriter(self, pack, self.file(pack), descriptor)
        writer.truncate(length)
        return writer

    def read(self, cid: Cid, spot: Spot) -> bytes:
        """The verified bytes at a spot; FileNotFoundError when the pack has just been replaced."""
        path = f"{self._text}/{spot.pack}.car"  # a Path takes longer to put together than the block to hash
        descriptor = os.open(path, os.O_RDONLY)
        try:
            block = os.pread(descriptor, spot.length, spot.offset)
        finally:
            os.close(descriptor)
        verify_block(cid, block, f"pack {path} at offset {spot.offset}")
        return block

    def sizes(self) -> dict[str, int]:
        """The packs on disk and their lengths."""
        with disk(self.path):
            return {
                p.stem: p.stat().st_size for p in self.path.glob("*.car") if not p.name.startswith("new-")
            }

    def remove(self, pack: str) -> None:
        """Remove a pack that the index no longer names."""
        with disk(self.path):
            self.file(pack).unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """Remove what a crash left half written."""
        with disk(self.path):
            for path in self.path.glob("new-*.car"):
                path.unlink()

    def scan(self, pack: str) -> Iterator[tuple[Cid, Spot]]:
        """The blocks of a pack that hash to their CID, up to its end or to a frame that cannot be read."""
        with disk(self.path), self.file(pack).open("rb", buffering=0) as f:
            at, header = 0, True
            while frame := _frame_at(f.fileno(), at):
                start, end = frame
                if not header:
                    cid = _cid_at(f.fileno(), start)
                    block = os.pread(f.fileno(), end - start - 36, start + 36)
                    if cid is not None and sha256(block).digest() == cid.digest:
                        yield cid, Spot(pack, start + 36, len(block))
                at, header = end, False

    def sync(self) -> None:
        """Make the names in the folder durable."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class PackWriter:
    """One pack being written; `publish` makes it durable under its name, `abandon` leaves no trace."""

    def __init__(self, folder: PackFolder, name: str, path: Path, descriptor: int) -> None:
        self.name = name
        self.length = 0
        self._folder = folder
        self._path = path
        self._root = _NO_ROOT
        self._fd = descriptor
        self._behind = WriteBehind(descriptor)

    def write_header(self, root: Cid) -> None:
        """Write, or overwrite, the header; its length never changes."""
        with disk(self._folder.path):
            write_at(self._fd, car_header((root,)), 0)
        self.length = max(self.length, HEADER_LENGTH)

    def append(self, cid: Cid, block: bytes) -> Spot:
        """Write a block behind the others; it is durable only after `publish` or `sync`."""
        prefix, at = self._reserve(cid, block)
        with disk(self._folder.path):
            write_at(self._fd, prefix, at)
            write_at(self._fd, block, at + len(prefix))
        return Spot(self.name, at + len(prefix), len(block))

    def append_all(self, blocks: Mapping[Cid, bytes]) -> list[tuple[Cid, Spot]]:
        """As `append`, for many: in one write, so they must be few enough to be in memory twice."""
        begin, pieces, added = self.length, [], []
        for cid, block in blocks.items():
            prefix, at = self._reserve(cid, block)
            pieces += [prefix, block]
            added.append((cid, Spot(self.name, at + len(prefix), len(block))))
        with disk(self._folder.path):
            write_at(self._fd, b"".join(pieces), begin)
        return added

    def append_behind(self, cid: Cid, block: bytes) -> Spot:
        """As `append`, while the caller goes on hashing; a failure shows at a later call or at `publish`."""
        prefix, at = self._reserve(cid, block)
        with disk(self._folder.path):
            self._behind.write(prefix, at)
            self._behind.write(block, at + len(prefix))
        return Spot(self.name, at + len(prefix), len(block))

    def _reserve(self, cid: Cid, block: bytes) -> tuple[bytes, int]:
        prefix, at = frame_prefix(cid, block), self.length
        self.length += len(prefix) + len(block)
        self._root = cid
        return prefix, at

    def sync(self) -> None:
        """Make everything appended durable."""
        with disk(self._folder.path):
            os.fdatasync(self._fd)

    def truncate(self, length: int) -> None:
        """Forget what lies behind a length."""
        with disk(self._folder.path):
            os.ftruncate(self._fd, length)
            self.length = length

    def publish(self) -> None:
        """Give the pack its name, durably, and keep it open for appending."""
        with disk(self._folder.path):
            self._behind.finish()
        # The last block is the root: an importer emits children before parents.
        self.write_header(self._root)
        with disk(self._folder.path):
            os.fsync(self._fd)
            self._path.rename(self._folder.file(self.name))
            self._path = self._folder.file(self.name)
            self._folder.sync()

    def finish(self) -> None:
        """Make the pack durable under its name and let go of it."""
        try:
            self.publish()
        finally:
            self.close()

    def abandon(self) -> None:
        """Remove the pack."""
        self.close()
        with disk(self._folder.path):
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; may be called again."""
        if self._fd >= 0:
            self._behind.stop()
            os.close(self._fd)
            self._fd = -1


def _frame_at(descriptor: int, at: int) -> tuple[int, int] | None:
    try:
        length, used = read_uvarint(os.pread(descriptor, 10, at), 0)
    except Malformed:
        return None
    end = at + used + length
    whole = length <= MAX_BLOCK + 36 and end <= os.fstat(descriptor).st_size
    return (at + used, end) if whole else None


def _cid_at(descriptor: int, at: int) -> Cid | None:
    try:
        return Cid.of_raw(os.pread(descriptor, 36, at))
    except Malformed:
        return None
