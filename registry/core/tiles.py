"""C2SP tlog-tiles: a log as files that never change (https://c2sp.org/tlog-tiles).

A tile holds up to 256 hashes of one level; level L + 1 holds the roots of the full tiles of level L.
Entries lie beside them in bundles of up to 256, each with a two-byte length before it.

>>> tile_path(Tile(0, 1234067, 256))
'tile/0/x001/x234/067'
>>> tile_path(Tile(ENTRIES, 273, 112))
'tile/entries/273.p/112'
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from registry.errors import Malformed, VerificationFailed

WIDTH = 256
HEIGHT = 8
ENTRIES = -1
MAX_ENTRY_BYTES = 65_535

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One file of the log: `level` is ENTRIES for a bundle; `width` below 256 means it is partial."""

    level: int
    index: int
    width: int

    @property
    def first(self) -> int:
        """The number of its first hash (or entry) within the level."""
        return self.index * WIDTH


def tile_path(tile: Tile) -> str:
    """Where a tile lies under the log's prefix."""
    digits = str(tile.index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[place : place + 3] for place in range(0, len(digits), 3)]
    where = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    level = "entries" if tile.level == ENTRIES else str(tile.level)
    return f"tile/{level}/{where}" + ("" if tile.width == WIDTH else f".p/{tile.width}")


def parse_tile_path(path: str) -> Tile:
    """Read a path; Malformed unless it is the one spelling of that tile."""
    match = _PATH.fullmatch(path)
    if match is None or len(path) > 80:
        raise Malformed(f"{path[:80]!r} is no tile path", hint="see https://c2sp.org/tlog-tiles")
    level = ENTRIES if match[1] == "entries" else int(match[1])
    index = int(match[2].replace("x", "").replace("/", ""))
    tile = Tile(level, index, int(match[3]) if match[3] else WIDTH)
    if level > 63 or tile.width > WIDTH or tile_path(tile) != path:
        raise Malformed(f"{path[:80]!r} is not the plain spelling of a tile path")
    return tile


def tile_count(level: int, size: int) -> int:
    """How many hashes a tree of this size has at a tile level."""
    return size >> (HEIGHT * max(level, 0))


def check_exists(tile: Tile, size: int) -> None:
    """Return when a log of this size has that tile, full or as a partial one of that width."""
    if tile.first + tile.width > tile_count(tile.level, size):
        raise Malformed(f"{tile_path(tile)} lies beyond a log of {size} entries", size=size)


def tiles_of(size: int) -> Iterator[Tile]:
    """Every tile and bundle of a log of this size, the partial ones at their present width."""
    levels = [ENTRIES]
    while tile_count(len(levels) - 1, size):
        levels.append(len(levels) - 1)
    for level in levels:
        full, rest = divmod(tile_count(level, size), WIDTH)
        yield from (Tile(level, index, WIDTH) for index in range(full))
        if rest:
            yield Tile(level, full, rest)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The bytes of an entry bundle."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise Malformed(f"an entry of {len(entry)} bytes is over {MAX_ENTRY_BYTES}")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(raw: bytes, width: int) -> list[bytes]:
    """The entries of a bundle that should hold `width` of them."""
    entries: list[bytes] = []
    place = 0
    while place < len(raw) and len(entries) < width:
        length = int.from_bytes(raw[place : place + 2], "big")
        entry = raw[place + 2 : place + 2 + length]
        if len(entry) != length or place + 2 > len(raw):
            raise VerificationFailed("the entry bundle is cut off")
        entries.append(entry)
        place += 2 + length
    if len(entries) != width or place != len(raw):
        raise VerificationFailed(f"the entry bundle holds not exactly {width} entries")
    return entries


class TileNodes:
    """A `Node` reader over tiles: of each tile it needs, it hashes the inner levels once.

    Full tiles never change, so their levels are kept; a partial one is read again each time.
    """

    def __init__(
        self,
        hashes: Callable[[int, int], Sequence[bytes]],
        keep: int = 64,
        known: Mapping[tuple[int, int], bytes] | None = None,
    ) -> None:
        """`hashes(level, index)` answers the hashes a tile holds now, at most 256.

        `known` holds complete subtrees by (level, index) that need no tile: a tree's right edge.
        """
        self._hashes = hashes
        self._keep = keep
        self._known = known or {}
        self._held: dict[tuple[int, int], list[list[bytes]]] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree of height `level`, number `index`."""
        if (level, index) in self._known:
            return self._known[level, index]
        tile_level, height = divmod(level, HEIGHT)
        tile, place = divmod(index << height, WIDTH)
        levels = self._levels(tile_level, tile)
        if height >= len(levels) or place >> height >= len(levels[height]):
            raise VerificationFailed(f"the log has no subtree {index} of height {level}", level=level)
        return levels[height][place >> height]

    def _levels(self, level: int, index: int) -> list[list[bytes]]:
        held = self._held.get((level, index))
        if held is not None:
            return held
        levels = [list(self._hashes(level, index))]
        while len(levels[-1]) > 1 and len(levels) <= HEIGHT:
            below = levels[-1]
            pairs = range(0, len(below) - 1, 2)
            levels.append([sha256(b"\x01" + below[i] + below[i + 1]).digest() for i in pairs])
        if len(levels[0]) == WIDTH:
            if len(self._held) >= self._keep:
                # Dropping the oldest is enough: proofs of one page want the same few tiles.
                self._held.pop(next(iter(self._held)), None)
            self._held[level, index] = levels
        return levels


class TileReader(TileNodes):
    """Reads another party's log from its tiles.

    Nothing is trusted: what it answers is only good for proofs that are verified against a checkpoint.
    """

    def __init__(self, fetch: Callable[[str], bytes], size: int) -> None:
        """`fetch` answers the bytes at a path under the log's prefix."""
        super().__init__(self._tile)
        self._fetch = fetch
        self._size = size

    def _tile(self, level: int, index: int) -> list[bytes]:
        width = min(WIDTH, tile_count(level, self._size) - index * WIDTH)
        if width < 1:
            raise VerificationFailed(f"a log of {self._size} entries has no tile {index} at level {level}")
        path = tile_path(Tile(level, index, width))
        raw = self._fetch(path)
        if len(raw) != 32 * width:
            raise VerificationFailed(f"{path} has {len(raw)} bytes, not {32 * width}", path=path)
        return [raw[place : place + 32] for place in range(0, len(raw), 32)]

    def entries(self, first: int, end: int) -> Iterator[bytes]:
        """Entries first … end − 1 from their bundles."""
        number = first
        while number < end:
            index = number // WIDTH
            width = min(WIDTH, self._size - index * WIDTH)
            bundle = decode_bundle(self._fetch(tile_path(Tile(ENTRIES, index, width))), width)
            yield from bundle[number - index * WIDTH : end - index * WIDTH]
            number = (index + 1) * WIDTH
