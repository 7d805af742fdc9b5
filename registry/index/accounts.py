"""Account statements: every debit and credit of an escrow with its reason and the balance after it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select, tuple_

from registry.core.ids import Address, hex32
from registry.database import add_rows, reading
from registry.index import schema as t
from registry.index.records import Line

START = (-1, -1, -1)


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One movement of an escrow; `subject` is the payer of a deposit or the version that was sealed."""

    place: tuple[int, int, int]
    reason: str
    amount: int
    balance: int
    epoch: int | None
    subject: str | None
    time: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class _Movement:
    account: Address
    reason: str
    amount: int
    epoch: int | None = None
    subject: str | None = None


class Statements:
    """Reads of the escrow's history."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, address: Address, *, after: tuple[int, int, int], limit: int) -> list[EntryRow]:
        """Movements of one account in chain order, from past a place."""
        e = t.entries.c
        query = (
            select(t.entries, t.blocks.c.time, t.events.c.tx_hash)
            .join(t.blocks, t.blocks.c.number == e.block)
            .join(t.events, (t.events.c.block == e.block) & (t.events.c.log_index == e.log_index))
            .where(e.account == address, tuple_(e.block, e.log_index, e.part) > after)
            .order_by(e.block, e.log_index, e.part)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [
            EntryRow(
                place=(row.block, row.log_index, row.part),
                reason=row.reason,
                amount=int(row.amount),
                balance=int(row.balance),
                epoch=row.epoch,
                subject=row.subject,
                time=row.time,
                tx_hash=row.tx_hash,
            )
            for row in rows
        ]


def project_entries(connection: Connection, lines: Sequence[Line]) -> None:
    """Add the movements of a run of events; each row carries its account's balance on."""
    balances: dict[Address, int] = {}
    rows: list[dict[str, object]] = []
    for line in lines:
        for part, move in enumerate(_movements(line)):
            before = balances.get(move.account)
            if before is None:
                before = _balance(connection, move.account)
            balances[move.account] = before + move.amount
            rows.append(
                {
                    "block": line.block,
                    "log_index": line.log_index,
                    "part": part,
                    "account": move.account,
                    "reason": move.reason,
                    "amount": str(move.amount),
                    "balance": str(balances[move.account]),
                    "epoch": move.epoch,
                    "subject": move.subject,
                }
            )
    add_rows(connection, t.entries, rows)


def _balance(connection: Connection, account: Address) -> int:
    e = t.entries.c
    newest = select(e.balance).where(e.account == account)
    order = (e.block.desc(), e.log_index.desc(), e.part.desc())
    return int(connection.execute(newest.order_by(*order).limit(1)).scalar() or 0)


def _movements(line: Line) -> Iterator[_Movement]:
    if line.contract != "TwinRegistry":
        return
    args = line.args
    if line.name == "Deposited":
        yield _Movement(args["account"], "deposit", args["amount"], subject=args["from"])
    elif line.name == "Withdrawn":
        yield _Movement(args["account"], "withdrawal", -args["amount"])
    elif line.name == "Registered":
        version_id = hex32(args["versionId"])
        yield _Movement(args["submitter"], "fee", -args["fee"], args["epoch"], version_id)
        if args["tax"]:
            yield _Movement(args["submitter"], "waiting_tax", -args["tax"], args["epoch"], version_id)
    elif line.name == "RebatePaid":
        yield _Movement(args["account"], "rebate", args["amount"], args["epoch"])
    elif line.name == "CreditCollected" and args["amount"]:
        yield _Movement(args["miner"], "storage", args["amount"], args["epoch"])
