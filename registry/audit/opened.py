"""The openings beside a gateway log, against what the log commits to.

An opening is of a commitment that stands in the entry it names, of that entry's time. An entry has an opening
for each of its commitments until the log says that the retention rule deleted it, and none after.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

from registry.audit.fsck import Difference
from registry.audit.logdb import LogDatabase
from registry.audit.openings import Opening
from registry.core.log import LogEntry, decode_entry
from registry.errors import Malformed, RegistryError

_CHUNK = 1000
_ROWS = "SELECT commitment, field, value, salt, time, idx FROM openings ORDER BY commitment"


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where the log commits to a value."""

    field: str
    index: int
    time: int


@dataclass(slots=True)
class _Log:
    """What the log says of its openings, up to `size` entries: all before `forgotten` were deleted."""

    size: int
    commitments: dict[str, _Standing] = dataclass_field(default_factory=dict)
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    """An opening with the entry that it says it belongs to."""

    opening: Opening
    index: int | None


def check_openings(
    path: Path, log: Path, origin: str, *, is_growing: bool, forgotten: int = 0
) -> Iterator[Difference]:
    """Every difference; `is_growing`: a gateway may be writing both, and what is new is passed over.

    What came before `forgotten` was deleted too: a log that followed this one says so.
    """
    if not log.exists():
        return
    try:
        # To where the log stood before the openings were read: an entry never lacks its openings.
        size = _size(log, origin)
        rows = _rows(path)
        told = _told(log, origin, size)
        told.forgotten = max(told.forgotten, forgotten)
    except (RegistryError, sqlite3.Error) as e:
        yield Difference("openings", str(path), f"cannot be compared with the log: {e}")
        return
    found = set()
    for row in rows:
        try:
            held = _held(row)
        except RegistryError as e:
            yield Difference("openings", str(row[0]), e.message)
            continue
        found.add(held.opening.commitment)
        if is_growing and (held.index is None or held.index >= size):
            continue
        text = _wrong(held, told)
        if text is not None:
            yield Difference("openings", held.opening.commitment, text)
    for commitment, stands in told.commitments.items():
        if commitment not in found and stands.time >= told.forgotten:
            text = f"the opening of the {stands.field} in entry {stands.index} is missing"
            yield Difference("openings", commitment, f"{text}, and no rule deleted it")


def forgotten_by(log: Path, origin: str) -> int:
    """Before when the retention rule has deleted all openings, as a log says."""
    return _told(log, origin, _size(log, origin)).forgotten if log.exists() else 0


def _wrong(held: _Held, told: _Log) -> str | None:
    opening, stands = held.opening, told.commitments.get(held.opening.commitment)
    if stands is None:
        # Written before its entry, which a crash or an older copy of the log never had.
        return None if held.index is None else f"entry {held.index} of the log does not hold it"
    if held.index is None:
        return f"it is not placed, and entry {stands.index} holds it: the next start places it"
    if (held.index, opening.field) != (stands.index, stands.field):
        said = f"it is said to be of the {opening.field} in entry {held.index}"
        return f"{said}, and it stands as the {stands.field} in entry {stands.index}"
    if opening.time != stands.time:
        return f"it is of {opening.time}, and its entry {stands.index} of {stands.time}"
    if opening.time < told.forgotten:
        return f"it is of {opening.time}, and the log says that all before {told.forgotten} were deleted"
    return None


def _rows(path: Path) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=30)) as db:
        db.execute("PRAGMA query_only = ON")
        return db.execute(_ROWS).fetchall()


def _held(row: tuple[Any, ...]) -> _Held:
    match row:
        case str(commitment), str(field), str(value), bytes(salt), int(time), (int() | None) as index:
            opening = Opening(commitment, field, value, salt, time)
            opening.check()
            return _Held(opening, index)
    raise Malformed("the row holds what no gateway writes")


def _size(log: Path, origin: str) -> int:
    database = LogDatabase(log, origin)
    try:
        return database.durable_size()
    finally:
        database.close()


def _told(log: Path, origin: str, size: int) -> _Log:
    told = _Log(size)
    database = LogDatabase(log, origin)
    try:
        for first in range(0, size, _CHUNK):
            for index, raw in database.bodies(first, min(size, first + _CHUNK)):
                with suppress(RegistryError):  # named where the log itself is checked
                    _take(told, index, decode_entry(raw))
    finally:
        database.close()
    return told


def _take(told: _Log, index: int, entry: LogEntry) -> None:
    for field, commitment in entry.commitments.items():
        told.commitments[commitment] = _Standing(field, index, entry.time)
    before = entry.details.get("before")
    if entry.kind == "openings_deleted" and isinstance(before, int):
        told.forgotten = max(told.forgotten, before)
