"""Reading a UnixFS DAG strictly: every size a node states is checked against what is below it.

The functions take a `block` function that gives verified bytes (they hash to their CID). A DAG whose hashes
are right can still lie, a root may state 1 GiB above a leaf of 5 bytes; here that is VerificationFailed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from registry.core.cid import RAW, Cid
from registry.errors import Malformed, NotFound, VerificationFailed
from registry.storage.base import ContentStore, Link
from registry.storage.dagpb import DIRECTORY, Node, UnixFs, decode_node, decode_unixfs

BlockSource = Callable[[Cid], bytes]


class Blocks(Protocol):
    """A place that holds blocks; `block` raises NotFound or VerificationFailed."""

    def block(self, cid: Cid) -> bytes:
        """The verified bytes of a block."""

    def block_size(self, cid: Cid) -> int | None:
        """The length of a held block without reading it, None when it is not held."""


MAX_BLOCK = 2 << 20
_MAX_LEVELS = 64


def verify_block(cid: Cid, block: bytes, place: str) -> None:
    """VerificationFailed, naming the place, unless the bytes hash to the CID."""
    found = sha256(block).digest()
    if found != cid.digest:
        raise VerificationFailed(
            f"{cid} is corrupt in {place}: its bytes hash to {found.hex()}", cid=str(cid), place=place
        )


def children(cid: Cid, block: bytes) -> tuple[Cid, ...]:
    """The CIDs that a block links to."""
    if cid.codec == RAW:
        return ()
    return tuple(link.cid for link in decode_node(block).links)


def describe(blocks: Blocks, cid: Cid) -> Link:
    """The sizes of a DAG as its nodes state them; NotFound when the root, or an entry, is not held."""
    if cid.codec == RAW:
        length = _held(blocks, cid)
        return Link(cid, length, length)
    block = blocks.block(cid)
    below = sum(link.dag_size for link in decode_node(block).links)
    return Link(cid, _file_bytes(blocks, cid, {}, 0), len(block) + below)


def _file_bytes(blocks: Blocks, cid: Cid, known: dict[Cid, int], level: int) -> int:
    # Without `known`, a few nested directories that name each other twice would take for ever.
    if cid not in known:
        _limit(cid, level)
        if cid.codec == RAW:
            known[cid] = _held(blocks, cid)
            return known[cid]
        block = blocks.block(cid)
        inside = entries(cid, block)
        if inside is None:
            known[cid] = _unixfs(cid, block)[1].size or 0
        else:
            known[cid] = sum(_file_bytes(blocks, c, known, level + 1) for c in inside.values())
    return known[cid]


def _held(blocks: Blocks, cid: Cid) -> int:
    length = blocks.block_size(cid)
    if length is None:
        raise NotFound(f"{cid} is not in this store", cid=str(cid))
    return length


def _limit(cid: Cid, level: int) -> None:
    if level > _MAX_LEVELS:
        raise VerificationFailed(f"what is above {cid} is deeper than {_MAX_LEVELS} levels")


def entries(cid: Cid, block: bytes) -> dict[str, Cid] | None:
    """What a directory block names, or None for a file."""
    if cid.codec == RAW:
        return None
    node, message = _unixfs(cid, block)
    if message.kind != DIRECTORY:
        return None
    try:
        named = {link.name.decode(): link.cid for link in node.links}
    except UnicodeDecodeError as e:
        raise Malformed(f"the directory {cid} has a name that is no UTF-8") from e
    if len(named) != len(node.links):
        raise Malformed(f"the directory {cid} names an entry twice")
    return named


@dataclass(frozen=True, slots=True)
class Part:
    """A node of a file, where it begins in it."""

    cid: Cid
    start: int
    size: int | None  # what the parent states; the root has no parent
    level: int = 0


def read(
    block_of: BlockSource,
    cid: Cid,
    offset: int = 0,
    length: int | None = None,
    *,
    leaf_of: Callable[[Part], bytes] | None = None,
) -> Iterator[bytes]:
    """The bytes of a file, or of the range clipped to it; only the blocks of the range are read.

    `leaf_of` gives the verified bytes of the leaves below the root, which are asked for in their order.
    """
    if offset < 0 or (length is not None and length < 0):
        raise Malformed(f"a range starts and extends forwards, got offset {offset}, length {length}")
    end = None if length is None else offset + length
    stack = [Part(cid, 0, None)]
    while stack:
        part = stack.pop()
        is_leaf = leaf_of is not None and part.cid.codec == RAW and part.size is not None
        block = leaf_of(part) if leaf_of is not None and is_leaf else block_of(part.cid)
        content, below = _parts(part, block)
        low, high = max(0, offset - part.start), len(content)
        if end is not None:
            high = min(high, end - part.start)
        if low < high:
            yield content if high - low == len(content) else content[low:high]
        wanted = [p for p in below if _overlaps(p, offset, end)]
        stack.extend(reversed(wanted))


def _overlaps(part: Part, offset: int, end: int | None) -> bool:
    size = part.size or 0
    return size > 0 and part.start + size > offset and (end is None or part.start < end)


def _parts(part: Part, block: bytes) -> tuple[bytes, list[Part]]:
    _limit(part.cid, part.level)
    if part.cid.codec == RAW:
        _agree(part, len(block))
        return block, []
    node, message = _unixfs(part.cid, block)
    if message.kind == DIRECTORY:
        raise Malformed(f"{part.cid} is a directory", hint="read one of its files")
    content = message.content or b""
    size = message.size or 0
    _agree(part, size)
    if len(node.links) != len(message.block_sizes) or size != len(content) + sum(message.block_sizes):
        raise VerificationFailed(f"the file node {part.cid} contradicts its own sizes")
    below, at = [], part.start + len(content)
    for link, stated in zip(node.links, message.block_sizes, strict=True):
        below.append(Part(link.cid, at, stated, part.level + 1))
        at += stated
    return content, below


def _agree(part: Part, size: int) -> None:
    if part.size is not None and part.size != size:
        raise VerificationFailed(f"{part.cid} has {size} bytes where its parent states {part.size}")


def walk(block_of: BlockSource, cids: Iterable[Cid]) -> Iterator[tuple[Cid, bytes]]:
    """Every block of many DAGs once, one DAG after the other, parents first."""
    stack = list(dict.fromkeys(cids))
    seen = set(stack)
    stack.reverse()
    while stack:
        here = stack.pop()
        block = block_of(here)
        yield here, block
        for child in reversed(children(here, block)):
            if child not in seen:
                seen.add(child)
                stack.append(child)


def is_whole(blocks: Blocks, cid: Cid) -> bool:
    """Whether a DAG is held to the last leaf; VerificationFailed when it contradicts its own sizes."""
    seen: set[tuple[Cid, int | None]] = set()
    stack = [Part(cid, 0, None)]
    while stack:
        part = stack.pop()
        if (part.cid, part.size) in seen:
            continue
        seen.add((part.cid, part.size))
        held = blocks.block_size(part.cid)
        if held is None:
            return False
        if part.cid.codec == RAW:
            _agree(part, held)
            continue
        block = blocks.block(part.cid)
        _limit(part.cid, part.level)
        inside = entries(part.cid, block)
        if inside is None:
            stack.extend(_parts(part, block)[1])
        else:
            stack.extend(Part(child, 0, None, part.level + 1) for child in inside.values())
    return True


def whole_files(store: ContentStore, roots: Iterable[Cid]) -> list[Cid]:
    """The files among these roots and in the directories among them, each once; of DAGs held whole only."""
    files = []
    stack = [root for root in dict.fromkeys(roots) if store.has(root)]
    seen = set(stack)
    stack.reverse()
    while stack:
        here = stack.pop()
        inside = None if here.codec == RAW else entries(here, store.block(here))
        if inside is None:
            files.append(here)
            continue
        below = [cid for cid in dict.fromkeys(inside.values()) if cid not in seen]
        seen.update(below)
        stack.extend(reversed(below))
    return files


@dataclass(frozen=True, slots=True)
class Stated:
    """The bytes of all blocks of a DAG and their number, a repeated one each time, and how many differ."""

    bytes: int
    blocks: int
    distinct: int


def stated(blocks: Blocks, cid: Cid) -> Stated:
    """What the nodes of a DAG say of it: a leaf is only asked for where no node states its size."""
    known: dict[Part, tuple[int, int]] = {}
    total, count = _stated(blocks, Part(cid, 0, None), known)
    return Stated(total, count, len(known))


def _stated(blocks: Blocks, part: Part, known: dict[Part, tuple[int, int]]) -> tuple[int, int]:
    key = Part(part.cid, 0, part.size)
    if key not in known:
        if part.cid.codec == RAW:
            known[key] = (_held(blocks, part.cid) if part.size is None else part.size, 1)
            return known[key]
        block = blocks.block(part.cid)
        _limit(part.cid, part.level)
        inside = entries(part.cid, block)
        if inside is None:
            below = _parts(part, block)[1]
        else:
            below = [Part(child, 0, None, part.level + 1) for child in inside.values()]
        sums = [_stated(blocks, child, known) for child in below]
        known[key] = (len(block) + sum(size for size, _ in sums), 1 + sum(count for _, count in sums))
    return known[key]


def _unixfs(cid: Cid, block: bytes) -> tuple[Node, UnixFs]:
    try:
        node = decode_node(block)
        return node, decode_unixfs(node)
    except Malformed as e:
        raise Malformed(f"{cid} is no UnixFS: {e.message}", hint=e.hint) from e
