"""One SQLite file that a log lives in: a writer, any number of readers, and what their failures mean."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from registry.errors import StoreUnavailable, VerificationFailed

# FULL: an answer that was given must survive the power as well as the process. Pages go from the
# write-ahead log to their places in portions of 64 MiB, so a page that changes often moves seldom.
_SETTINGS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 16384",
    "cache_size = -65536",
    f"mmap_size = {1 << 32}",
)


class LogFile:
    """Connections and transactions; what the rows are is said by its heir."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it with its folder."""
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._writing: int | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.writer = self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=30
            )
        except sqlite3.Error as e:
            raise StoreUnavailable(f"the log file {self._path} cannot be opened: {e}") from e
        with self._guard:
            self._opened.append(connection)
        for setting in _SETTINGS:
            self._rows(connection, f"PRAGMA {setting}")
        return connection

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's own connection: it never waits for the writer."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it ends."""
        try:
            self.writer.execute("BEGIN IMMEDIATE")
            self._writing = threading.get_ident()
            yield self.writer
            self.writer.execute("COMMIT")
        except sqlite3.Error as e:
            self._roll_back()
            raise StoreUnavailable(
                f"the log file {self._path} cannot be written: {e}",
                hint=f"free disk space under {self._path.parent}, then try again",
            ) from e
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._writing = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """This thread reads one moment of the file, whatever is written meanwhile."""
        self._rows(self.reader, "BEGIN")
        try:
            yield
        finally:
            self._rows(self.reader, "COMMIT")

    @property
    def _own(self) -> sqlite3.Connection:
        """Inside a transaction its uncommitted rows, elsewhere the last commit."""
        return self.writer if self._writing == threading.get_ident() else self.reader

    def _rows(self, connection: sqlite3.Connection, sql: str, given: tuple[object, ...] = ()) -> list[Any]:
        """All rows of a query; a damaged file is VerificationFailed, a busy or missing one Unavailable."""
        try:
            return connection.execute(sql, given).fetchall()
        except (sqlite3.OperationalError, sqlite3.ProgrammingError) as e:
            raise StoreUnavailable(f"the log file {self._path} cannot be read: {e}") from e
        except (sqlite3.Error, UnicodeDecodeError) as e:  # the latter: SQLite quotes damaged bytes
            raise VerificationFailed(f"the log file {self._path} is damaged: {e}") from e

    def _roll_back(self) -> None:
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")

    def close(self) -> None:
        """Close every connection."""
        with self._guard:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
