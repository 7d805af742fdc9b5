"""Writes the projection: one SQL transaction per block, the cursor included.

The cursor is the newest row of `blocks`: a crash between two blocks resumes behind the last whole one.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

from sqlalchemy import Connection, Engine, delete, func, select

from registry.core.ids import hex32, name_hash
from registry.database import add_rows, reading, writing
from registry.index import schema as t
from registry.index.accounts import project_entries
from registry.index.epochs import project_epochs
from registry.index.events import PROJECTORS
from registry.index.growth import Rows
from registry.index.records import BlockMark, Line, Readable
from registry.index.release import prepare
from registry.index.rows import newest_block
from registry.statements import Among, Lookup

# Older block rows only serve a walk back after a reorganisation; those with events stay.
_KEPT_BLOCKS = 1024
_READ = Lookup(select(t.manifests.c.digest).where(Among(t.manifests.c.digest)))
_LAST = Lookup(select(func.coalesce(func.max(t.manifests.c.number), 0).label("number")))
_ARGS = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


class Projection:
    """Follows the chain into tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        prepare(engine)

    def cursor(self) -> BlockMark | None:
        """The last projected block."""
        with reading(self._engine) as connection:
            return newest_block(connection)

    def hash_at(self, number: int) -> bytes | None:
        """The hash this projection saw at a height, None where it was not kept."""
        with reading(self._engine) as connection:
            found = connection.execute(select(t.blocks.c.hash).where(t.blocks.c.number == number)).scalar()
        return None if found is None else bytes.fromhex(found[2:])

    def apply(
        self,
        after: BlockMark | None,
        blocks: Sequence[BlockMark],
        lines: Iterable[Line],
        manifests: Iterable[Readable] = (),
    ) -> bool:
        """Project a run of blocks behind the cursor `after`, with all their events, in one transaction.

        The manifests that they name come with them: who sees a version sealed also sees what it is called.
        False, and nothing is written, when the cursor stands elsewhere: gateways that share a database
        project each block once.
        """
        lines = list(lines)
        with writing(self._engine) as connection:
            if newest_block(connection) != after:
                return False
            marks = [{"number": b.number, "hash": hex32(b.hash), "time": b.time} for b in blocks]
            add_rows(connection, t.blocks, marks)
            _add_manifests(connection, manifests)
            rows = Rows(connection)
            for line in lines:
                rows.put(t.events, _event_row(line))
                project = PROJECTORS.get((line.contract, line.name))
                if project is not None:
                    project(rows, line)
            rows.write()
            project_epochs(connection, lines)
            project_entries(connection, lines)
            _forget(connection, 0 if after is None else after.number, blocks[-1].number)
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

    def manifests_wanted(self) -> list[str]:
        """Digests of manifests that a sealed version names and this projection has not read yet."""
        known = select(t.manifests.c.digest)
        query = select(t.versions.c.manifest).distinct().where(t.versions.c.manifest.not_in(known))
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def unread(self, digests: Sequence[str]) -> list[str]:
        """Those of these manifests that this projection has not read yet."""
        with reading(self._engine) as connection:
            known = {row.digest for row in _READ.rows(connection, keys=list(digests))}
        return [digest for digest in digests if digest not in known]

    def add_manifests(self, manifests: Sequence[Readable]) -> None:
        """Make the fields of manifests searchable, all in one transaction; one twice is no error."""
        if manifests:
            with writing(self._engine) as connection:
                _add_manifests(connection, manifests)


def _add_manifests(connection: Connection, manifests: Iterable[Readable]) -> None:
    """A manifest is its digest's for ever: who read it before wrote the same rows."""
    new = {manifest.digest: manifest for manifest in manifests}
    if not new:
        return
    for row in _READ.rows(connection, keys=list(new)):
        del new[row.digest]
    bodies, fields = [], []
    for of, manifest in enumerate(new.values(), _LAST.first(connection).number + 1):
        bodies.append(_manifest_row(of, manifest))
        for place, (key, value) in enumerate(manifest.fields):
            text, number = (value, None) if isinstance(value, str) else (None, value)
            fields.append({"manifest": of, "place": place, "key": key, "text": text, "number": number})
    add_rows(connection, t.manifests, bodies)
    add_rows(connection, t.fields, fields)


def _manifest_row(number: int, manifest: Readable) -> dict[str, object]:
    return {
        "number": number,
        "digest": manifest.digest,
        "namespace": manifest.namespace,
        "name": manifest.name,
        "name_hash": _name_hash(manifest.name),
        "body": manifest.body.decode(),
    }


@lru_cache(maxsize=1024)  # the versions of a model have one name
def _name_hash(name: str) -> str:
    return hex32(name_hash(name))


def _forget(connection: Connection, before: int, now: int) -> None:
    """Drop the blocks that became old between two cursors and have no events.

    All that were old already had their turn, and there may be as many as there are versions.
    """
    number = t.blocks.c.number
    aged = number.between(before - _KEPT_BLOCKS, now - _KEPT_BLOCKS - 1)
    busy = select(t.events.c.block).where(t.events.c.block == number).exists()
    if now > _KEPT_BLOCKS:
        connection.execute(delete(t.blocks).where(aged, ~busy))


def _event_row(line: Line) -> dict[str, object]:
    return {
        "block": line.block,
        "log_index": line.log_index,
        "tx_hash": hex32(line.tx_hash),
        "tx_index": line.tx_index,
        "event_index": line.event_index,
        "contract": line.contract,
        "name": line.name,
        "args": _ARGS.encode(line.shown),
    }
