"""The projection against one that is rebuilt from the chain, in a scratch file, table by table."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Engine, Table, select

from registry.chain.base import ChainLink
from registry.chain.gateway import Contracts
from registry.core.ids import hex32
from registry.core.manifest import Manifest
from registry.database import open_database, reading, sqlite_url
from registry.errors import NotFound
from registry.index import Index, Projection
from registry.index.schema import CHAIN_TABLES, blocks
from registry.pool import Pool
from registry.service.follower import Follower

_ADVICE = "delete the projection, it is rebuilt at the next start"


def scratch(file: Path, stack: ExitStack) -> Engine:
    """A database that is thrown away with its folder."""
    engine = open_database(sqlite_url(file))
    stack.callback(engine.dispose)
    return engine


def rebuild(contracts: Contracts, projection: Engine, pool: Engine) -> None:
    """Project the whole chain, as a gateway's first start would."""
    follower = Follower(
        contracts,
        Projection(projection),
        Index(projection),
        Pool(pool),
        read_manifest=_no_content,
        reexamine=lambda _version_id: None,
    )
    while follower.step():
        pass


def compare(held: Engine, rebuilt: Engine, link: ChainLink, limit: int) -> Iterator[str]:
    """Every difference up to a block."""
    for table in CHAIN_TABLES:
        yield from _rows(table, held, rebuilt, limit)
    yield from _blocks(held, rebuilt, link, limit)


def _rows(table: Table, held: Engine, rebuilt: Engine, limit: int) -> Iterator[str]:
    columns = list(table.c)
    query = select(table).order_by(*columns)
    with reading(held) as one, reading(rebuilt) as other:
        have = [tuple(row) for row in one.execute(query)]
        want = [tuple(row) for row in other.execute(query.where(table.c.block <= limit))]
    missing, extra = len(set(want) - set(have)), len(set(have) - set(want))
    if missing or extra or len(have) != len(want):
        yield f"{table.name}: {missing} rows of the chain are missing, {extra} are not the chain's; {_ADVICE}"


def _blocks(held: Engine, rebuilt: Engine, link: ChainLink, limit: int) -> Iterator[str]:
    """Blocks with events are kept for ever; which of the others are depends on when it was projected."""
    query = select(blocks.c.number, blocks.c.hash, blocks.c.time)
    with reading(held) as one, reading(rebuilt) as other:
        have = {row.number: (row.hash, row.time) for row in one.execute(query)}
        want = {row.number: (row.hash, row.time) for row in other.execute(query)}
        busy = set(other.execute(select(CHAIN_TABLES[0].c.block).distinct()).scalars())
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
