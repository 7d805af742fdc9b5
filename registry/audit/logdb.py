"""The file behind one log: entries, the tree's inner hashes, and the index of keys, in SQLite.

Everything a checkpoint covers is written in the transaction that writes the checkpoint, so after
kill -9 the file is as of the last commit, whole.

Only what cannot be derived cheaply is stored: of each tree the hashes at heights 8, 16, … (one for
each 256 leaves), and of each key its entries' numbers. Tree 0 is the log, tree n > 0 that of key n.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.audit.logfile import LogFile
from registry.core.merkle import EMPTY_ROOT, Completed, Frontier
from registry.core.smt import MapLeaf, key_hash
from registry.core.tiles import HEIGHT, WIDTH
from registry.errors import Conflict, VerificationFailed

LOG_TREE = 0
# The shape of the tables below. A log of 0.1.0 names none: it is the first. Another one is refused, because a
# log is primary data: whoever changes a table says here how it is migrated.
SCHEMA = 1
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE trees (id INTEGER PRIMARY KEY, hash BLOB UNIQUE, key TEXT NOT NULL,
                    count INTEGER NOT NULL, root BLOB NOT NULL, edge BLOB NOT NULL);
CREATE TABLE nodes (tree INTEGER, level INTEGER, n INTEGER, hash BLOB NOT NULL,
                    PRIMARY KEY (tree, level, n)) WITHOUT ROWID;
CREATE TABLE postings (tree INTEGER, pos INTEGER, idx INTEGER NOT NULL,
                       PRIMARY KEY (tree, pos)) WITHOUT ROWID;
CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note BLOB NOT NULL, kept INTEGER NOT NULL DEFAULT 0);
"""
_ADD_TREE = "INSERT INTO trees (id, hash, key, count, root, edge) VALUES (?, ?, ?, ?, ?, ?)"
_TREES = "SELECT id, hash, key, count, root, edge FROM trees WHERE "
_BODIES = (
    "SELECT p.idx, CAST(e.body AS BLOB) FROM trees t JOIN postings p ON p.tree = t.id"
    " JOIN entries e ON e.idx = p.idx WHERE "
)
_AT_ONCE = 500


@dataclass(slots=True)
class KeyTree:
    """The tree over one key's entries as it stands in the file."""

    id: int
    key: str
    hash: bytes | None
    edge: Frontier
    root: bytes


def _grown(tree: KeyTree) -> tuple[int, bytes, bytes]:
    """Count, root and edge as a row holds them; an edge of one hash is the root, and is not written again."""
    hashes = tree.edge.hashes
    return tree.edge.size, tree.root, b"".join(hashes) if len(hashes) > 1 else b""


def _tree(row: tuple[int, bytes | None, str, int, bytes, bytes]) -> KeyTree:
    number, where, key, count, root, edge = row
    hashes = [edge[place : place + 32] for place in range(0, len(edge), 32)]
    if count.bit_count() == 1 and not edge:
        hashes = [root]
    return KeyTree(number, key, where, Frontier(count, hashes), root)


class LogDatabase(LogFile):
    """Rows in, rows out; what they mean is decided elsewhere."""

    def __init__(self, path: Path, origin: str) -> None:
        """Open the log of this origin, or make it; another log's file is a Conflict."""
        super().__init__(path)
        try:
            self._check_origin(origin)
        except BaseException:
            self.close()
            raise

    def _check_origin(self, origin: str) -> None:
        if not self._rows(self.writer, "SELECT 1 FROM sqlite_master WHERE name = 'meta'"):
            self._create(origin)
        found = self._rows(self.writer, "SELECT value FROM meta WHERE name = 'origin'")
        if found != [(origin,)]:
            held = found[0][0] if found else "nothing"
            raise Conflict(f"{self._path} holds the log {held!r}, not {origin!r}", origin=origin)
        stated = self._rows(self.writer, "SELECT value FROM meta WHERE name = 'schema'")
        if stated not in ([], [(str(SCHEMA),)]):
            raise Conflict(
                f"{self._path} has schema {stated[0][0]}, and this release knows {SCHEMA}",
                hint="install the release that wrote it, or restore the backup taken before the upgrade",
            )

    def _create(self, origin: str) -> None:
        self.writer.executescript("BEGIN;" + _SCHEMA)
        self.writer.execute("INSERT INTO meta VALUES ('origin', ?), ('schema', ?)", (origin, str(SCHEMA)))
        self.add_trees([KeyTree(LOG_TREE, "", None, Frontier(), EMPTY_ROOT)])
        self.writer.execute("COMMIT")

    # --- entries

    def durable_size(self) -> int:
        """How many entries are durable, whether a checkpoint covers them yet or not."""
        ((last,),) = self._rows(self.reader, "SELECT max(idx) FROM entries")
        return 0 if last is None else int(last) + 1

    def insert_entries(self, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Add (number, leaf hash, bytes) rows inside a transaction."""
        self.writer.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)

    def bodies(self, first: int, end: int) -> list[tuple[int, bytes]]:
        """Numbers and bytes of entries first … end − 1, as far as they exist."""
        sql = "SELECT idx, CAST(body AS BLOB) FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
        return self._rows(self.reader, sql, (first, end))

    # --- trees

    def tile_hashes(self, tree: int, level: int, index: int) -> list[bytes]:
        """The hashes of a tile of any tree, at most 256; fewer at its right edge."""
        first, end = index * WIDTH, (index + 1) * WIDTH
        if level:
            sql = "SELECT hash FROM nodes WHERE tree = ? AND level = ? AND n >= ? AND n < ? ORDER BY n"
            rows = self._rows(self.reader, sql, (tree, level * HEIGHT, first, end))
        elif tree == LOG_TREE:
            sql = "SELECT CAST(leaf AS BLOB) FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
            rows = self._rows(self.reader, sql, (first, end))
        else:
            sql = (
                "SELECT CAST(e.leaf AS BLOB) FROM postings p JOIN entries e ON e.idx = p.idx"
                " WHERE p.tree = ? AND p.pos >= ? AND p.pos < ? ORDER BY p.pos"
            )
            rows = self._rows(self.reader, sql, (tree, first, end))
        return [value for (value,) in rows]

    def tree(self, key: str) -> KeyTree | None:
        """The tree of a key ('' is the log itself)."""
        if not key:
            found = self._rows(self._own, _TREES + "id = ?", (LOG_TREE,))
        else:
            found = self._rows(self._own, _TREES + "hash = ?", (key_hash(key),))
        return _tree(found[0]) if found else None

    def trees(self, wanted: Sequence[bytes]) -> list[KeyTree]:
        """Those trees that exist of the keys with these hashes, in any order."""
        found: list[KeyTree] = []
        for first in range(0, len(wanted), _AT_ONCE):
            hashes = tuple(wanted[first : first + _AT_ONCE])
            sql = f"{_TREES}hash IN ({','.join('?' * len(hashes))})"
            found += map(_tree, self._rows(self._own, sql, hashes))
        return found

    def next_tree(self) -> int:
        """The number of the next key that is new; the caller holds the writer's lock."""
        ((last,),) = self._rows(self._own, "SELECT max(id) FROM trees")
        return int(last) + 1

    def add_trees(self, trees: Iterable[KeyTree]) -> None:
        """Write the trees of new keys, inside a transaction."""
        self.writer.executemany(_ADD_TREE, ((tree.id, tree.hash, tree.key, *_grown(tree)) for tree in trees))

    def save_trees(self, trees: Iterable[KeyTree]) -> None:
        """Write the trees' new edges and roots, inside a transaction."""
        self.writer.executemany(
            "UPDATE trees SET count = ?, root = ?, edge = ? WHERE id = ?",
            ((*_grown(tree), tree.id) for tree in trees),
        )

    def insert_nodes(self, done: Iterable[tuple[int, Completed]]) -> None:
        """Keep the hashes at heights 8, 16, … of (tree, subtree) pairs, inside a transaction."""
        rows = ((tree, node.level, node.index, node.hash) for tree, node in done)
        self.writer.executemany("INSERT INTO nodes VALUES (?, ?, ?, ?)", rows)

    def node_rows(self) -> list[tuple[int, int, int, bytes]]:
        """Every kept hash with its tree, height and place."""
        return self._rows(self.reader, "SELECT tree, level, n, CAST(hash AS BLOB) FROM nodes")

    def insert_postings(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Add (tree, position, entry number) rows, inside a transaction."""
        self.writer.executemany("INSERT INTO postings VALUES (?, ?, ?)", rows)

    def posted(self, tree: int, first: int, end: int) -> list[int]:
        """Entry numbers at positions first … end − 1 of a key's tree."""
        rows = self.reader.execute(
            "SELECT idx FROM postings WHERE tree = ? AND pos >= ? AND pos < ? ORDER BY pos",
            (tree, first, end),
        )
        return [number for (number,) in rows]

    def bodies_of(self, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """Numbers and bytes of these entries, in this order."""
        found = []
        for number in numbers:
            rows = self._rows(self.reader, "SELECT CAST(body AS BLOB) FROM entries WHERE idx = ?", (number,))
            if not rows:
                raise VerificationFailed(f"the index names entry {number}, which {self._path} lacks")
            found.append((number, rows[0][0]))
        return found

    def bodies_under(self, keys: Sequence[str]) -> list[tuple[int, bytes]]:
        """Numbers and bytes of the entries under any of these keys, each once and in order."""
        found: dict[int, bytes] = {}
        for first in range(0, len(keys), _AT_ONCE):
            hashes = tuple(key_hash(key) for key in keys[first : first + _AT_ONCE])
            sql = f"{_BODIES}t.hash IN ({','.join('?' * len(hashes))})"
            found.update(self._rows(self.reader, sql, hashes))
        return sorted(found.items())

    def key_count(self) -> int:
        """How many keys there are."""
        ((count,),) = self._rows(self._own, "SELECT count(*) - 1 FROM trees")
        return int(count)

    def between(self, first: bytes, last: bytes) -> list[MapLeaf]:
        """The map's leaves with first ≤ key ≤ last."""
        sql = "SELECT hash, count, root FROM trees WHERE hash >= ? AND hash <= ? ORDER BY hash"
        rows = self._rows(self._own, sql, (first, last))
        return [MapLeaf(key, count, root) for key, count, root in rows]

    def key_names(self) -> list[str]:
        """Every key in the index."""
        return [key for (key,) in self._rows(self.reader, "SELECT key FROM trees WHERE id > 0 ORDER BY key")]

    def stored_leaves(self, first: int, end: int) -> list[tuple[int, bytes]]:
        """Numbers and stored leaf hashes of entries first … end − 1."""
        sql = "SELECT idx, CAST(leaf AS BLOB) FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx"
        return self._rows(self.reader, sql, (first, end))

    # --- checkpoints

    def save_checkpoint(self, size: int, note: bytes, *, keep_newest: int) -> None:
        """Write a checkpoint; older ones that nobody co-signed or anchored go, but for the newest few."""
        self.writer.execute("INSERT OR REPLACE INTO checkpoints (size, note) VALUES (?, ?)", (size, note))
        self.writer.execute(
            "DELETE FROM checkpoints WHERE kept = 0 AND size <="
            " (SELECT size FROM checkpoints ORDER BY size DESC LIMIT 1 OFFSET ?)",
            (keep_newest,),
        )

    def keep_checkpoint(self, size: int, note: bytes) -> None:
        """Replace a checkpoint's signatures and keep it for ever."""
        self.writer.execute("UPDATE checkpoints SET note = ?, kept = 1 WHERE size = ?", (note, size))

    def newest_checkpoint(self) -> bytes | None:
        """The newest checkpoint, None before the first."""
        found = self._rows(self._own, "SELECT CAST(note AS BLOB) FROM checkpoints ORDER BY size DESC LIMIT 1")
        return bytes(found[0][0]) if found else None

    def checkpoint_at(self, size: int) -> bytes | None:
        """The checkpoint of exactly this size, None when there was none or it was not kept."""
        found = self._rows(self.reader, "SELECT CAST(note AS BLOB) FROM checkpoints WHERE size = ?", (size,))
        return bytes(found[0][0]) if found else None

    def checkpoint_rows(self) -> list[tuple[object, object, bytes]]:
        """Every checkpoint with the size it is filed under, and whether it is kept for ever."""
        return self._rows(self.reader, "SELECT size, kept, CAST(note AS BLOB) FROM checkpoints ORDER BY size")

    def checkpoints(self, after: int, limit: int) -> list[bytes]:
        """Checkpoints with a larger size, in order."""
        sql = "SELECT CAST(note AS BLOB) FROM checkpoints WHERE size > ? ORDER BY size LIMIT ?"
        rows = self._rows(self.reader, sql, (after, limit))
        return [note for (note,) in rows]
