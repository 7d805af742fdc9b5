"""The market's history by epoch: the events of each, how it was closed, and who sealed how much."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, func, select

from registry.database import add_rows, reading
from registry.index import schema as t
from registry.index.records import Line

# What money, prices, audits and taxes follow from; everything else leaves the market as it is.
MARKET_EVENTS = frozenset(
    {
        *("Deposited", "Withdrawn", "AccountChanged", "Enrolled", "Left", "RosterChanged", "MenuSet"),
        *("BacklogPosted", "EpochClosed", "IdleEpochsClosed", "RebatePaid", "RebatesCompleted"),
        *("CreditCollected", "CreditForfeited", "CarryAdded", "BatchSealed", "Registered"),
        *("PriceSet", "MinerRetired", "Bonded", "Unbonded", "BeaconDrawn", "Attested"),
        *("VerdictReached", "Penalised"),
    }
)
_MARKETS = ("TwinRegistry", "StorageMarket")


@dataclass(frozen=True, slots=True)
class Happening:
    """One event as it is kept: arguments as JSON values."""

    block: int
    log_index: int
    time: int
    tx_hash: str
    contract: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed epoch, or a run of idle ones, and the event that closed it."""

    first: int
    last: int
    is_idle: bool
    event: Happening


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one miner sealed in one epoch."""

    epoch: int
    miner: str
    items: int
    bytes_h: int
    bytes_l: int


class EpochHistory:
    """Reads of the market's history."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def closed(self, *, after: int, limit: int) -> list[Closed]:
        """Closed epochs and idle runs in order, from past epoch `after`."""
        query = _closes().where(t.closes.c.last > after).order_by(t.closes.c.last).limit(limit)
        with reading(self._engine) as connection:
            return [_closed(row) for row in connection.execute(query)]

    def closing_of(self, epoch: int) -> Closed | None:
        """How an epoch was closed, None while it is not."""
        query = _closes().where(t.closes.c.first <= epoch, t.closes.c.last >= epoch)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else _closed(row)

    def open_epoch(self) -> int:
        """The epoch that is not closed yet."""
        with reading(self._engine) as connection:
            newest = connection.execute(select(func.max(t.closes.c.last))).scalar()
        return 0 if newest is None else newest + 1

    def events_in(self, first: int, last: int) -> list[Happening]:
        """Every market event that fell into these epochs, in chain order."""
        return self._read(_events().where(t.market.c.epoch >= first, t.market.c.epoch <= last))

    def named(self, *names: str) -> list[Happening]:
        """Every market event of these names, in chain order."""
        return self._read(_events().where(t.events.c.name.in_(names)))

    def sealed(self, *, since: int = 0) -> list[Sealed]:
        """Who sealed how much in which epoch from `since` on, in order of epochs."""
        b = t.batches.c
        query = (
            select(
                b.epoch,
                b.miner,
                func.sum(b.accepted).label("items"),
                func.sum(b.bytes_h).label("bytes_h"),
                func.sum(b.bytes_l).label("bytes_l"),
            )
            .where(b.epoch >= since)
            .group_by(b.epoch, b.miner)
            .order_by(b.epoch, b.miner)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [Sealed(r.epoch, r.miner, int(r.items), int(r.bytes_h), int(r.bytes_l)) for r in rows]

    def _read(self, query: Select[Any]) -> list[Happening]:
        ordered = query.order_by(t.events.c.block, t.events.c.log_index)
        with reading(self._engine) as connection:
            return [_happening(row) for row in connection.execute(ordered)]


def project_epochs(connection: Connection, lines: Iterable[Line]) -> None:
    """Put a run of events into the epochs that were open when they happened."""
    wanted = [line for line in lines if line.contract in _MARKETS and line.name in MARKET_EVENTS]
    if not wanted:
        return
    order = (t.market.c.block.desc(), t.market.c.log_index.desc())
    epoch = connection.execute(select(t.market.c.epoch).order_by(*order).limit(1)).scalar() or 0
    rows = []
    for line in wanted:
        # The menu of an epoch is the first that is said in it, and the close before it the last of another.
        epoch = line.args["epoch"] if line.name == "MenuSet" else epoch
        rows.append({"block": line.block, "log_index": line.log_index, "epoch": epoch})
    add_rows(connection, t.market, rows)
    _insert_closes(connection, wanted)
    _insert_batches(connection, wanted)


def _insert_closes(connection: Connection, lines: Sequence[Line]) -> None:
    rows = [
        {"block": line.block, "log_index": line.log_index, "first": span[0], "last": span[1], "idle": span[2]}
        for line in lines
        if (span := _span(line)) is not None
    ]
    add_rows(connection, t.closes, rows)


def _span(line: Line) -> tuple[int, int, int] | None:
    if line.name == "EpochClosed":
        return line.args["epoch"], line.args["epoch"], 0
    if line.name == "IdleEpochsClosed":
        return line.args["first"], line.args["last"], 1
    return None


def _insert_batches(connection: Connection, lines: Sequence[Line]) -> None:
    rows = [
        {
            "block": line.block,
            "log_index": line.log_index,
            "miner": line.args["miner"],
            "epoch": line.args["epoch"],
            "slot": line.args["slot"],
            "accepted": line.args["accepted"],
            "bytes_h": line.args["bytesH"],
            "bytes_l": line.args["bytesL"],
        }
        for line in lines
        if line.name == "BatchSealed"
    ]
    add_rows(connection, t.batches, rows)


def _events() -> Select[Any]:
    at_place = (t.events.c.block == t.market.c.block) & (t.events.c.log_index == t.market.c.log_index)
    joined = select(t.events, t.blocks.c.time).join(t.market, at_place)
    return joined.join(t.blocks, t.blocks.c.number == t.events.c.block)


def _closes() -> Select[Any]:
    at_place = (t.events.c.block == t.closes.c.block) & (t.events.c.log_index == t.closes.c.log_index)
    columns = (t.closes.c.first, t.closes.c.last, t.closes.c.idle, t.events, t.blocks.c.time)
    joined = select(*columns).join(t.events, at_place)
    return joined.join(t.blocks, t.blocks.c.number == t.events.c.block)


def _closed(row: Row[Any]) -> Closed:
    return Closed(row.first, row.last, bool(row.idle), _happening(row))


def _happening(row: Row[Any]) -> Happening:
    args = json.loads(row.args)
    return Happening(row.block, row.log_index, row.time, row.tx_hash, row.contract, row.name, args)
