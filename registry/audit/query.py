"""Filtered events of one log, page by page: the rarest key leads, the other filters pick.

A page costs what the rarest key's entries cost, whatever the log's length. A cursor is a place and
not a page number, so a log that grows meanwhile shifts nothing.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from registry.audit.base import KeyView
from registry.audit.logstore import LogStore
from registry.audit.openings import Opening, OpeningStore
from registry.audit.rows import GATEWAY, Filter, Row, row_of
from registry.core.log import Recorded, as_json
from registry.errors import Malformed

_CURSOR = re.compile(r"([kin])([0-9]{1,15})")
_CHUNK = 256
# Entries of many callers are nearly, not wholly, in the order of their times.
_SLACK_S = 120


@dataclass(frozen=True, slots=True)
class Found:
    """A page of rows, where to go on, and the key whose complete answer proves it (None: the whole log)."""

    rows: tuple[Row, ...]
    next: str | None
    key: str | None


@dataclass(frozen=True, slots=True)
class _Source:
    """Entries by position: those of a key, or all of the log."""

    letter: str
    count: int
    read: Callable[[int, int], list[Recorded]]


def find(
    log: LogStore,
    name: str,
    given: Filter,
    *,
    cursor: str | None = None,
    limit: int = 100,
    openings: OpeningStore | None = None,
    scan: int = 20_000,
) -> Found:
    """The next rows of a log (named chain or gateway) that match; `next` is None at the end.

    Looks at no more than `scan` entries: a rare match may need several calls with few or no rows each.
    """
    if not 1 <= limit <= 1000:
        raise Malformed(f"a page has 1 to 1000 rows, not {limit}")
    key, source = _source(log, given)
    start = _start(cursor, source.letter) if cursor else _first_since(source, given.since)
    return _collect(source, name, given, key, start=start, limit=limit, openings=openings, scan=scan)


def _source(log: LogStore, given: Filter) -> tuple[str | None, _Source]:
    views = [log.view(key) for key in given.map_keys()]
    if not views:
        return None, _Source("i", len(log), log.entries)
    rarest = min(views, key=lambda view: view.count)
    return rarest.key, _Source("k", rarest.count, _reader(log, rarest))


def _reader(log: LogStore, view: KeyView) -> Callable[[int, int], list[Recorded]]:
    return lambda first, end: log.entries_of(log.posted(view, first, end))


def _start(cursor: str, letter: str) -> int:
    match = _CURSOR.fullmatch(cursor)
    if match is None or match[1] != letter:
        raise Malformed(f"{cursor[:40]!r} is no cursor of this query", hint="take `next` of the page before")
    return int(match[2])


def _first_since(source: _Source, since: int | None) -> int:
    """Where to begin for a time: found by halving, a little early because order is only near."""
    if since is None:
        return 0
    low, high = 0, source.count
    while low < high:
        middle = (low + high) // 2
        record = source.read(middle, middle + 1)
        if record and _time_of(record[0]) < since - _SLACK_S:
            low = middle + 1
        else:
            high = middle
    return low


def _time_of(record: Recorded) -> int:
    time = as_json(record.raw)["time"]
    assert isinstance(time, int)
    return time


def _collect(
    source: _Source,
    name: str,
    given: Filter,
    key: str | None,
    *,
    start: int,
    limit: int,
    openings: OpeningStore | None,
    scan: int,
) -> Found:
    rows: list[Row] = []
    place = start
    last = min(source.count, start + scan)
    while place < last:
        records = source.read(place, min(place + _CHUNK, last))
        for offset, row in enumerate(_rows(name, records, openings)):
            if given.until is not None and row.time > given.until + _SLACK_S:
                return Found(tuple(rows), None, key)
            if given.matches(row):
                rows.append(row)
                if len(rows) == limit:
                    after = place + offset + 1
                    return Found(
                        tuple(rows), f"{source.letter}{after}" if after < source.count else None, key
                    )
        place += max(len(records), 1)
    return Found(tuple(rows), f"{source.letter}{place}" if place < source.count else None, key)


def _rows(name: str, records: Sequence[Recorded], openings: OpeningStore | None) -> Iterable[Row]:
    for record in records:
        row = row_of(name, record)
        if openings is not None and row.commitments:
            row = replace(row, opened=_shown(openings, row))
        yield row


def _shown(openings: OpeningStore, row: Row) -> dict[str, str]:
    found: list[Opening] = openings.for_commitments(row.commitments.values())
    for opening in found:
        opening.check()
    return {opening.field: opening.value for opening in found}


def all_rows(
    log: LogStore, name: str, given: Filter, *, openings: OpeningStore | None = None
) -> Iterable[Row]:
    """Every matching row, read in pages: for exports and for questions that need the whole answer."""
    cursor: str | None = None
    while True:
        found = find(log, name, given, cursor=cursor, limit=1000, openings=openings)
        yield from found.rows
        cursor = found.next
        if cursor is None:
            return


def rows_about(
    log: LogStore, name: str, versions: Iterable[str], *, openings: OpeningStore | None = None
) -> list[Row]:
    """Every row that concerns one of many versions, oldest first: what `find` answers for each, at once."""
    return list(_rows(name, log.entries_under([f"version:{version}" for version in versions]), openings))


def hidden_rows(
    log: LogStore, openings: OpeningStore, field: str, value: str, *, since: int = 0, until: int = 1 << 48
) -> list[Row]:
    """The gateway's rows whose hidden device, cell or address is this one, oldest first.

    What retention deleted is not found any more, so this is what the gateway still can show, no more.
    """
    numbers = openings.places_of(field, value, since=since, until=until)
    return list(_rows(GATEWAY, log.entries_of(numbers), openings))
