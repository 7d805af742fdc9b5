"""What the pool holds of running rounds: contributions, measurements and handed over updates, row by row.

A row's signature answers for its body, and the body for its key; the promise of a contribution, and the
entry of the gateway's log that it is of, for when it came. The round is the chain's: it was begun, with this
evaluation set, and its task names who may countersign. A measurement and a handover are of the update that
the device contributed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, select

from registry.audit.fsck import Difference
from registry.audit.pooled import Promised, promise_of
from registry.chain.rewards import TaskTerms
from registry.core.ids import Address, hex32, to_address
from registry.core.measurement import measurement_digest
from registry.core.promise import Promise
from registry.core.sealed_update import handover_digest
from registry.core.signing import recover
from registry.core.version import Domain, contribution_digest
from registry.database import snapshot
from registry.errors import RegistryError, VerificationFailed
from registry.index.tasks import TaskIndex
from registry.pool.schema import contributions, handovers, measurements
from registry.wire import parse_body
from registry.wire_rewards import (
    ContributionBody,
    MeasurementBody,
    contribution_body,
    contribution_of,
    measurement_body,
    measurement_of,
)
from registry.wire_updates import HandoverBody, handover_body, handover_of

_AGGREGATOR = TaskTerms.__match_args__.index("aggregator")
_ORDER = {table: list(table.primary_key) for table in (contributions, measurements, handovers)}


@dataclass(frozen=True, slots=True)
class Begun:
    """A round as the chain has it."""

    aggregator: Address
    evaluation: str
    time: int


Rounds = Mapping[tuple[int, int], Begun]
_Updates = Mapping[tuple[int, int, str], str]
_Check = Callable[[Row[Any]], None]


def rounds_of(index: TaskIndex) -> Rounds:
    """The rounds that were begun, by task and number."""
    found: dict[tuple[int, int], Begun] = {}
    for task in range(1, index.count() + 1):
        aggregator = None
        for event in index.events(task, ("TaskOpened", "RoundBegun")):
            if event.name == "TaskOpened":
                aggregator = to_address(event.args["terms"][_AGGREGATOR])
            elif aggregator is not None and event.round is not None:
                found[task, event.round] = Begun(aggregator, event.args["evaluation"], event.time)
    return found


def check_round_rows(
    engine: Engine, domain: Domain, begun: Callable[[], Rounds | None], promised: Promised | None
) -> Iterator[Difference]:
    """Every row is what was signed, of a round that the chain began (`begun` None: nobody knows which).

    That is asked when the rows are read, because a round is begun before anybody contributes to it.
    """
    with snapshot(engine) as connection:
        given, measured, handed = (_rows(connection, table) for table in _ORDER)
    rounds = begun()
    updates = {(row.task, row.round, row.device): _update_of(row) for row in given}
    yield from _each("contribution", given, lambda row: _check_contribution(row, domain, rounds))
    if promised is not None:
        yield from _check_promises(given, promised)
    yield from _each("measurement", measured, lambda row: _check_measurement(row, domain, rounds, updates))
    yield from _each("handover", handed, lambda row: _check_handover(row, domain, updates))


def _rows(connection: Connection, table: Table) -> list[Row[Any]]:
    return list(connection.execute(select(table).order_by(*_ORDER[table])))


def _each(what: str, rows: list[Row[Any]], check: _Check) -> Iterator[Difference]:
    for row in rows:
        try:
            check(row)
        except (RegistryError, ValueError, TypeError) as e:
            yield _difference(what, row, str(e))


def _difference(what: str, row: Row[Any], text: str) -> Difference:
    return Difference("pool", f"{what} of {row.device} to round {row.round} of task {row.task}", text)


def _check_contribution(row: Row[Any], domain: Domain, rounds: Rounds | None) -> None:
    given = contribution_of(parse_body(ContributionBody, json.loads(row.body)))
    _same(row, body=contribution_body(given).model_dump_json())
    _same(row, task=given.task, round=given.round, device=given.device)
    digest = contribution_digest(domain, given)
    _signed(digest, row.device_signature, given.device)
    begun = _begun(given.task, given.round, rounds)
    if begun is None:
        return
    if given.issued_at < begun.time:
        raise VerificationFailed(f"it is of {given.issued_at}, and the round began at {begun.time}")
    if row.aggregator_signature is not None:
        _signed(digest, row.aggregator_signature, begun.aggregator)


def _check_measurement(row: Row[Any], domain: Domain, rounds: Rounds | None, updates: _Updates) -> None:
    given = measurement_of(parse_body(MeasurementBody, json.loads(row.body)))
    _same(row, body=measurement_body(given).model_dump_json())
    _same(row, task=given.task, round=given.round, device=given.device)
    _signed(measurement_digest(domain, given), row.signature, to_address(row.validator))
    if row.validator != to_address(row.validator):
        raise VerificationFailed(f"the validator {row.validator} is not written in EIP-55")
    _check_update(row, hex32(given.update_sha256), updates)
    begun = _begun(given.task, given.round, rounds)
    if begun is not None and begun.evaluation != hex32(given.evaluation):
        raise VerificationFailed(
            f"it is on {hex32(given.evaluation)}, and the round was begun with {begun.evaluation}"
        )


def _check_handover(row: Row[Any], domain: Domain, updates: _Updates) -> None:
    given = handover_of(parse_body(HandoverBody, json.loads(row.body)))
    _same(row, body=handover_body(given).model_dump_json())
    _same(row, task=given.task, round=given.round, device=given.device)
    _signed(handover_digest(domain, given), row.signature, given.device)
    _check_update(row, hex32(given.update_sha256), updates)


def _check_promises(rows: list[Row[Any]], promised: Promised) -> Iterator[Difference]:
    """A release before this one promised nothing: what it took is older than all that was promised."""
    first = min((row.received for row in rows if row.promise is not None), default=None)
    kept: list[tuple[Row[Any], Promise]] = []
    for row in rows:
        if row.promise is None:
            if first is not None and row.received > first:
                yield _difference("contribution", row, "it has no promise, and one before it has")
            continue
        try:
            promise = promise_of(row, promised)
        except (RegistryError, ValueError, TypeError) as e:
            yield _difference("contribution", row, str(e))
        else:
            if promise.log == promised.own.name:
                kept.append((row, promise))
    entries = promised.entries({promise.entry_sha256 for _, promise in kept})
    for row, promise in kept:
        record = entries.get(promise.entry_sha256)
        if record is None:
            text = f"its promise is of an entry that the log {promise.log} does not hold"
            yield _difference("contribution", row, text)
            continue
        entry = record.entry
        told = {"task": row.task, "round": row.round, "update_sha256": _update_of(row)}
        if (entry.kind, entry.actor, dict(entry.details)) != ("contribution_accepted", row.device, told):
            text = f"its promise is of entry {record.index}, which is about something else"
            yield _difference("contribution", row, text)


def _begun(task: int, round_: int, rounds: Rounds | None) -> Begun | None:
    if rounds is None:
        return None
    if (task, round_) not in rounds:
        raise VerificationFailed("the chain began no such round")
    return rounds[task, round_]


def _check_update(row: Row[Any], update: str, updates: _Updates) -> None:
    contributed = updates.get((row.task, row.round, row.device))
    if contributed != update:
        raise VerificationFailed(f"it is of the update {update}, and the device contributed {contributed}")


def _update_of(row: Row[Any]) -> str:
    """The update that a contribution's body names, or what cannot be read as one."""
    try:
        return str(json.loads(row.body)["update_sha256"])
    except (ValueError, TypeError, KeyError):
        return f"what cannot be read: {row.body[:80]!r}"


def _same(row: Row[Any], **stated: object) -> None:
    for column, value in stated.items():
        if getattr(row, column) != value:
            raise VerificationFailed(f"{column} says {getattr(row, column)}, what was signed says {value}")


def _signed(digest: bytes, signature: str, by: Address) -> None:
    raw = bytes.fromhex(signature)
    signer = recover(digest, raw)
    if signer != by or raw.hex() != signature:
        raise VerificationFailed(f"the signature {signature} is of {signer}, not of {by}")
