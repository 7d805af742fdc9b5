"""The projection against one that is rebuilt from the chain, in a scratch file, table by table."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, select

from registry.chain.base import ChainLink
from registry.chain.gateway import Contracts
from registry.core.ids import hex32
from registry.core.manifest import Manifest
from registry.database import open_database, reading, snapshot, sqlite_url
from registry.errors import NotFound
from registry.index import Index, Projection
from registry.index.rows import newest_block
from registry.index.schema import CHAIN_TABLES, blocks
from registry.pool import Pool
from registry.service.follower import Follower

EMPTY = "is empty, and is built at the next start"
_TRIES = 5
_ADVICE = "delete the projection, it is rebuilt at the next start"


def scratch(file: Path, stack: ExitStack) -> Engine:
    """A database that is thrown away with its folder."""
    engine = open_database(sqlite_url(file))
    stack.callback(engine.dispose)
    return engine


def compare(held: Engine, contracts: Contracts, folder: Path, stack: ExitStack) -> Generator[str, None, str]:
    """Every difference from what the chain leads to now; returns what was looked at.

    A service that projects meanwhile is seen at one moment. Where the chain replaced a block of that moment
    before it was compared, another moment is looked at.
    """
    rebuilt = _Rebuilt(contracts, folder, stack)
    left = _TRIES
    while True:
        left -= 1
        rebuilt.catch_up()  # most of it before, so that the snapshot is soon over
        with snapshot(held) as connection:
            tip = newest_block(connection)
            if tip is None:
                return EMPTY
            rebuilt.catch_up()
            found = list(rebuilt.differences(connection, tip.number))
        is_standing = _of_chain(contracts.link, tip.number) == (hex32(tip.hash), tip.time)
        if not found or is_standing or not left:
            yield from found
            return f"is what block {tip.number} and all before it say"


class _Rebuilt:
    """The whole chain projected anew, as a gateway's first start would."""

    def __init__(self, contracts: Contracts, folder: Path, stack: ExitStack) -> None:
        self._link = contracts.link
        self._engine = scratch(folder / "index.db", stack)
        self._follower = Follower(
            contracts,
            Projection(self._engine),
            Index(self._engine),
            Pool(scratch(folder / "pool.db", stack)),
            read_manifest=_no_content,
            reexamine=lambda _version_id: None,
        )

    def catch_up(self) -> None:
        """As far as the chain goes."""
        while self._follower.step():
            pass

    def differences(self, held: Connection, limit: int) -> Iterator[str]:
        """Of what is held, up to a block."""
        with reading(self._engine) as rebuilt:
            for table in CHAIN_TABLES:
                yield from _rows(table, held, rebuilt, limit)
            yield from _blocks(held, rebuilt, self._link, limit)


def _rows(table: Table, held: Connection, rebuilt: Connection, limit: int) -> Iterator[str]:
    columns = list(table.c)
    query = select(table).order_by(*columns)
    have = [tuple(row) for row in held.execute(query)]
    want = [tuple(row) for row in rebuilt.execute(query.where(table.c.block <= limit))]
    missing, extra = len(set(want) - set(have)), len(set(have) - set(want))
    if missing or extra or len(have) != len(want):
        yield f"{table.name}: {missing} rows of the chain are missing, {extra} are not the chain's; {_ADVICE}"


def _blocks(held: Connection, rebuilt: Connection, link: ChainLink, limit: int) -> Iterator[str]:
    """Blocks with events are kept for ever; which of the others are depends on when it was projected."""
    query = select(blocks.c.number, blocks.c.hash, blocks.c.time)
    have = {row.number: (row.hash, row.time) for row in held.execute(query)}
    want = {row.number: (row.hash, row.time) for row in rebuilt.execute(query)}
    busy = set(rebuilt.execute(select(CHAIN_TABLES[0].c.block).distinct()).scalars())
    for number in sorted(have.keys() | {number for number in busy if number <= limit}):
        told = want.get(number) or _of_chain(link, number)
        if have.get(number) != told:
            yield f"blocks: the row of block {number} is not the chain's; {_ADVICE}"


def _of_chain(link: ChainLink, number: int) -> tuple[str, int] | None:
    try:
        block = link.block(number)
    except NotFound:
        return None
    return hex32(block.hash), block.time


def _no_content(_digest: bytes) -> Manifest:
    raise NotFound("the rebuilt projection reads no manifests")
