"""Takes entries into the tree, the index of keys and the verifiable map: the one place that grows them.

A gateway does it before it signs a checkpoint, a witness before it co-signs one; both use `LogIndex`,
so a map that differs from the entries cannot be explained by different code.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from registry.audit.logdb import LOG_TREE, KeyTree, LogDatabase
from registry.core.log import decode_entry, keys_of
from registry.core.merkle import EMPTY_ROOT, Completed, Frontier
from registry.core.smt import MapLeaf, SparseMap, key_hash
from registry.core.tiles import HEIGHT


@dataclass(frozen=True, slots=True)
class Pending:
    """A durable entry that no checkpoint covers yet."""

    index: int
    leaf: bytes
    keys: tuple[str, ...]


def pending_of(index: int, leaf: bytes, raw: bytes) -> Pending:
    """Read the keys of an entry from its bytes; Malformed when they are no entry."""
    return Pending(index, leaf, keys_of(decode_entry(raw)))


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a log holds: its size, its root and the root of its map."""

    size: int
    root: bytes
    map_root: bytes


@dataclass(frozen=True, slots=True)
class Growth:
    """What entries add: the trees as they will be, their rows, and the map's leaves, new and changed."""

    whole: KeyTree
    held: Sequence[KeyTree]
    new: Sequence[KeyTree]
    nodes: list[tuple[int, Completed]] = field(default_factory=list)
    grown: list[tuple[int, int, Sequence[Pending]]] = field(default_factory=list)
    added: list[MapLeaf] = field(default_factory=list)
    changed: list[MapLeaf] = field(default_factory=list)

    def postings(self) -> Iterable[tuple[int, int, int]]:
        """Where each entry stands in the trees of its keys."""
        for tree, first, entries in self.grown:
            for place, entry in enumerate(entries, first):
                yield tree, place, entry.index

    def take(self, tree: KeyTree, entries: Sequence[Pending]) -> MapLeaf:
        """Grow the tree of a key by its new entries; its new leaf in the map."""
        self.grown.append((tree.id, tree.edge.size, entries))
        self.nodes.extend((tree.id, node) for node in _grow(tree, entries))
        return MapLeaf(tree.hash or key_hash(tree.key), tree.edge.size, tree.root)


class LogIndex:
    """The growing state of one log file; its caller lets nobody else grow it meanwhile."""

    def __init__(self, database: LogDatabase) -> None:
        self._database = database
        self.map = SparseMap(database, database.key_count())

    def head(self) -> TreeHead:
        """What the file holds now, as the writer sees it."""
        whole = self._whole()
        return TreeHead(whole.edge.size, whole.root, self.map.root())

    def _whole(self) -> KeyTree:
        whole = self._database.tree("")
        assert whole is not None, "a log file has its tree from the start"
        return whole

    def grow(self, entries: Sequence[Pending]) -> Growth:
        """What these entries add to the log's tree, to the keys' trees and to the map; nothing is written."""
        of_key: defaultdict[str, list[Pending]] = defaultdict(list)
        for entry in entries:
            for key in entry.keys:
                of_key[key].append(entry)
        hashes = {key: key_hash(key) for key in of_key}
        held = self._database.trees([where for where in hashes.values() if not self.map.is_new(where)])
        known = {tree.key for tree in held}
        named = (key for key in of_key if key not in known)
        # Numbered as their keys first appear.
        new = [
            KeyTree(number, key, hashes[key], Frontier(), EMPTY_ROOT)
            for number, key in enumerate(named, self._database.next_tree())
        ]
        growth = Growth(self._whole(), held, new)
        growth.nodes.extend((LOG_TREE, node) for node in _grow(growth.whole, entries))
        growth.changed.extend(growth.take(tree, of_key[tree.key]) for tree in held)
        growth.added.extend(growth.take(tree, of_key[tree.key]) for tree in new)
        return growth

    def update_map(self, growth: Growth) -> None:
        """Take the keys' new roots into the map, before they are written; readers of the map must wait."""
        self.map.update(added=growth.added, changed=growth.changed)

    def save(self, growth: Growth) -> None:
        """Write it, inside a transaction."""
        self._database.save_trees([growth.whole, *growth.held])
        self._database.add_trees(growth.new)
        self._database.insert_postings(growth.postings())
        self._database.insert_nodes(growth.nodes)
        if self.map.is_crowded:
            self.rebuild_map()

    def rebuild_map(self) -> None:
        """Make the map again from the file: after a rollback, or when it has outgrown its arrays."""
        self.map = SparseMap(self._database, self._database.key_count() * 2)


def _grow(tree: KeyTree, entries: Iterable[Pending]) -> list[Completed]:
    done = tree.edge.extend([entry.leaf for entry in entries], step=HEIGHT)
    tree.root = tree.edge.root()
    return done
