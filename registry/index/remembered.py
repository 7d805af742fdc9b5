"""Answers of the projection, remembered until it is written to: most requests ask what the last one asked."""

import sqlite3
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine, event

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_MOST = 1_000
_UNKNOWN = -1


class Remembered(Generic[K, V]):
    """What a look answered stands until SQLite tells of a commit; a server is asked each time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._held: dict[K, V] = {}
        self._at = _UNKNOWN
        self._watch: Any = None

    def of(self, key: K, look: Callable[[K], V]) -> V:
        """What `look` answers for the key now."""
        if self._engine.dialect.name != "sqlite":
            return look(key)
        with self._lock:
            try:
                at = self._version()
            except sqlite3.Error:
                at = _UNKNOWN  # what ails the file, the look says
            if at != self._at or at == _UNKNOWN:
                self._held.clear()
                self._at = at
            elif key in self._held:
                return self._held[key]
        # What is committed from here on changes the version: the next one who asks looks again.
        found = look(key)
        with self._lock:
            if at == self._at != _UNKNOWN:
                if len(self._held) >= _MOST:
                    self._held.clear()
                self._held[key] = found
        return found

    def _version(self) -> int:
        """Another number after each commit, of whichever connection but this one, which only watches."""
        if self._watch is None:
            mine = self._engine.raw_connection()
            mine.detach()
            self._watch = mine.dbapi_connection
            event.listen(self._engine, "engine_disposed", self._end, once=True)
        (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _end(self, _engine: Engine) -> None:
        with self._lock:
            if self._watch is not None:
                self._watch.close()
            self._watch = None
            self._at = _UNKNOWN
