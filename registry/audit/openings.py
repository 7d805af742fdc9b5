"""What the gateway log's commitments hide, kept beside the log and never in it.

An opening can be shown for a case, or deleted when its time is over: the log and every proof from it
stay as they are, only nobody can any longer say what the commitment was to.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry.core.log import commit
from registry.errors import StoreUnavailable, VerificationFailed

_log = logging.getLogger("registry.logs")


@dataclass(frozen=True, slots=True)
class Opening:
    """The value behind one commitment, with the salt that makes it unguessable."""

    commitment: str
    field: str
    value: str
    salt: bytes
    time: int

    def check(self) -> None:
        """Return when this is what the commitment is to."""
        if commit(self.field, self.value, self.salt) != self.commitment:
            raise VerificationFailed(f"the opening of {self.commitment} does not fit", field=self.field)


class OpeningStore:
    """Openings in one SQLite file of their own, so that they can be guarded and deleted apart."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._guard = threading.Lock()
        self._placing = threading.Lock()
        self._unplaced: list[tuple[int, str]] = []
        with self._errors():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._db.execute("PRAGMA journal_mode = WAL")
            # A lost opening loses no proof, so these writes do not wait for the disk.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS openings (commitment TEXT PRIMARY KEY, field TEXT NOT NULL,"
                " value TEXT NOT NULL, salt BLOB NOT NULL, time INTEGER NOT NULL, idx INTEGER) WITHOUT ROWID"
            )
            self._db.execute("CREATE INDEX IF NOT EXISTS by_value ON openings (field, value, time)")
            self._db.execute("CREATE INDEX IF NOT EXISTS by_time ON openings (time)")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as e:
            raise StoreUnavailable(
                f"the openings {self._path} cannot be used: {e}",
                hint=f"free disk space under {self._path.parent}, then try again",
            ) from e

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """The one connection, for one caller at a time."""
        with self._guard, self._errors():
            yield self._db

    def add(self, openings: Iterable[Opening]) -> None:
        """Keep openings; before their entry is written, so that an entry never lacks them."""
        rows = [(o.commitment, o.field, o.value, o.salt, o.time) for o in openings]
        self._write("INSERT OR REPLACE INTO openings VALUES (?, ?, ?, ?, ?, NULL)", rows)

    def for_commitments(self, commitments: Iterable[str]) -> list[Opening]:
        """The openings that are left for these commitments."""
        found = []
        sql = "SELECT commitment, field, value, salt, time FROM openings WHERE commitment = ?"
        with self._database() as db:
            for commitment in commitments:
                row = db.execute(sql, (commitment,)).fetchone()
                if row is not None:
                    found.append(Opening(*row))
        return found

    def locate(self, places: Iterable[tuple[str, int]]) -> None:
        """Note in which entry each of these commitments stands, in one commit.

        The entries stand already: what cannot be noted now is noted with the next ones, or at the next start.
        """
        with self._placing:
            self._unplaced += [(index, commitment) for commitment, index in places]
            try:
                self._write("UPDATE openings SET idx = ? WHERE commitment = ?", self._unplaced)
            except StoreUnavailable as e:
                _log.warning("the places of %d openings wait: %s", len(self._unplaced), e)
            else:
                self._unplaced = []

    def _write(self, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._database() as db, db:
            db.execute("BEGIN")
            db.executemany(sql, rows)

    def unlocated(self) -> set[str]:
        """Commitments whose entry was not noted: the process died in between."""
        with self._database() as db:
            rows = db.execute("SELECT commitment FROM openings WHERE idx IS NULL").fetchall()
        return {commitment for (commitment,) in rows}

    def places_of(self, field: str, value: str, *, since: int = 0, until: int = 1 << 48) -> list[int]:
        """The entries that hide this value (of a device, a cell, an address), in the log's order."""
        with self._database() as db:
            rows = db.execute(
                "SELECT idx FROM openings WHERE field = ? AND value = ? AND time >= ? AND time < ?"
                " AND idx IS NOT NULL ORDER BY idx",
                (field, value, since, until),
            ).fetchall()
        return [index for (index,) in rows]

    def oldest(self) -> int | None:
        """When the oldest opening that is left was made."""
        with self._database() as db:
            (time,) = db.execute("SELECT MIN(time) FROM openings").fetchone()
        return None if time is None else int(time)

    def count_before(self, time: int) -> int:
        """How many were made before this time and are left."""
        with self._guard:
            (count,) = self._db.execute("SELECT COUNT(*) FROM openings WHERE time < ?", (time,)).fetchone()
        return int(count)

    def drop_from(self, index: int) -> None:
        """Forget the openings of entries that the log does not have: it was restored from before them."""
        with self._guard:
            self._db.execute("DELETE FROM openings WHERE idx >= ?", (index,))

    def delete_before(self, time: int) -> int:
        """The retention rule: forget what was hidden before this time; how many were forgotten."""
        with self._database() as db:
            return db.execute("DELETE FROM openings WHERE time < ?", (time,)).rowcount

    def close(self) -> None:
        """Close the file."""
        with self._database() as db:
            db.close()
