"""Who uploaded what: the base of quotas, and of collecting what no submission ever named."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, delete, func, insert, select, update

from registry.core.cid import Cid
from registry.database import reading, writing
from registry.pool.migrations import prepare
from registry.pool.schema import uploads


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

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        prepare(engine)

    def add(self, files: Iterable[Upload]) -> None:
        """Remember files; one that is known already keeps its first caller."""
        with writing(self._engine) as connection:
            for file in files:
                known = select(uploads.c.cid).where(uploads.c.cid == str(file.cid))
                if connection.execute(known).first() is None:
                    connection.execute(insert(uploads), _row(file))

    def get(self, cid: Cid) -> Upload | None:
        """What is known of a file."""
        with reading(self._engine) as connection:
            row = connection.execute(select(uploads).where(uploads.c.cid == str(cid))).one_or_none()
        if row is None:
            return None
        return Upload(
            cid, bytes.fromhex(row.sha256), row.size, row.caller, row.received, named=bool(row.named)
        )

    def unnamed_bytes(self, caller: str | None = None) -> int:
        """Bytes that no submission names yet, of one caller or of all."""
        query = select(func.coalesce(func.sum(uploads.c.size), 0)).where(uploads.c.named == 0)
        if caller is not None:
            query = query.where(uploads.c.caller == caller)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def name(self, cids: Iterable[Cid]) -> None:
        """Files that an accepted submission names no longer count against a quota."""
        wanted = [str(cid) for cid in cids]
        if wanted:
            with writing(self._engine) as connection:
                connection.execute(update(uploads).where(uploads.c.cid.in_(wanted)).values(named=1))

    def forget(self, before: int) -> int:
        """Drop the rows of unnamed files that came in before a time; answers how many."""
        with writing(self._engine) as connection:
            gone = connection.execute(
                delete(uploads).where(uploads.c.named == 0, uploads.c.received < before)
            )
        return gone.rowcount


def _row(file: Upload) -> dict[str, object]:
    return {
        "cid": str(file.cid),
        "sha256": file.sha256.hex(),
        "size": file.size,
        "caller": file.caller,
        "received": file.received,
        "named": int(file.named),
    }
