"""Tasks and services in the projection: every event of RewardPool, found by its task or its service."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Engine, Row, func, select

from registry.core.ids import hex32
from registry.database import reading
from registry.index import schema as t
from registry.index.growth import Rows
from registry.index.records import Line

NO_ROUND = -1
# Whom each event is about: by it a device finds its own.
_TASK_EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "TaskOpened": "sponsor",
        "MenuPublished": "",
        "BidCommitted": "device",
        "BidRevealed": "device",
        "ItemChosen": "device",
        "RoundBegun": "by",
        "RoundSettled": "settler",
        "RoundChallenged": "challenger",
        "RoundSlashed": "challenger",
        "ChallengeDecided": "",
        "PayoutClaimed": "account",
        "EscrowRefunded": "sponsor",
        "BondPaid": "account",
    }
)
_SERVICE_EVENTS: Mapping[str, str] = MappingProxyType(
    {
        "ServiceOffered": "provider",
        "OfferWithdrawn": "provider",
        "ServiceAwarded": "provider",
        "ServiceAttested": "attestor",
        "ServicePaid": "provider",
        "ServiceSlashed": "provider",
        "ServiceEnded": "",
    }
)


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One thing that happened to a task; `round` is None outside rounds."""

    task: int
    round: int | None
    name: str
    account: str
    block: int
    time: int
    tx_hash: str
    event_index: int
    args: Mapping[str, Any]


def _task_event(rows: Rows, line: Line) -> None:
    rows.add(
        t.task_events,
        line,
        task=line.args["taskId"],
        round=line.args.get("round", NO_ROUND),
        name=line.name,
        account=line.args.get(_TASK_EVENTS[line.name], ""),
        time=line.time,
        tx_hash=hex32(line.tx_hash),
        event_index=line.event_index,
        args=json.dumps(line.shown, separators=(",", ":")),
    )


def _service_event(rows: Rows, line: Line) -> None:
    rows.add(
        t.service_events,
        line,
        service=line.args.get("serviceId", 0),
        name=line.name,
        account=line.args.get(_SERVICE_EVENTS[line.name], ""),
        args=json.dumps(line.shown, separators=(",", ":")),
    )


REWARD_PROJECTORS: dict[tuple[str, str], Callable[[Rows, Line], None]] = {
    **{("RewardPool", name): _task_event for name in _TASK_EVENTS},
    **{("RewardPool", name): _service_event for name in _SERVICE_EVENTS},
}


class TaskIndex:
    """Reads what happened to tasks and services."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def count(self) -> int:
        """How many tasks were opened."""
        query = select(func.coalesce(func.max(t.task_events.c.task), 0))
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def events(self, task: int, names: Sequence[str] = ()) -> list[TaskEvent]:
        """What happened to a task, in chain order; `names` narrows it."""
        query = select(t.task_events).where(t.task_events.c.task == task)
        if names:
            query = query.where(t.task_events.c.name.in_(names))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(t.task_events.c.block, t.task_events.c.log_index)).all()
        return [_event(row) for row in rows]

    def settled_before(self, block: int) -> list[TaskEvent]:
        """Every settlement in blocks before `block` whose root had not fallen by then."""
        names = ("RoundSettled", "RoundSlashed", "ChallengeDecided")
        query = select(t.task_events).where(t.task_events.c.name.in_(names), t.task_events.c.block < block)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(t.task_events.c.block, t.task_events.c.log_index)).all()
        standing: dict[tuple[int, int | None], TaskEvent] = {}
        for event in map(_event, rows):
            if event.name == "RoundSettled":
                standing[event.task, event.round] = event
            elif event.name == "RoundSlashed" or event.args["upheld"]:
                standing.pop((event.task, event.round), None)
        return list(standing.values())

    def stating(self) -> list[TaskEvent]:
        """Every event that names a document: tasks that were opened, rounds that were settled."""
        query = select(t.task_events).where(t.task_events.c.name.in_(("TaskOpened", "RoundSettled")))
        with reading(self._engine) as connection:
            return [_event(row) for row in connection.execute(query)]

    def offers(self) -> list[int]:
        """The numbers of all offers."""
        query = select(t.service_events.c.args).where(t.service_events.c.name == "ServiceOffered")
        with reading(self._engine) as connection:
            return sorted(int(json.loads(args)["offerId"]) for args in connection.execute(query).scalars())

    def services(self) -> list[int]:
        """The numbers of all awarded services."""
        query = select(t.service_events.c.service).where(t.service_events.c.name == "ServiceAwarded")
        with reading(self._engine) as connection:
            return sorted(connection.execute(query).scalars())


def _event(row: Row[Any]) -> TaskEvent:
    return TaskEvent(
        task=row.task,
        round=None if row.round == NO_ROUND else row.round,
        name=row.name,
        account=row.account,
        block=row.block,
        time=row.time,
        tx_hash=row.tx_hash,
        event_index=row.event_index,
        args=json.loads(row.args),
    )
