"""Which block is where: the SQLite index over the packs. It can be deleted; opening the store rebuilds it."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TypeVar

from registry.core.cid import DAG_PB, Cid
from registry.storage.packs import Spot
from registry.storage.sqlite import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pack(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, length INTEGER NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS block(
    cid BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    seen REAL NOT NULL, is_bad INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS block_pack ON block(pack);
"""
# A held block stays where it is, unless its bytes were found wrong: then the new copy heals it.
_ADD = """
INSERT INTO block(cid, pack, offset, length, seen) VALUES (?, ?, ?, ?, ?)
ON CONFLICT(cid) DO UPDATE SET seen = max(seen, excluded.seen), is_bad = 0,
    pack = iif(is_bad, excluded.pack, pack), offset = iif(is_bad, excluded.offset, offset)
"""


_FIND = "SELECT p.name, b.offset, b.length, b.is_bad FROM block b JOIN pack p ON p.id = b.pack WHERE cid = ?"
_FIND_GOOD = (
    "SELECT b.cid, p.name, b.offset, b.length FROM block b JOIN pack p ON p.id = b.pack"
    " WHERE NOT b.is_bad AND b.cid IN ({})"
)
_PORTION = 500
_KNOWN = 50_000
_T = TypeVar("_T")


class PackState(StrEnum):
    """Whether a pack still grows, is complete, or is about to be removed."""

    OPEN = "open"
    SEALED = "sealed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as the index knows it; `live` is the bytes of the blocks still wanted and of their CIDs.

    Without the CIDs a pack that holds an empty block would look like one that nobody wants.
    """

    name: str
    length: int
    state: PackState
    live: int


@dataclass(frozen=True, slots=True)
class Commit:
    """What one import adds: a pack at its new length, its blocks, and blocks held before and named again."""

    pack: Pack | None
    added: Sequence[tuple[Cid, Spot]]
    named_again: Iterable[Cid]


class BlockIndex:
    """The map from CID to pack, offset and length, with the time a block was last stored."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA)
        # Where good blocks were found lately: a submission asks for each of its blocks a dozen times. What
        # takes a block away or moves it empties this before it returns.
        self._known: dict[Cid, Spot] = {}
        self._emptied = 0
        self._lock = threading.Lock()

    def find(self, cid: Cid) -> Spot | None:
        """Where a block is, also when its bytes are known to be bad."""
        known = self._known.get(cid)
        return self._look(cid)[0] if known is None else known

    def size(self, cid: Cid) -> int | None:
        """The length of a held block, None when it is not held or known to be bad."""
        known = self._known.get(cid)
        if known is not None:
            return known.length
        spot, is_bad = self._look(cid)
        return None if spot is None or is_bad else spot.length

    def held(self, cids: Iterable[Cid]) -> set[Cid]:
        """Those of the blocks that are held and not known to be bad."""
        wanted = set(cids)
        held = wanted & self._known.keys()
        others = wanted - held
        if others:
            emptied = self._emptied
            found: list[tuple[Cid, Spot]] = []
            # One question for many: a question by itself opens and closes a transaction, which locks a file.
            for portion in _portions(cid.raw for cid in others):
                with self._db.read() as c:
                    rows = c.execute(_FIND_GOOD.format(",".join("?" * len(portion))), portion).fetchall()
                found += [(Cid.of_raw(raw), Spot(*place)) for raw, *place in rows]
            self._know(found, emptied)
            held.update(cid for cid, _ in found)
        return held

    def _look(self, cid: Cid) -> tuple[Spot | None, bool]:
        emptied = self._emptied
        with self._db.read() as c:
            row = c.execute(_FIND, (cid.raw,)).fetchone()
        if row is None:
            return None, False
        (*place, is_bad) = row
        spot = Spot(*place)
        if not is_bad:
            self._know([(cid, spot)], emptied)
        return spot, bool(is_bad)

    def _know(self, found: Sequence[tuple[Cid, Spot]], emptied: int) -> None:
        """Good blocks were found; what changed since that was begun may be about them."""
        with self._lock:
            if emptied == self._emptied:
                if len(self._known) + len(found) > _KNOWN:
                    self._known.clear()
                self._known.update(found[:_KNOWN])

    @contextmanager
    def _moving(self) -> Iterator[sqlite3.Connection]:
        """A transaction after which blocks may be gone, elsewhere, or bad."""
        try:
            with self._db.write() as connection:
                yield connection
        finally:
            with self._lock:
                self._emptied += 1
                self._known.clear()

    def commit(self, commits: Sequence[Commit], now: float) -> None:
        """Make imports part of the store, in one transaction."""
        emptied = self._emptied
        with self._db.write() as c:
            for commit in commits:
                if commit.pack is not None:
                    pack = commit.pack
                    c.execute(
                        "INSERT INTO pack(name, length, state) VALUES (?, ?, ?)"
                        " ON CONFLICT(name) DO UPDATE SET length = excluded.length, state = excluded.state",
                        (pack.name, pack.length, pack.state),
                    )
                    (number,) = c.execute("SELECT id FROM pack WHERE name = ?", (pack.name,)).fetchone()
                    rows = ((cid.raw, number, s.offset, s.length, now) for cid, s in commit.added)
                    c.executemany(_ADD, rows)
                again = ((now, cid.raw) for cid in commit.named_again)
                c.executemany("UPDATE block SET seen = max(seen, ?) WHERE cid = ?", again)
        # Of a block that two imports brought at once the index knows one place; its bytes are at both.
        for commit in commits:
            self._know(commit.added, emptied)

    def mark_bad(self, cid: Cid, spot: Spot) -> None:
        """Remember that the bytes at a spot are wrong, so the next import of the block replaces them."""
        with self._moving() as c:
            c.execute(
                "UPDATE block SET is_bad = 1 WHERE cid = ? AND offset = ?"
                " AND pack = (SELECT id FROM pack WHERE name = ?)",
                (cid.raw, spot.offset, spot.pack),
            )

    def packs(self) -> list[Pack]:
        """Every pack with its live bytes."""
        with self._db.read() as c:
            rows = c.execute(
                "SELECT name, length, state, (SELECT coalesce(sum(length + length(cid)), 0)"
                " FROM block WHERE pack = pack.id) FROM pack ORDER BY id"
            ).fetchall()
        return [Pack(name, length, PackState(state), live) for name, length, state, live in rows]

    def set_state(self, pack: str, state: PackState) -> None:
        """Move a pack on."""
        with self._moving() as c:
            c.execute("UPDATE pack SET state = ? WHERE name = ?", (state, pack))

    def forget(self, pack: str, behind: int = 0) -> None:
        """Drop the blocks of a pack whose bytes are gone, from a length on; with 0, the pack too."""
        with self._moving() as c:
            c.execute(
                "DELETE FROM block WHERE offset + length > ? AND pack = (SELECT id FROM pack WHERE name = ?)",
                (behind, pack),
            )
            if behind == 0:
                c.execute("DELETE FROM pack WHERE name = ?", (pack,))

    def nodes_since(self, cutoff: float) -> Iterator[Cid]:
        """The dag-pb blocks stored since a time: what they link to is as young as they are."""
        with self._db.read() as c:
            rows = c.execute("SELECT cid FROM block WHERE seen >= ?", (cutoff,))
            for (raw,) in rows:
                if raw[1] == DAG_PB:
                    yield Cid.of_raw(raw)

    def blocks_before(self, cutoff: float) -> Iterator[tuple[Cid, int]]:
        """The blocks last stored before a time, with their lengths."""
        with self._db.read() as c:
            for raw, length in c.execute("SELECT cid, length FROM block WHERE seen < ?", (cutoff,)):
                yield Cid.of_raw(raw), length

    def drop(self, cids: Iterable[Cid], cutoff: float) -> None:
        """Take blocks out of the store, except one that was stored again meanwhile.

        In portions: one commit for all would need as much room in the log as the index itself has.
        """
        for portion in _portions((cid.raw, cutoff) for cid in cids):
            with self._moving() as c:
                c.executemany("DELETE FROM block WHERE cid = ? AND seen < ?", portion)

    def blocks_of(self, pack: str) -> list[tuple[Cid, Spot]]:
        """The live blocks of a pack, in the order they lie in it."""
        with self._db.read() as c:
            rows = c.execute(
                "SELECT cid, offset, length FROM block WHERE pack = (SELECT id FROM pack WHERE name = ?)"
                " ORDER BY offset",
                (pack,),
            ).fetchall()
        return [(Cid.of_raw(raw), Spot(pack, offset, length)) for raw, offset, length in rows]

    def move(self, old: str, new: Pack, moved: Sequence[tuple[Cid, Spot]]) -> None:
        """Replace a pack by its compacted copy, in one transaction."""
        with self._moving() as c:
            row = (new.name, new.length, new.state)
            number = c.execute("INSERT INTO pack(name, length, state) VALUES (?, ?, ?)", row).lastrowid
            c.executemany(
                "UPDATE block SET pack = ?, offset = ?"
                " WHERE cid = ? AND pack = (SELECT id FROM pack WHERE name = ?)",
                ((number, spot.offset, cid.raw, old) for cid, spot in moved),
            )
            c.execute("UPDATE pack SET state = ? WHERE name = ?", (PackState.DROPPED, old))

    def close(self) -> None:
        """Close the database."""
        self._db.close()
        with self._lock:
            self._emptied += 1
            self._known.clear()


def _portions(items: Iterable[_T]) -> Iterator[list[_T]]:
    rest = iter(items)
    while portion := list(islice(rest, _PORTION)):
        yield portion
