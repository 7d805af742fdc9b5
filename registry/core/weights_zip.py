"""A ZIP archive, read strictly: only what a plain writer such as `numpy.savez` makes.

Python's zipfile forgives (bytes before, between and after the entries, sizes that lie, one name twice); two
readers then see two archives. Here the entries must fill the file from its first byte to the directory, and
the directory must repeat what each entry says of itself.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from registry.core.weights_base import CHUNK, length_of, read_at, refused

MAX_ENTRIES = 10_000
MAX_DIRECTORY = 4 << 20
MAX_UNPACKED = 16 << 30
MAX_RATIO = 200  # deflate reaches 1032; weights that shrink so far are a decompression bomb
_RATIO_FLOOR = 1 << 20
_END = struct.Struct("<4s4H2IH")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_UTF8 = 0x0800
_NEWEST = 45  # the ZIP version that brought zip64, which numpy asks for
_FULL = 0xFFFFFFFF
_KIND = "npz"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive and where its packed bytes are."""

    name: str
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int


def read_entries(file: BinaryIO) -> tuple[Entry, ...]:
    """All entries in the order of their bytes; Malformed says what is wrong."""
    size = length_of(file)
    if size < _END.size:
        raise refused(_KIND, "it is too short for an archive")
    magic, disk, start_disk, here, count, length, start, comment = _END.unpack(
        read_at(file, size - _END.size, _END.size, _KIND)
    )
    if magic != b"PK\5\6" or comment or disk or start_disk or here != count:
        raise refused(_KIND, "it does not end with the directory of a single archive without comment")
    if count > MAX_ENTRIES or length > MAX_DIRECTORY or start + length != size - _END.size:
        raise refused(_KIND, f"its directory of {count} entries in {length} bytes is not where it must be")
    found = _directory(read_at(file, start, length, _KIND), count)
    if len({entry.name for entry, _ in found}) != count:
        raise refused(_KIND, "a name occurs twice")
    if sum(entry.unpacked for entry, _ in found) > MAX_UNPACKED:
        raise refused(_KIND, f"it unpacks to more than {MAX_UNPACKED} bytes")
    return _placed(file, sorted(found, key=lambda pair: pair[0].offset), start)


def unpack(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """The bytes of an entry, in pieces; sizes and checksum are those of the bytes, not those stated."""
    unpacker = zlib.decompressobj(-15) if entry.method == _DEFLATED else None
    crc, total, left, offset = 0, 0, entry.packed, entry.offset
    while left:
        packed = read_at(file, offset, min(CHUNK, left), _KIND)
        offset, left = offset + len(packed), left - len(packed)
        for piece in _inflate(unpacker, packed) if unpacker else (packed,):
            crc, total = zlib.crc32(piece, crc), total + len(piece)
            if total > entry.unpacked:
                raise refused(_KIND, f"{entry.name!r} unpacks to more than the {entry.unpacked} bytes stated")
            yield piece
    if total != entry.unpacked or crc != entry.crc or (unpacker and not unpacker.eof):
        raise refused(_KIND, f"{entry.name!r} does not unpack to the size and checksum stated")


def _inflate(unpacker: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    if unpacker.eof:
        raise refused(_KIND, "bytes follow the end of a packed entry")
    while True:
        try:
            piece = unpacker.decompress(packed, CHUNK)
        except zlib.error as e:
            raise refused(_KIND, f"an entry does not unpack: {e}") from e
        if unpacker.unused_data:
            raise refused(_KIND, "bytes follow the end of a packed entry")
        if piece:
            yield piece
        packed = unpacker.unconsumed_tail
        # A full piece may leave output waiting inside although its input is used up.
        if not packed and len(piece) < CHUNK:
            return


def _directory(raw: bytes, count: int) -> list[tuple[Entry, bytes]]:
    """Each entry with the offset of its local header, and what that header must repeat."""
    found, position = [], 0
    for _ in range(count):
        if position + _CENTRAL.size > len(raw):
            raise refused(_KIND, "its directory ends early")
        fields = _CENTRAL.unpack_from(raw, position)
        name_end = position + _CENTRAL.size + fields[10]
        name = raw[position + _CENTRAL.size : name_end]
        position = name_end + fields[11] + fields[12]
        if (
            fields[0] != b"PK\1\2"
            or fields[2] > _NEWEST
            or fields[12]
            or fields[13]
            or len(name) != fields[10]
        ):
            raise refused(_KIND, "its directory holds an entry that is none")
        found.append((_entry(name, fields), name))
    if position != len(raw):
        raise refused(_KIND, "its directory has bytes after the last entry")
    return found


def _entry(name: bytes, fields: tuple[int, ...]) -> Entry:
    flags, method, crc, packed, unpacked, offset = fields[3], fields[4], *fields[7:10], fields[16]
    if flags & ~_UTF8 or method not in (_STORED, _DEFLATED) or _FULL in (packed, unpacked, offset):
        raise refused(
            _KIND, f"{name[:80]!r} is encrypted, streamed, over 4 GiB or packed by an unusual method"
        )
    if method == _STORED and packed != unpacked:
        raise refused(_KIND, f"{name[:80]!r} is stored and yet of two sizes")
    if unpacked > max(_RATIO_FLOOR, packed * MAX_RATIO):
        raise refused(_KIND, f"{name[:80]!r} claims to unpack {packed} bytes to {unpacked}")
    try:
        text = name.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as e:
        raise refused(_KIND, f"{name[:80]!r} is no readable name") from e
    return Entry(text, method, crc, packed, unpacked, offset)


def _placed(file: BinaryIO, found: list[tuple[Entry, bytes]], end: int) -> tuple[Entry, ...]:
    """The entries with the offsets of their bytes, which must follow each other without gap or overlap."""
    placed, position = [], 0
    for entry, name in found:
        if entry.offset != position:
            raise refused(_KIND, f"{entry.name!r} is at {entry.offset}, not at {position}")
        fields = _LOCAL.unpack(read_at(file, position, _LOCAL.size, _KIND))
        start = position + _LOCAL.size + fields[9] + fields[10]
        stated = read_at(file, position + _LOCAL.size, fields[9] + fields[10], _KIND)
        if fields[0] != b"PK\3\4" or stated[: fields[9]] != name or not _repeats(fields, stated, entry):
            raise refused(_KIND, f"{entry.name!r} says otherwise of itself than the directory does")
        placed.append(Entry(entry.name, entry.method, entry.crc, entry.packed, entry.unpacked, start))
        position = start + entry.packed
    if position != end:
        raise refused(_KIND, f"its entries end at {position}, its directory begins at {end}")
    return tuple(placed)


def _repeats(fields: tuple[int, ...], stated: bytes, entry: Entry) -> bool:
    unpacked, packed = fields[8], fields[7]
    if _FULL in (packed, unpacked):
        # numpy announces zip64 in every local header: id 1, 16 bytes, then both sizes.
        extra = stated[fields[9] :]
        if len(extra) != 20 or extra[:4] != b"\1\0\x10\0":
            return False
        unpacked, packed = struct.unpack("<QQ", extra[4:])
    return (
        (fields[2] & ~_UTF8, fields[3], fields[6]) == (0, entry.method, entry.crc)
        and packed == entry.packed
        and unpacked == entry.unpacked
    )
