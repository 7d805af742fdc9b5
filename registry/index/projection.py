"""Writes the projection: one SQL transaction per block, the cursor included.

The cursor is the newest row of `blocks`: a crash between two blocks resumes behind the last whole one.
"""

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Engine, delete, select

from registry.core.ids import hex32, name_hash
from registry.database import add_rows, reading, writing
from registry.index import schema as t
from registry.index.accounts import project_entries
from registry.index.epochs import project_epochs
from registry.index.events import PROJECTORS
from registry.index.growth import Rows
from registry.index.records import BlockMark, Line, Readable, json_args
from registry.index.release import prepare

# Older block rows only serve a walk back after a reorganisation; those with events stay.
_KEPT_BLOCKS = 1024


class Projection:
    """Follows the chain into tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        prepare(engine)

    def cursor(self) -> BlockMark | None:
        """The last projected block."""
        with reading(self._engine) as connection:
            return _cursor(connection)

    def hash_at(self, number: int) -> bytes | None:
        """The hash this projection saw at a height, None where it was not kept."""
        with reading(self._engine) as connection:
            found = connection.execute(select(t.blocks.c.hash).where(t.blocks.c.number == number)).scalar()
        return None if found is None else bytes.fromhex(found[2:])

    def apply(self, after: BlockMark | None, blocks: Sequence[BlockMark], lines: Iterable[Line]) -> bool:
        """Project a run of blocks behind the cursor `after`, with all their events, in one transaction.

        False, and nothing is written, when the cursor stands elsewhere: gateways that share a database
        project each block once.
        """
        lines = list(lines)
        with writing(self._engine) as connection:
            if _cursor(connection) != after:
                return False
            marks = [{"number": b.number, "hash": hex32(b.hash), "time": b.time} for b in blocks]
            add_rows(connection, t.blocks, marks)
            rows = Rows(connection)
            for line in lines:
                rows.put(t.events, _event_row(line))
                project = PROJECTORS.get((line.contract, line.name))
                if project is not None:
                    project(rows, line)
            rows.write()
            project_epochs(connection, lines)
            project_entries(connection, lines)
            busy = select(t.events.c.block)
            connection.execute(
                delete(t.blocks).where(
                    t.blocks.c.number < blocks[-1].number - _KEPT_BLOCKS, t.blocks.c.number.not_in(busy)
                )
            )
        return True

    def sealed_above(self, number: int) -> list[str]:
        """The ids of the versions that were sealed above block `number`."""
        query = select(t.versions.c.version_id).where(t.versions.c.block > number)
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def roll_back(self, number: int) -> None:
        """Forget everything above block `number`."""
        with writing(self._engine) as connection:
            for table in t.CHAIN_TABLES:
                connection.execute(delete(table).where(table.c.block > number))
            connection.execute(delete(t.blocks).where(t.blocks.c.number > number))

    def manifests_wanted(self, limit: int = 500) -> list[str]:
        """Digests of manifests that a sealed version names and this projection has not read yet."""
        with reading(self._engine) as connection:
            known = select(t.manifests.c.digest)
            rows = connection.execute(
                select(t.versions.c.manifest).where(t.versions.c.manifest.not_in(known)).limit(limit)
            )
            return list(rows.scalars())

    def add_manifests(self, manifests: Iterable[Readable]) -> None:
        """Make the fields of manifests searchable, all in one transaction; one twice is no error."""
        new = {manifest.digest: manifest for manifest in manifests}
        if not new:
            return
        with writing(self._engine) as connection:
            digests = list(new)
            for start in range(0, len(digests), 500):
                known = t.manifests.c.digest.in_(digests[start : start + 500])
                for digest in connection.execute(select(t.manifests.c.digest).where(known)).scalars().all():
                    del new[digest]
            rows = Rows(connection)
            for manifest in new.values():
                rows.put(t.manifests, _manifest_row(manifest))
                for key, value in manifest.fields:
                    rows.put(t.fields, _field_row(manifest.digest, key, value))
            rows.write()


def _manifest_row(manifest: Readable) -> dict[str, object]:
    return {
        "digest": manifest.digest,
        "namespace": manifest.namespace,
        "name": manifest.name,
        "name_hash": hex32(name_hash(manifest.name)),
        "body": manifest.body.decode(),
    }


def _field_row(digest: str, key: str, value: str | float) -> dict[str, object]:
    is_text = isinstance(value, str)
    return {
        "digest": digest,
        "key": key,
        "text": value if is_text else None,
        "number": None if is_text else value,
    }


def _cursor(connection: Connection) -> BlockMark | None:
    row = connection.execute(select(t.blocks).order_by(t.blocks.c.number.desc()).limit(1)).first()
    return None if row is None else BlockMark(row.number, bytes.fromhex(row.hash[2:]), row.time)


def _event_row(line: Line) -> dict[str, object]:
    return {
        "block": line.block,
        "log_index": line.log_index,
        "tx_hash": hex32(line.tx_hash),
        "tx_index": line.tx_index,
        "event_index": line.event_index,
        "contract": line.contract,
        "name": line.name,
        "args": json.dumps(json_args(line.args), separators=(",", ":"), sort_keys=True),
    }
