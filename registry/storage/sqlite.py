"""One SQLite file used by many threads: one writer at a time, readers beside it, every commit on the disk."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry.errors import StoreUnavailable

_LOG_PAGES = 250


class Database:
    """A WAL database; `write` is one durable transaction, `read` sees what was committed before it."""

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._write_lock = threading.Lock()
        self._writer = self._connect()
        try:
            with _errors(path):
                self._writer.executescript(schema)
        except StoreUnavailable:
            self._writer.close()
            raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading; not for keeping."""
        connection = self._take()
        try:
            with _errors(self.path):
                yield connection
        finally:
            self._give_back(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is durable when the block ends, and undone when it raises."""
        with self._write_lock, _errors(self.path):
            if self._closed:
                raise StoreUnavailable(f"{self.path.parent} is closed")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have rolled back already
                    self._writer.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close every connection; one that is in use closes when it comes back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        with self._write_lock:
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        with _errors(self.path):
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=30, cached_statements=32
            )
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                # The log may not outgrow the reserve by which a full disk is freed (room.py).
                connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
            except sqlite3.Error:
                connection.close()
                raise
            return connection

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"{self.path.parent} is closed")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as e:
        raise StoreUnavailable(
            f"{path} cannot be used: {e}", hint=f"free disk space under {path.parent}, then try again"
        ) from e
