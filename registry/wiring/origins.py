"""A log under a new origin or key: the old files are put aside whole, and the new log says which it follows.

They lie in HOME/log/before-1, before-2, …; nothing is written there again. Each step can be cut off: the move
is finished by the next start, and the first entry of the new log names the old head.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.audit.gatewaylog import GatewayLog
from registry.audit.logstore import hold
from registry.core.ids import hex32
from registry.core.merkle import Frontier
from registry.core.note import Note, VerifierKey
from registry.errors import Conflict, StoreUnavailable

GATEWAY, OPENINGS, CHAIN = "gateway.db", "openings.db", "chain.db"
_log = logging.getLogger("registry.logs")


@dataclass(frozen=True, slots=True)
class Head:
    """What a log had come to: all its entries, whether a checkpoint covers them or not."""

    origin: str
    size: int
    root: bytes


def make_room(folder: Path, own: VerifierKey, chain: VerifierKey) -> None:
    """Put aside a gateway log of another origin, and a chain log that another key signed.

    Conflict when only the key of the gateway's own log changed, or an origin is to begin a second time: its
    readers would see a fork.
    """
    held = origin_in(folder / GATEWAY)
    for place in _places(folder):
        if origin_in(place / GATEWAY) == own.name:
            raise Conflict(
                f"the log {own.name} was ended and lies in {place}", hint="set log.origin to a new name"
            )
    if held is not None and held != own.name:
        place = _place(folder)
        _log.warning("the log %s is put aside in %s; %s follows it", held, place, own.name)
        # The log itself last: while it is here, the move is not finished.
        for name in (OPENINGS, GATEWAY):
            _move(folder / name, place / name)
    elif not _is_signed_by(folder / GATEWAY, own):
        raise Conflict(
            f"the log {own.name} was signed with another key than {own}",
            hint="a new gateway.log_key_file needs a new log.origin; or bring the old key back",
        )
    if not _is_signed_by(folder / CHAIN, chain):
        place = _place(folder, CHAIN)
        _log.warning(
            "the chain log of another key is put aside in %s; it is built anew from the chain", place
        )
        _move(folder / CHAIN, place / CHAIN)


def follow(folder: Path, log: GatewayLog) -> None:
    """Name the log before this one in the first entry, where there is one."""
    if len(log.log) == 0 and (before := _newest(folder)) is not None:
        log.continued_from(origin=before.origin, size=before.size, root=hex32(before.root))


def put_aside(folder: Path) -> list[Path]:
    """Every file that was put aside."""
    return sorted(folder.glob("before-*/*.db"))


def ended(folder: Path) -> list[Path]:
    """The gateway logs that were put aside, the oldest first."""
    logs = (place / GATEWAY for place in sorted(_places(folder), key=_number))
    return [path for path in logs if path.exists()]


def _newest(folder: Path) -> Head | None:
    logs = ended(folder)
    return head_of(logs[-1]) if logs else None


def _places(folder: Path) -> Iterator[Path]:
    return (place for place in folder.glob("before-*") if place.name.removeprefix("before-").isdecimal())


def _number(place: Path) -> int:
    return int(place.name.removeprefix("before-"))


def _place(folder: Path, name: str = GATEWAY) -> Path:
    """The first folder that has no such file yet: a move that was cut off goes on in its own."""
    number = 1
    while (folder / f"before-{number}" / name).exists():
        number += 1
    place = folder / f"before-{number}"
    place.mkdir(mode=0o700, exist_ok=True)
    return place


def _move(source: Path, target: Path) -> None:
    if not source.exists():
        return
    lock = hold(source)
    try:
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("PRAGMA journal_mode=DELETE")
        source.replace(target)
        _settle(source.parent)
        _settle(target.parent)
    except (sqlite3.Error, OSError) as e:
        raise StoreUnavailable(f"{source} cannot be put aside in {target.parent}: {e}") from e
    finally:
        lock.release()


def _settle(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def origin_in(path: Path) -> str | None:
    """Whose log a file holds, None when it holds none."""
    rows = rows_in(path, "SELECT value FROM meta WHERE name = 'origin'")
    return str(rows[0][0]) if rows else None


def head_of(path: Path) -> Head:
    """What the log in a file has come to."""
    edge = Frontier()
    edge.extend((bytes(leaf) for (leaf,) in rows_in(path, "SELECT leaf FROM entries ORDER BY idx")), step=1)
    return Head(origin_in(path) or "", edge.size, edge.root())


def _is_signed_by(path: Path, key: VerifierKey) -> bool:
    rows = rows_in(path, "SELECT CAST(note AS BLOB) FROM checkpoints ORDER BY size DESC LIMIT 1")
    signatures = Note.parse(bytes(rows[0][0])).signatures if rows else ()
    return not rows or any(one.key_id == key.id for one in signatures)


def rows_in(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """What a log's file says, without changing it; nothing where there is no log."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchall():
                return []
            return connection.execute(sql).fetchall()
    except sqlite3.Error as e:
        raise StoreUnavailable(f"the log file {path} cannot be read: {e}") from e
