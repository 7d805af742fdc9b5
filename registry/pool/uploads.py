"""Who uploaded what: the base of quotas, and of collecting what no submission ever named."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, bindparam, delete, func, select, update

from registry.core.cid import Cid
from registry.database import add_rows, reading, writing
from registry.pool.migrations import prepare
from registry.pool.schema import uploads
from registry.pool.seals import RowSeal
from registry.statements import Among, Command, Lookup

_THESE = Among(uploads.c.cid)
_CIDS = Lookup(select(uploads.c.cid).where(_THESE))
_ROWS = Lookup(select(uploads).where(_THESE))
_NAME = Command(
    update(uploads).where(uploads.c.cid == bindparam("of")).values(named=1, seal=bindparam("mark"))
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came in; `named` once an accepted submission names it."""

    cid: Cid
    sha256: bytes
    size: int
    caller: str
    received: int
    named: bool = False


class Uploads:
    """Remembers the sha-256 of every file that came in, and whose quota it counts against."""

    def __init__(self, engine: Engine, seal: RowSeal) -> None:
        self._engine = engine
        self._seal = seal
        prepare(engine)

    def add(self, files: Iterable[Upload]) -> None:
        """Remember files; one that is known already keeps its first caller."""
        new = {str(file.cid): file for file in files}
        if not new:
            return
        with writing(self._engine) as connection:
            for row in _CIDS.rows(connection, keys=list(new)):
                del new[row.cid]
            rows = [_row(file) for file in new.values()]
            add_rows(connection, uploads, [row | {"seal": self._seal.of(uploads, row)} for row in rows])

    def get(self, cid: Cid) -> Upload | None:
        """What is known of a file."""
        return self.get_many([cid]).get(cid)

    def get_many(self, cids: Iterable[Cid]) -> dict[Cid, Upload]:
        """What is known of each file that came in."""
        wanted = {str(cid): cid for cid in cids}
        if not wanted:
            return {}
        with reading(self._engine) as connection:
            rows = _ROWS.rows(connection, keys=list(wanted))
        return {wanted[row.cid]: _upload(wanted[row.cid], row) for row in rows}

    def unnamed_bytes(self, caller: str | None = None) -> int:
        """Bytes that no submission names yet, of one caller or of all."""
        query = select(func.coalesce(func.sum(uploads.c.size), 0)).where(uploads.c.named == 0)
        if caller is not None:
            query = query.where(uploads.c.caller == caller)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def name(self, cids: Iterable[Cid]) -> None:
        """Files that an accepted submission names no longer count against a quota."""
        wanted = [str(cid) for cid in dict.fromkeys(cids)]
        if wanted:
            with writing(self._engine) as connection:
                found = _ROWS.rows(connection, keys=wanted)
                rows = [row._asdict() | {"named": 1} for row in found if not row.named]
                _NAME.run_each(connection, [{"of": row["cid"], "mark": self._mark(row)} for row in rows])

    def _mark(self, row: Mapping[str, object]) -> str | None:
        """A row of a release that knew no marks goes on without one."""
        return None if row["seal"] is None else self._seal.of(uploads, row)

    def forget(self, before: int) -> int:
        """Drop the rows of unnamed files that came in before a time; answers how many."""
        with writing(self._engine) as connection:
            gone = connection.execute(
                delete(uploads).where(uploads.c.named == 0, uploads.c.received < before)
            )
        return gone.rowcount


def _upload(cid: Cid, row: Any) -> Upload:
    digest = bytes.fromhex(row.sha256)
    return Upload(cid, digest, row.size, row.caller, row.received, named=bool(row.named))


def _row(file: Upload) -> dict[str, object]:
    return {
        "cid": str(file.cid),
        "sha256": file.sha256.hex(),
        "size": file.size,
        "caller": file.caller,
        "received": file.received,
        "named": int(file.named),
    }
