"""The pool's rows that bear the gateway's mark: nonces, kept answers, uploads.

Nothing outside the database says what they should be, so each is held to its mark, to the time for which its
kind is kept, and an upload to the content that it is of.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Engine, Row, Table, select

from registry.audit.fsck import Difference
from registry.core.cid import RAW, Cid
from registry.core.ids import to_address
from registry.database import reading
from registry.errors import NotFound, RegistryError, VerificationFailed
from registry.pool.nonces import SWEEP_S
from registry.pool.requests import DAY_S
from registry.pool.schema import answers, nonces, uploads
from registry.pool.seals import RowSeal

_TIMES: Mapping[Table, str] = {nonces: "created", answers: "created", uploads: "received"}


def check_marked_rows(
    engine: Engine, seal: RowSeal, *, is_shared: bool, nonce_window_s: int
) -> Iterator[Difference]:
    """Every row is as it was written, and none is kept longer than its time.

    Of gateways that share the pool each can check only its own marks. Rows of a release that knew no marks
    are older than every marked one.
    """
    with reading(engine) as connection:
        for table, time in _TIMES.items():
            rows = list(connection.execute(select(table).order_by(*table.primary_key)))
            yield from _check_marks(table, rows, seal, is_shared)
            kept_s = {nonces: 2 * nonce_window_s + SWEEP_S, answers: DAY_S}.get(table)
            if kept_s is not None:
                yield from _check_times(table, rows, time, kept_s)


def _check_marks(table: Table, rows: list[Row[Any]], seal: RowSeal, is_shared: bool) -> Iterator[Difference]:
    time = _TIMES[table]
    first = min((getattr(row, time) for row in rows if row.seal is not None), default=None)
    for row in rows:
        if row.seal is None:
            if first is not None and getattr(row, time) > first:
                yield _difference(table, row, "it bears no mark, and a row before it does")
        elif row.seal != seal.of(table, row._asdict()) and (seal.is_own(row.seal) or not is_shared):
            yield _difference(table, row, "it is not as this gateway wrote it: its mark is of another row")


def _check_times(table: Table, rows: list[Row[Any]], time: str, kept_s: int) -> Iterator[Difference]:
    """What is written deletes what is over by then: answers each time, nonces once in a while."""
    newest = max((getattr(row, time) for row in rows), default=0)
    for row in rows:
        if getattr(row, time) < newest - kept_s:
            yield _difference(table, row, f"it is of {getattr(row, time)}, and was over by {newest}")


def upload_rows(engine: Engine) -> list[Row[Any]]:
    """All uploads, by their CID."""
    with reading(engine) as connection:
        return list(connection.execute(select(uploads).order_by(uploads.c.cid)))


def check_upload_rows(
    rows: Iterable[Row[Any]],
    pinned: Collection[Cid],
    handed: Collection[Cid],
    size_of: Callable[[Cid], int],
    is_ours: Callable[[Row[Any]], bool],
) -> Iterator[Difference]:
    """Every upload is of its content; `size_of` is NotFound for what is no longer held or was no file.

    Pins are this gateway's, so what a submission names is looked for only where the row is its own too.
    """
    for row in rows:
        try:
            _check_upload(row, size_of)
            # An update that was handed over is let go when its task is over.
            if row.named and is_ours(row) and (cid := Cid.parse(row.cid)) not in pinned and cid not in handed:
                raise VerificationFailed("it counts as named, and nothing that names it is pinned")
        except (RegistryError, ValueError) as e:
            yield _difference(uploads, row, str(e))


def _check_upload(row: Row[Any], size_of: Callable[[Cid], int]) -> None:
    cid = Cid.parse(row.cid)
    if cid.codec == RAW and cid.digest.hex() != row.sha256:
        raise VerificationFailed(f"its sha-256 is said to be {row.sha256}")
    if row.caller != "anonymous" and to_address(row.caller) != row.caller:
        raise VerificationFailed(f"{row.caller} is no caller")
    try:
        held = size_of(cid)
    except NotFound:
        return
    if held != row.size:
        raise VerificationFailed(f"its size is said to be {row.size}, and the content has {held} bytes")


def _difference(table: Table, row: Row[Any], text: str) -> Difference:
    key = " ".join(str(getattr(row, column.name)) for column in table.primary_key)
    return Difference("pool", f"{_ONE[table]} {key}", text)


_ONE: Mapping[Table, str] = {nonces: "nonce", answers: "answer", uploads: "upload"}
