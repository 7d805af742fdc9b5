"""A key-value store on one SQLite file: every write since the last `commit` lands in one transaction, or
none does.

py-evm writes trie nodes, headers and the head pointer one by one. Here they gather in memory and reach the
disk together, once per block and with `synchronous=FULL`, so a process killed at any moment leaves a whole
chain.

Keys of 32 bytes are hashes of their values (trie nodes, headers, code): they never change, so any number of
readers share one bounded cache of them. Every other key (head pointer, number → hash) is read afresh.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from eth.db.backends.base import BaseDB

HASH_BYTES = 32


class HashedCache:
    """Keeps recently used content-addressed values, at most two generations of them: memory stays flat."""

    def __init__(self, generation_entries: int = 20_000) -> None:
        self._generation_entries = generation_entries
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value if it is still held; a hit in the older generation moves to the younger one."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value; when the young generation is full it becomes the old one."""
        young = self._young
        young[key] = value
        if len(young) >= self._generation_entries:
            self._old, self._young = young, {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-8192")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


class CommittedKV(BaseDB):
    """What the last commit left, read through a connection of its own; it never waits for the writer."""

    def __init__(self, path: Path, cache: HashedCache) -> None:
        self._connection = _connect(path)
        self._connection.execute("PRAGMA query_only=ON")
        self._cache = cache

    def __getitem__(self, key: bytes) -> bytes:
        value = self._cache.get(key)
        if value is not None:
            return value
        row = self._connection.execute("SELECT v FROM kv WHERE k=?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        found = bytes(row[0])
        if len(key) == HASH_BYTES:
            self._cache.put(key, found)
        return found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise PermissionError("this view of the chain is read-only")

    def __delitem__(self, key: bytes) -> None:
        raise PermissionError("this view of the chain is read-only")

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class SqliteKV(BaseDB):
    """The writer's view: reads see its own uncommitted writes; nothing is durable until `commit` returns."""

    def __init__(self, path: Path, cache: HashedCache) -> None:
        self._connection = _connect(path)
        self._connection.execute("CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID")
        self._committed = CommittedKV(path, cache)
        self._cache = cache
        self._dirty: dict[bytes, bytes | None] = {}

    def __getitem__(self, key: bytes) -> bytes:
        if key not in self._dirty:
            return self._committed[key]
        value = self._dirty[key]
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._dirty[key] = bytes(value)

    def __delitem__(self, key: bytes) -> None:
        self._dirty[key] = None

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def commit(self) -> None:
        """Make every write durable at once; on an error nothing is written and the writes still wait."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany("INSERT OR REPLACE INTO kv VALUES(?,?)", self._puts())
            connection.executemany("DELETE FROM kv WHERE k=?", self._deletions())
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        # Only committed values may be shared: a reader must never see a block that a crash could take back.
        for key, value in self._puts():
            if len(key) == HASH_BYTES:
                self._cache.put(key, value)
        self._dirty.clear()

    def rollback(self) -> None:
        """Forget every write since the last commit."""
        self._dirty.clear()

    def close(self) -> None:
        """Forget what is not committed and close the connections."""
        self._dirty.clear()
        self._committed.close()
        self._connection.close()

    def _puts(self) -> Iterator[tuple[bytes, bytes]]:
        return ((k, v) for k, v in self._dirty.items() if v is not None)

    def _deletions(self) -> Iterator[tuple[bytes]]:
        return ((k,) for k, v in self._dirty.items() if v is None)
