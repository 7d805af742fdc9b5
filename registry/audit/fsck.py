"""Does everything still agree? Chain, chain log, projection, store, and each log with itself.

Each check derives one layer again from the one below it and names every difference with the layer that
is to blame. A check never stops at its first finding, and never repairs.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from registry.audit.chainlog import ChainEvent, entry_of
from registry.audit.completeness import Trust
from registry.audit.logdb import LogDatabase
from registry.audit.witness import OF_AN_ACCOUNT
from registry.core.checkpoint import Checkpoint, read_checkpoint, verify_checkpoint
from registry.core.cid import Cid
from registry.core.log import Recorded, decode_entry, keys_of
from registry.core.merkle import Completed, Frontier, leaf_hash
from registry.core.note import Note, Signature, VerifierKey, cosigners
from registry.core.smt import MapLeaf, SortedLeaves, SparseMap, key_hash
from registry.core.tiles import HEIGHT
from registry.errors import RegistryError

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree: `layer` is to blame, `where` names the place."""

    layer: str
    where: str
    text: str


@dataclass(slots=True)
class _Derived:
    """A log as it follows from its entries alone."""

    edge: Frontier = field(default_factory=Frontier)
    keys: dict[str, tuple[Frontier, list[int]]] = field(default_factory=dict)
    nodes: list[tuple[str, Completed]] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=dict)

    def map_root(self) -> bytes:
        leaves = [MapLeaf(key_hash(key), edge.size, edge.root()) for key, (edge, _) in self.keys.items()]
        return SparseMap(SortedLeaves(leaves), len(leaves)).root()


def check_log(path: Path, trust: Trust, *, signatures: int | None = None) -> Iterator[Difference]:
    """Derive a whole log from its entries and compare: hashes, tree, index of keys, map, checkpoints.

    Every line under a checkpoint must be of a log key or a witness in `trust`, and verify. With `signatures`
    that is asked of the newest so many checkpoints only; what the older ones state is compared as always.
    """
    origin = trust.origin
    if not path.exists():
        yield Difference("log", str(path), "the file is missing")
        return
    try:
        database = LogDatabase(path, origin)
    except RegistryError as e:
        yield Difference("log", str(path), e.message)
        return
    try:
        with database.snapshot():
            yield from _check_file(database, trust, signatures)
    except RegistryError as e:
        yield Difference("log", origin, e.message)
    except (TypeError, ValueError, AttributeError) as e:
        yield Difference("log", origin, f"a row holds what no log writes: {e}")
    finally:
        database.close()


def _check_file(database: LogDatabase, trust: Trust, signatures: int | None) -> Iterator[Difference]:
    origin = trust.origin
    checkpoints, damaged = [], []
    rows = database.checkpoint_rows()
    signed_from = 0 if signatures is None else len(rows) - signatures
    for number, (size, kept, raw) in enumerate(rows):
        try:
            note = Note.parse(raw)
            at = read_checkpoint(note, origin=origin)
            if number >= signed_from:
                verify_checkpoint(raw, origin=origin, logs=trust.logs)
        except RegistryError as e:
            damaged.append(Difference("checkpoint", origin, e.message))
            continue
        checkpoints.append(at)
        where = f"{origin} at {at.size}"
        if number >= signed_from:
            yield from _check_lines(note, where, trust)
        # One that a witness signed is kept for ever, any other goes when there are enough newer ones.
        if (size, kept) != (at.size, int(len(note.signatures) > 1)):
            yield Difference("checkpoint", where, f"it is filed under {size}, kept {kept}")
    yield from damaged
    covered = max((at.size for at in checkpoints), default=0)
    derived = _Derived()
    wanted = {at.size for at in checkpoints}
    yield from _check_entries(database, origin, derived, covered, wanted)
    for at in checkpoints:
        yield from _check_checkpoint(at, derived, covered)
    if not damaged and covered:
        yield from _check_index(database, origin, derived)


def _check_lines(note: Note, where: str, trust: Trust) -> Iterator[Difference]:
    """A witness is asked before its line is kept, so a line that nobody here can check is damage too."""
    known = {(key.name, key.id): key for key in (*trust.logs, *trust.witnesses)}
    for line in note.signatures:
        key = known.get((line.name, line.key_id)) or _renamed(line, trust.witnesses)
        if key is None:
            text = (
                f"a line names {line.name[:80]!r} with the key {line.key_id.hex()}, which nobody here knows"
            )
            yield Difference("checkpoint", where, text)
            continue
        try:
            cosigners(note, [key])
        except RegistryError as e:
            yield Difference("checkpoint", where, e.message)


def _renamed(line: Signature, witnesses: Iterable[VerifierKey]) -> VerifierKey | None:
    """The witness of somebody who had another account then: its name tells the account, its key stays."""
    if not line.name.startswith(OF_AN_ACCOUNT):
        return None
    keys = (replace(key, name=line.name) for key in witnesses if key.name.startswith(OF_AN_ACCOUNT))
    return next((key for key in keys if key.id == line.key_id), None)


def _check_entries(
    database: LogDatabase, origin: str, derived: _Derived, covered: int, wanted: set[int]
) -> Iterator[Difference]:
    expected = 0
    for first in range(0, database.durable_size(), _CHUNK):
        leaves = dict(database.stored_leaves(first, first + _CHUNK))
        for index, raw in database.bodies(first, first + _CHUNK):
            if index != expected:
                yield Difference(
                    "entry", f"{origin}:{expected}", f"entries {expected} … {index - 1} are missing"
                )
            expected = index + 1
            if leaves[index] != leaf_hash(raw):
                yield Difference("entry", f"{origin}:{index}", "the bytes are not those that were hashed")
            if index < covered:
                yield from _derive(derived, origin, index, raw)
                if derived.edge.size in wanted:
                    derived.roots[derived.edge.size] = derived.edge.root()


def _derive(derived: _Derived, origin: str, index: int, raw: bytes) -> Iterator[Difference]:
    leaf = leaf_hash(raw)
    derived.nodes += [("", node) for node in derived.edge.extend([leaf], step=HEIGHT)]
    try:
        keys = keys_of(decode_entry(raw))
    except RegistryError as e:
        yield Difference("entry", f"{origin}:{index}", e.message)
        return
    for key in keys:
        edge, numbers = derived.keys.setdefault(key, (Frontier(), []))
        derived.nodes += [(key, node) for node in edge.extend([leaf], step=HEIGHT)]
        numbers.append(index)


def _check_checkpoint(at: Checkpoint, derived: _Derived, covered: int) -> Iterator[Difference]:
    where = f"{at.origin} at {at.size}"
    if at.size and derived.roots.get(at.size) != at.root:
        yield Difference("entry", where, "the entries do not lead to the root that was signed")
    if at.size == covered and at.map_root is not None and derived.map_root() != at.map_root:
        yield Difference("map", where, "the map that was signed is not that of the entries")


def _check_index(database: LogDatabase, origin: str, derived: _Derived) -> Iterator[Difference]:
    """What is stored only for speed: inner hashes, the keys' trees, and their entries' numbers."""
    whole = database.tree("")
    edge = derived.edge
    if whole is None or (whole.edge.size, whole.root, whole.edge.hashes) != (
        edge.size,
        edge.root(),
        edge.hashes,
    ):
        yield Difference("log", origin, "the head that is kept is not that of the entries")
    for key in sorted(derived.keys.keys() | set(database.key_names())):
        edge, numbers = derived.keys.get(key, (Frontier(), []))
        try:
            tree = database.tree(key)
        except RegistryError as e:
            yield Difference("map", f"{origin} {key}", e.message)
            continue
        if tree is None or (tree.edge.size, tree.root, tree.edge.hashes) != (
            edge.size,
            edge.root(),
            edge.hashes,
        ):
            yield Difference("map", f"{origin} {key}", "the key's count or root is not that of the entries")
        if tree is not None and database.posted(tree.id, 0, 1 << 60) != numbers:
            yield Difference("index", f"{origin} {key}", "the index names other entries than the log holds")
    yield from _check_nodes(database, origin, derived)


def _check_nodes(database: LogDatabase, origin: str, derived: _Derived) -> Iterator[Difference]:
    stored = {(tree, level, n): held for tree, level, n, held in database.node_rows()}
    for key, node in derived.nodes:
        tree = database.tree(key)
        if tree is not None and stored.pop((tree.id, node.level, node.index), None) != node.hash:
            where = f"{origin} {key}".rstrip() + f" level {node.level} hash {node.index}"
            yield Difference("tile", where, "a stored tile hash is not that of the entries")
    for number, level, n in stored:
        yield Difference("tile", f"{origin} tree {number} level {level} hash {n}", "no entries lead to it")


def check_chain_log(records: Iterable[Recorded], events: Iterable[ChainEvent]) -> Iterator[Difference]:
    """The chain log against the final events of the chain, in order."""
    for number, (record, event) in enumerate(zip_longest(records, events)):
        if record is None and event is not None:
            yield Difference(
                "chain log", f"chain:{number}", f"{event.name} of block {event.block_number} is missing"
            )
        elif event is None and record is not None:
            yield Difference("chain log", f"chain:{number}", "the chain holds no event for this entry")
        elif event is not None and record is not None and entry_of(event).encode() != record.raw:
            yield Difference("chain log", f"chain:{number}", f"is not what block {event.block_number} holds")


def check_store(
    wanted: Iterable[tuple[str, Cid]], read: Callable[[Cid], Iterable[bytes]]
) -> Iterator[Difference]:
    """Every version's content in the store: present, whole, and of its hash. `read` re-hashes every block."""
    for version, cid in wanted:
        try:
            for _ in read(cid):
                pass
        except RegistryError as e:
            yield Difference("store", f"{version} {cid}", e.message)
