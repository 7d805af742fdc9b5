"""Files and directories as UnixFS DAGs, byte for byte as Kubo makes them.

The balanced layout fills a tree from the left with all leaves at one depth; a full node is closed only when
one more sibling arrives. Memory is one chunk and the open nodes, whatever the size of the file. The client
computes the same names without a store, so a server can be checked and need not be believed.

>>> str(import_file([b"hello ", b"world"]).cid)
'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from registry.core.cid import DAG_PB, RAW, Cid
from registry.errors import Malformed, TooLarge
from registry.storage.base import Link, Stored
from registry.storage.dagpb import DIRECTORY, FILE, NodeLink, UnixFs, encode_node, encode_unixfs

BlockSink = Callable[[Cid, bytes], None]
MAX_ENTRIES = 4000
MAX_DEPTH = 32
_HAMT_THRESHOLD = 262_144


@dataclass(frozen=True, slots=True)
class Profile:
    """The choices that decide a file's CID."""

    name: str
    chunk: int
    width: int
    cid_version: int
    raw_leaves: bool

    def written(self, cid: Cid) -> bytes:
        """The CID as this profile writes it into a link."""
        return cid.raw[2:] if self.cid_version == 0 else cid.raw


UNIXFS_V1_2025 = Profile("unixfs-v1-2025", 1 << 20, 1024, 1, raw_leaves=True)
KUBO_CIDV1_256K = Profile("kubo-cidv1-256k-174", 1 << 18, 174, 1, raw_leaves=True)
UNIXFS_V0_2015 = Profile("unixfs-v0-2015", 1 << 18, 174, 0, raw_leaves=False)
KUBO_CIDV1_NORAW = Profile("kubo-cidv1-noraw-256k-174", 1 << 18, 174, 1, raw_leaves=False)
PROFILES = {p.name: p for p in (UNIXFS_V1_2025, KUBO_CIDV1_256K, UNIXFS_V0_2015, KUBO_CIDV1_NORAW)}


def keep_nothing(cid: Cid, block: bytes) -> None:
    """The sink of a caller that wants only the name."""


def import_file(
    chunks: Iterable[bytes], sink: BlockSink = keep_nothing, profile: Profile = UNIXFS_V1_2025
) -> Stored:
    """Name a file given in pieces of any length; each block goes to the sink once, children first."""
    tree = _Tree(profile, sink)
    leaves = rechunk(chunks, profile.chunk)
    first, second = next(leaves, b""), next(leaves, None)
    tree.add(first)
    if second is None:
        root = tree.close()
        # One raw leaf is named by its sha-256: it need not be hashed twice.
        digest = root.cid.digest if root.cid.codec == RAW else hashlib.sha256(first).digest()
        return Stored(root.cid, root.size, root.dag_size, digest)
    whole = hashlib.sha256(first)
    for chunk in chain((second,), leaves):
        whole.update(chunk)
        tree.add(chunk)
    root = tree.close()
    return Stored(root.cid, root.size, root.dag_size, whole.digest())


def rechunk(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of exactly `size`, the last one shorter; no empty piece."""
    pending: list[memoryview] = []
    missing = size
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) >= missing:
            pending.append(rest[:missing])
            rest = rest[missing:]
            yield b"".join(pending)
            pending, missing = [], size
        if rest:
            pending.append(rest)
            missing -= len(rest)
    if pending:
        yield b"".join(pending)


class _Tree:
    """A balanced tree under construction: level 0 holds leaves, each at most one width."""

    def __init__(self, profile: Profile, sink: BlockSink) -> None:
        self._profile = profile
        self._sink = sink
        self._levels: list[list[Link]] = [[]]

    def add(self, chunk: bytes) -> None:
        self._push(0, self._leaf(chunk))

    def close(self) -> Link:
        if not self._levels[0]:
            self.add(b"")
        level = 0
        while level < len(self._levels) - 1 or len(self._levels[level]) > 1:
            self._push(level + 1, self._parent(self._levels[level]))
            level += 1
        return self._levels[level][0]

    def _push(self, level: int, node: Link) -> None:
        if level == len(self._levels):
            self._levels.append([])
        siblings = self._levels[level]
        if len(siblings) == self._profile.width:
            self._push(level + 1, self._parent(siblings))
            siblings.clear()
        siblings.append(node)

    def _leaf(self, chunk: bytes) -> Link:
        if self._profile.raw_leaves:
            return _emit(self._sink, RAW, chunk, len(chunk), 0)
        message = UnixFs(FILE, chunk or None, len(chunk))
        return _emit(self._sink, DAG_PB, encode_node((), encode_unixfs(message)), len(chunk), 0)

    def _parent(self, children: list[Link]) -> Link:
        size, below = sum(c.size for c in children), sum(c.dag_size for c in children)
        return _emit(self._sink, DAG_PB, _parent_block(self._profile, children), size, below)


def _parent_block(profile: Profile, children: list[Link]) -> bytes:
    links = tuple(NodeLink(profile.written(c.cid), b"", c.dag_size) for c in children)
    sizes = tuple(c.size for c in children)
    return encode_node(links, encode_unixfs(UnixFs(FILE, None, sum(sizes), sizes)))


def _emit(sink: BlockSink, codec: int, block: bytes, size: int, below: int) -> Link:
    cid = Cid(codec, hashlib.sha256(block).digest())
    sink(cid, block)
    return Link(cid, size, len(block) + below)


def file_link(cid: Cid, size: int) -> Link:
    """The link to a file of profile unixfs-v1-2025 whose CID and size are known, as from a manifest.

    The size of a DAG follows from the size of its file, so no store is asked and no stated size believed.
    """
    profile = UNIXFS_V1_2025
    count, tail = divmod(size, profile.chunk)
    full = Link(Cid(RAW, bytes(32)), profile.chunk, profile.chunk)
    last = Link(full.cid, tail, tail) if tail or not count else full
    count += last is not full
    # On every level all nodes but the last are alike: two blocks per level tell the sizes of all.
    while count > 1:
        groups, rest = divmod(count, profile.width)
        rest, groups = (rest, groups + 1) if rest else (profile.width, groups)
        parent = _sized(profile, [full] * profile.width)
        last = _sized(profile, [full] * (rest - 1) + [last])
        full, count = parent, groups
    return Link(cid, size, last.dag_size)


def _sized(profile: Profile, children: list[Link]) -> Link:
    block = _parent_block(profile, children)
    below = sum(c.dag_size for c in children)
    return Link(Cid(DAG_PB, bytes(32)), sum(c.size for c in children), len(block) + below)


def weights_root(files: Mapping[str, Link]) -> Link:
    """Name the directory of all files of a version: what a Version commits to as `weightsRoot`."""
    return directory(files)


def directory(
    entries: Mapping[str, Link], sink: BlockSink = keep_nothing, profile: Profile = UNIXFS_V1_2025
) -> Link:
    """Name a directory; `a/b.safetensors` makes a directory `a` in it. TooLarge where Kubo would shard."""
    here: dict[str, Link] = {}
    below: dict[str, dict[str, Link]] = {}
    for path, link in entries.items():
        if path.count("/") >= MAX_DEPTH:
            raise Malformed(f"{path[:80]!r} is nested deeper than {MAX_DEPTH} directories")
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = link
        else:
            here[name] = link
    both = sorted(here.keys() & below.keys())
    if both:
        raise Malformed(f"{both[0]!r} is both a file and a directory")
    return _flat(
        here | {name: directory(inner, sink, profile) for name, inner in below.items()}, sink, profile
    )


def _flat(entries: Mapping[str, Link], sink: BlockSink, profile: Profile) -> Link:
    if len(entries) > MAX_ENTRIES:
        raise TooLarge(f"a directory holds at most {MAX_ENTRIES} entries, got {len(entries)}")
    # Kubo sorts by the bytes of the names, which is not the order of the text beyond ASCII.
    named = sorted(((_entry_name(name), link) for name, link in entries.items()), key=lambda entry: entry[0])
    links = tuple(NodeLink(profile.written(link.cid), name, link.dag_size) for name, link in named)
    block = encode_node(links, encode_unixfs(UnixFs(DIRECTORY)))
    if len(block) > _HAMT_THRESHOLD:
        raise TooLarge(f"a directory block of {len(block)} bytes is over {_HAMT_THRESHOLD}; nest the entries")
    size, below = sum(e.size for e in entries.values()), sum(e.dag_size for e in entries.values())
    return _emit(sink, DAG_PB, block, size, below)


def _entry_name(name: str) -> bytes:
    try:
        raw = name.encode()
    except UnicodeEncodeError as e:
        raise Malformed(f"{name!r} is no Unicode text and cannot name an entry") from e
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(raw) > 255:
        raise Malformed(f"{name!r} cannot name an entry of a directory")
    return raw
