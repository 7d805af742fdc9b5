"""The verifiable map: proves what a key holds, or that it holds nothing (protocol.md 6).

Keys of the log's index ("actor:0x…", "kind:retrieval") are committed to (count, RFC 6962 root over
the leaf hashes of that key's entries in order). A sparse Merkle tree over sha256(key), bits from
the most significant: an empty subtree is 32 zero bytes, a subtree with one leaf is that leaf
sha256(0x00 ‖ keyhash ‖ u64be count ‖ root), any other sha256(0x01 ‖ left ‖ right).

Because the path of a key is fixed by its own hash, one root gives every key exactly one answer.

>>> leaf = MapLeaf(key_hash("kind:start"), 1, bytes(32))
>>> grown = SparseMap(SortedLeaves([leaf]))
>>> proof = grown.prove("kind:stop")
>>> verify_absent(proof, "kind:stop", grown.root())
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Protocol

from registry.errors import VerificationFailed

EMPTY = bytes(32)
_SPARE_LEVELS = 1
_MAX_DEPTH = 21


def key_hash(key: str) -> bytes:
    """Where a key lives in the map."""
    return sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True, order=True)
class MapLeaf:
    """What the map says about one key: it has `count` entries and `root` is over their leaf hashes."""

    key: bytes
    count: int
    root: bytes

    def hash(self) -> bytes:
        """The hash of the leaf."""
        return sha256(b"\x00" + self.key + self.count.to_bytes(8, "big") + self.root).digest()


@dataclass(frozen=True, slots=True)
class MapProof:
    """The siblings from the root down, and the leaf at the end of the path if there is one.

    The leaf is the key's own (presence) or that of another key which has the subtree to itself (absence).
    """

    siblings: tuple[bytes, ...]
    leaf: MapLeaf | None


class Leaves(Protocol):
    """Where a map finds the leaves under a prefix; the order is by key."""

    def between(self, first: bytes, last: bytes) -> Sequence[MapLeaf]:
        """The leaves with first ≤ key ≤ last, sorted."""
        ...


class SortedLeaves:
    """Leaves in memory."""

    __slots__ = ("_by_key", "_keys")

    def __init__(self, leaves: Iterable[MapLeaf] = ()) -> None:
        self._by_key = {leaf.key: leaf for leaf in leaves}
        self._keys = sorted(self._by_key)

    def put(self, leaf: MapLeaf) -> None:
        """Add a leaf or replace the one of that key."""
        if leaf.key not in self._by_key:
            insort(self._keys, leaf.key)
        self._by_key[leaf.key] = leaf

    def between(self, first: bytes, last: bytes) -> Sequence[MapLeaf]:
        """The leaves with first ≤ key ≤ last, sorted."""
        first_place, end = bisect_left(self._keys, first), bisect_right(self._keys, last)
        return [self._by_key[key] for key in self._keys[first_place:end]]


_Hashed = tuple[bytes, bytes]
"""A leaf as its subtree needs it: its key and its hash."""


def _hashed(leaves: Iterable[MapLeaf]) -> list[_Hashed]:
    return [(leaf.key, leaf.hash()) for leaf in leaves]


def subtree(leaves: Sequence[_Hashed], depth: int) -> bytes:
    """The hash of the subtree at `depth` that holds exactly these sorted leaves: the definition."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0][1]
    middle = _first_right(leaves, depth)
    left, right = subtree(leaves[:middle], depth + 1), subtree(leaves[middle:], depth + 1)
    return sha256(b"\x01" + left + right).digest()


def _first_right(leaves: Sequence[_Hashed], depth: int) -> int:
    """How many of the sorted leaves go left at this depth."""
    low, high = 0, len(leaves)
    while low < high:
        middle = (low + high) // 2
        if _bit(leaves[middle][0], depth):
            high = middle
        else:
            low = middle + 1
    return low


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


class SparseMap:
    """The map's upper levels in flat arrays; what lies below them is read from `leaves`.

    Keys are hashes, so they spread evenly. A leaf that is alone in its cell of the lowest array is known by
    its key and hash: the `leaves` are read only of cells that hold several, at most one in ten while there
    are two cells for each leaf. An update costs O(log n) hashes.
    """

    def __init__(self, leaves: Leaves, count: int = 0) -> None:
        """`count`: about how many leaves there are, to choose the height of the arrays."""
        self._leaves = leaves
        self._depth = min(max(count, 1).bit_length() + _SPARE_LEVELS, _MAX_DEPTH)
        self._levels = [bytearray(32 << level) for level in range(self._depth + 1)]
        self._counts = [bytearray(1 << level) for level in range(self._depth + 1)]
        self._alone = bytearray(32 << self._depth)
        self._held = 0
        bits = min(8, self._depth)
        for piece in range(1 << bits):  # a million leaves are never in memory together
            held = self._under(piece << (256 - bits), bits)
            self._held += len(held)
            cells = set()
            for cell, found in groupby(held, self._cell_of):
                self._put(cell, list(found))
                cells.add(cell)
            self._fold_above(cells)

    def root(self) -> bytes:
        """The root over all leaves."""
        return bytes(self._levels[0])

    @property
    def is_crowded(self) -> bool:
        """True when updates became slow and a new map over the same leaves should be made."""
        return self._depth < _MAX_DEPTH and 2 * self._held > 1 << self._depth

    def is_new(self, key: bytes) -> bool:
        """True when the map shows at once that it has no leaf of this key; False says nothing."""
        cell = self._path(key)
        return not self._counts[-1][cell] or (
            self._counts[-1][cell] == 1 and self._alone[32 * cell : 32 * cell + 32] != key
        )

    def _path(self, key: bytes) -> int:
        return int.from_bytes(key[:4], "big") >> (32 - self._depth)

    def _cell_of(self, leaf: MapLeaf) -> int:
        return self._path(leaf.key)

    def _hash_at(self, level: int, index: int) -> bytes:
        return bytes(self._levels[level][32 * index : 32 * index + 32])

    def _put(self, cell: int, held: Sequence[MapLeaf]) -> None:
        """State what a cell of the lowest array holds."""
        place = slice(32 * cell, 32 * cell + 32)
        self._levels[-1][place] = subtree(_hashed(held), self._depth)
        self._counts[-1][cell] = min(len(held), 2)
        if len(held) == 1:
            self._alone[place] = held[0].key

    def update(self, *, added: Iterable[MapLeaf] = (), changed: Iterable[MapLeaf] = ()) -> None:
        """Take in leaves of new keys and new values of held ones; `leaves` may answer with them already."""
        lowest, counts, alone = self._levels[-1], self._counts[-1], self._alone
        of_cell: defaultdict[int, list[MapLeaf]] = defaultdict(list)
        shared = set()
        for leaf in added:
            self._held += 1
            cell = self._cell_of(leaf)
            of_cell[cell].append(leaf)
            place = slice(32 * cell, 32 * cell + 32)
            if not counts[cell]:
                lowest[place], alone[place], counts[cell] = leaf.hash(), leaf.key, 1
            elif counts[cell] == 1:
                both = sorted([(bytes(alone[place]), bytes(lowest[place])), (leaf.key, leaf.hash())])
                lowest[place], counts[cell] = subtree(both, self._depth), 2
            else:
                shared.add(cell)
        for leaf in changed:
            cell = self._cell_of(leaf)
            of_cell[cell].append(leaf)
            if counts[cell] == 1:
                lowest[32 * cell : 32 * cell + 32] = leaf.hash()
            else:
                shared.add(cell)
        for cell in shared:
            held = {leaf.key: leaf for leaf in self._under(cell << (256 - self._depth), self._depth)}
            held |= {leaf.key: leaf for leaf in of_cell[cell]}
            self._put(cell, sorted(held.values()))
        self._fold_above(of_cell)

    def _fold_above(self, cells: Iterable[int]) -> None:
        """Recompute what lies above these cells of the lowest array.

        A subtree with one leaf *is* that leaf, so its hash moves up unchanged.
        """
        for level in range(self._depth - 1, -1, -1):
            cells = {cell >> 1 for cell in cells}
            here, below = self._levels[level], self._levels[level + 1]
            counts, under = self._counts[level], self._counts[level + 1]
            for cell in cells:
                left, right, place = under[2 * cell], under[2 * cell + 1], 64 * cell
                if left + right > 1:
                    here[32 * cell : 32 * cell + 32] = sha256(b"\x01" + below[place : place + 64]).digest()
                    counts[cell] = 2
                else:
                    place += 0 if left else 32
                    here[32 * cell : 32 * cell + 32] = below[place : place + 32]
                    counts[cell] = left + right

    def prove(self, key: str) -> MapProof:
        """The proof of what the map says about a key, present or absent."""
        wanted = key_hash(key)
        path = int.from_bytes(wanted, "big")
        siblings: list[bytes] = []
        for level in range(self._depth):
            if self._counts[level][path >> (256 - level)] < 2:
                return self._end(path, level, siblings)
            siblings.append(self._hash_at(level + 1, (path >> (255 - level)) ^ 1))
        held = self._under(path, self._depth)
        depth = self._depth
        while len(held) > 1:
            middle = _first_right(_hashed(held), depth)
            left, right = held[:middle], held[middle:]
            held, beside = (right, left) if _bit(wanted, depth) else (left, right)
            depth += 1
            siblings.append(subtree(_hashed(beside), depth))
        return MapProof(tuple(siblings), held[0] if held else None)

    def _end(self, path: int, level: int, siblings: list[bytes]) -> MapProof:
        held = self._under(path, level) if self._counts[level][path >> (256 - level)] else ()
        return MapProof(tuple(siblings), held[0] if held else None)

    def _under(self, path: int, level: int) -> Sequence[MapLeaf]:
        shift = 256 - level
        first = path >> shift << shift
        return self._leaves.between(first.to_bytes(32, "big"), (first + (1 << shift) - 1).to_bytes(32, "big"))


def proof_root(proof: MapProof, wanted: bytes) -> bytes:
    """The map root that a proof leads to for this key hash."""
    if len(proof.siblings) > 256 or any(len(value) != 32 for value in proof.siblings):
        raise VerificationFailed(f"a map proof has at most 256 hashes of 32 bytes, got {len(proof.siblings)}")
    value = EMPTY if proof.leaf is None else proof.leaf.hash()
    for depth in range(len(proof.siblings) - 1, -1, -1):
        beside = proof.siblings[depth]
        pair = beside + value if _bit(wanted, depth) else value + beside
        value = sha256(b"\x01" + pair).digest()
    return value


def verify_present(proof: MapProof, key: str, expected: bytes) -> MapLeaf:
    """What this root says about the key; VerificationFailed when the proof does not show it."""
    wanted = key_hash(key)
    if proof.leaf is None or proof.leaf.key != wanted:
        raise VerificationFailed(f"the map proof is not about {key}", key=key)
    _check_root(proof, key, expected)
    return proof.leaf


def verify_absent(proof: MapProof, key: str, expected: bytes) -> None:
    """Return when this root says that the key has no entry at all."""
    wanted, leaf = key_hash(key), proof.leaf
    if leaf is not None:
        shift = max(256 - len(proof.siblings), 0)
        shares = int.from_bytes(leaf.key, "big") >> shift == int.from_bytes(wanted, "big") >> shift
        if leaf.key == wanted or len(leaf.key) != 32 or not shares:
            raise VerificationFailed(f"the map proof does not show {key} absent", key=key)
    _check_root(proof, key, expected)


def _check_root(proof: MapProof, key: str, expected: bytes) -> None:
    leaf = proof.leaf
    if leaf is not None and (len(leaf.root) != 32 or not 0 < leaf.count < 1 << 64):
        raise VerificationFailed(f"the map leaf for {key} is malformed", key=key)
    if proof_root(proof, key_hash(key)) != expected:
        raise VerificationFailed(f"the map proof for {key} does not lead to the map root", key=key)
