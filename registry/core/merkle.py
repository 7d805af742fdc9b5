"""The append-only Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1), SHA-256.

Leaves and inner nodes hash under different prefixes; without them an attacker could present an
inner node as if it were an entry. Every function that makes a proof asks a `Node` reader for the
hashes of *complete* subtrees only: those never change once they exist, so they can be cached for
ever, in memory (`Tree`) or in a database, and every proof takes O(log n) of them.

>>> tree = Tree()
>>> for entry in (b"sealed", b"retrieved", b"retired"):
...     tree.append(leaf_hash(entry))
>>> proof = inclusion(tree.node, 1, 3)
>>> verify_inclusion(leaf_hash(b"retrieved"), 1, 3, proof, tree.root())
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from registry.errors import Malformed, VerificationFailed

Node = Callable[[int, int], bytes]
"""`node(level, index)`: the hash of the complete subtree over the 2^level leaves from index·2^level on."""

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Completed:
    """A subtree that became complete with an append; its hash is final."""

    level: int
    index: int
    hash: bytes


class Frontier:
    """The right edge of a tree: enough to append and to know the root, and no more.

    It holds one hash for each one-bit of `size`, the largest subtree first.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count():
            raise VerificationFailed(f"a tree of {size} leaves has {size.bit_count()} edge hashes", size=size)

    def append(self, leaf: bytes) -> list[Completed]:
        """Add one leaf hash; the subtrees it completed, the leaf itself first."""
        return [Completed(0, self.size, leaf), *self.extend([leaf], step=1)]

    def extend(self, leaves: Iterable[bytes], *, step: int) -> list[Completed]:
        """Add leaf hashes in this order; the subtrees they completed at heights step, 2·step, …"""
        done: list[Completed] = []
        hashes, size = self.hashes, self.size
        for value in leaves:
            index, level = size, 0
            while index & 1:
                value = sha256(b"\x01" + hashes.pop() + value).digest()
                index, level = index >> 1, level + 1
                if level % step == 0:
                    done.append(Completed(level, index, value))
            hashes.append(value)
            size += 1
        self.size = size
        return done

    def nodes(self) -> dict[tuple[int, int], bytes]:
        """The edge's subtrees by (level, index)."""
        found, first = {}, 0
        for value in self.hashes:
            level = (self.size - first).bit_length() - 1
            found[level, first >> level] = value
            first += 1 << level
        return found

    def root(self) -> bytes:
        """The root over everything appended so far."""
        if not self.hashes:
            return EMPTY_ROOT
        value = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            value = node_hash(left, value)
        return value


class Tree:
    """A whole tree in memory; every complete subtree is cached, so proofs take O(log n)."""

    __slots__ = ("_frontier", "_levels")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._frontier = Frontier()
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return self._frontier.size

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        for done in self._frontier.append(leaf):
            if done.level == len(self._levels):
                self._levels.append([])
            self._levels[done.level].append(done.hash)

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree: this tree's `Node` reader."""
        return self._levels[level][index]

    def root(self, size: int | None = None) -> bytes:
        """The root now, or as it was at an earlier size."""
        return self._frontier.root() if size is None else root(self.node, size)


def _split(width: int) -> int:
    """The width of the left child: the largest power of two below `width`."""
    return 1 << ((width - 1).bit_length() - 1)


def _span(node: Node, first: int, end: int) -> bytes:
    """The hash over leaves first … end − 1, which must be a subtree of the RFC's shape."""
    width = end - first
    if width & (width - 1) == 0 and first % width == 0:
        level = width.bit_length() - 1
        return node(level, first >> level)
    middle = first + _split(width)
    return node_hash(_span(node, first, middle), _span(node, middle, end))


def root(node: Node, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _span(node, 0, size) if size else EMPTY_ROOT


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """The path that shows leaf `index` in the tree of `size` leaves (RFC 6962 2.1.1)."""
    if not 0 <= index < size:
        raise Malformed(f"a tree of {size} leaves has no leaf {index}", index=index, size=size)
    path: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(_span(node, middle, end))
            end = middle
        else:
            path.append(_span(node, first, middle))
            first = middle
    path.reverse()
    return path


def consistency(node: Node, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `old` leaves is a prefix of the tree of `new` (RFC 6962 2.1.2)."""
    if not 0 <= old <= new:
        raise Malformed(f"no tree of {old} leaves lies before one of {new}", old=old, new=new)
    if old in (0, new):
        return []
    path: list[bytes] = []
    first, end = 0, new
    whole = True
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(_span(node, middle, end))
            end = middle
        else:
            path.append(_span(node, first, middle))
            first, whole = middle, False
    if not whole:
        path.append(_span(node, first, end))
    path.reverse()
    return path


def range_proof(node: Node, first: int, end: int, size: int) -> list[bytes]:
    """The hashes beside leaves first … end − 1 that rebuild the root, from left to right.

    With it a whole page of consecutive leaves is proved by O(log n) hashes, not O(log n) each.
    """
    if not 0 <= first < end <= size:
        raise Malformed(f"a tree of {size} leaves has no range {first} … {end}", first=first, end=end)
    beside: list[bytes] = []

    def walk(low: int, high: int) -> None:
        if high <= first or low >= end:
            beside.append(_span(node, low, high))
        elif not (first <= low and high <= end):
            middle = low + _split(high - low)
            walk(low, middle)
            walk(middle, high)

    walk(0, size)
    return beside


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes) -> None:
    """Return when the leaf hash is number `index` under this root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        raise VerificationFailed(f"leaf {index} is not in a tree of {size}", index=index, size=size)
    _check_hashes((leaf, expected, *proof))
    number, last, value = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            raise VerificationFailed(f"the inclusion proof of leaf {index} is too long", index=index)
        if number & 1 or number == last:
            value = node_hash(beside, value)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            value = node_hash(value, beside)
        number, last = number >> 1, last >> 1
    if last != 0 or value != expected:
        raise VerificationFailed(f"leaf {index} is not under the root of {size} leaves", index=index)


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return when the tree (old, old_root) is a prefix of (new, new_root) (RFC 9162 2.1.4.2)."""
    _check_hashes((old_root, new_root, *proof))
    if not 0 <= old <= new:
        raise VerificationFailed(f"a log cannot shrink from {old} to {new} leaves", old=old, new=new)
    if old in (0, new):
        fits = not proof and (old_root == new_root if old == new else old_root == EMPTY_ROOT)
        if not fits:
            raise VerificationFailed(f"the trees of {old} and {new} leaves disagree", old=old, new=new)
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path or _fold(old - 1, new - 1, path) != (old_root, new_root):
        raise VerificationFailed(f"the tree of {old} leaves is no prefix of that of {new}", old=old, new=new)


def _fold(number: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """The roots (old, new) that a consistency path leads to, None when its length is wrong."""
    while number & 1:
        number, last = number >> 1, last >> 1
    older = newer = path[0]
    for beside in path[1:]:
        if last == 0:
            return None
        if number & 1 or number == last:
            older, newer = node_hash(beside, older), node_hash(beside, newer)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            newer = node_hash(newer, beside)
        number, last = number >> 1, last >> 1
    return (older, newer) if last == 0 else None


def verify_range(
    leaves: Sequence[bytes], first: int, size: int, proof: Sequence[bytes], expected: bytes
) -> None:
    """Return when these leaf hashes are exactly leaves first, first + 1, … under this root."""
    end = first + len(leaves)
    if not 0 <= first < end <= size:
        raise VerificationFailed(f"leaves {first} … {end} are not in a tree of {size}", first=first, end=end)
    _check_hashes((expected, *leaves, *proof))
    beside = iter(proof)

    def value(low: int, high: int) -> bytes:
        if high <= first or low >= end:
            hashed = next(beside, None)
            if hashed is None:
                raise VerificationFailed("the range proof is too short", first=first, end=end)
            return hashed
        if high - low == 1:
            return leaves[low - first]
        middle = low + _split(high - low)
        return node_hash(value(low, middle), value(middle, high))

    found = value(0, size)
    if next(beside, None) is not None or found != expected:
        raise VerificationFailed(f"leaves {first} … {end} are not under this root", first=first, end=end)


def _check_hashes(hashes: Iterable[bytes]) -> None:
    """Refuse a hash of another length: concatenation would let one proof read as another."""
    for value in hashes:
        if len(value) != 32:
            raise VerificationFailed(f"a hash has 32 bytes, got {len(value)}", length=len(value))
