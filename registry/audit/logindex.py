"""Takes entries into the tree, the index of keys and the verifiable map: the one place that grows them.

A gateway does it before it signs a checkpoint, a witness before it co-signs one; both call `integrate`,
so a map that differs from the entries cannot be explained by different code.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from registry.audit.logdb import LOG_TREE, KeyTree, LogDatabase
from registry.core.log import decode_entry, keys_of
from registry.core.merkle import Completed
from registry.core.smt import SparseMap, key_hash
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


class LogIndex:
    """The growing state of one log file; its caller holds the writer's lock."""

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

    def write(self, entries: Iterable[Pending]) -> list[bytes]:
        """Grow the log's tree and the keys' trees, inside a transaction; the key hashes that changed."""
        whole = self._whole()
        trees: dict[str, KeyTree] = {}
        postings: list[tuple[int, int, int]] = []
        done: list[tuple[int, Completed]] = []
        for entry in entries:
            done += [(LOG_TREE, node) for node in whole.edge.append(entry.leaf)[HEIGHT::HEIGHT]]
            for key in entry.keys:
                tree = trees.get(key) or self._open(key, trees)
                postings.append((tree.id, tree.edge.size, entry.index))
                done += [(tree.id, node) for node in tree.edge.append(entry.leaf)[HEIGHT::HEIGHT]]
        for tree in (whole, *trees.values()):
            tree.root = tree.edge.root()
        self._database.insert_postings(postings)
        for number, node in done:
            self._database.insert_nodes(number, [node])
        self._database.save_trees([whole, *trees.values()])
        return [key_hash(key) for key in trees]

    def _open(self, key: str, trees: dict[str, KeyTree]) -> KeyTree:
        database = self._database
        trees[key] = tree = database.tree(key) or database.add_tree(key, key_hash(key))
        return tree

    def update_map(self, changed: Iterable[bytes]) -> None:
        """Take the keys' new roots into the map; readers of the map must wait."""
        self.map.update(changed)
        if self.map.is_crowded:
            self.rebuild_map()

    def rebuild_map(self) -> None:
        """Make the map again from the file: after a rollback, or when it has outgrown its arrays."""
        self.map = SparseMap(self._database, self._database.key_count() * 4)
