"""Contributions and measurements of running rounds: primary data, durable before the answer.

The first contribution of a device in a round stands: a second one is a Conflict unless it is the same, and
the aggregator's countersignature only ever joins it. Whoever kept the answer can prove it.
"""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, and_, insert, select, update

from registry.core.ids import Address, to_address
from registry.core.measurement import Measurement
from registry.core.sealed_update import Handover
from registry.core.version import Contribution
from registry.database import reading, snapshot, writing
from registry.errors import Conflict, NotFound
from registry.pool.migrations import prepare
from registry.pool.schema import contributions, handovers, measurements
from registry.wire import PromiseBody
from registry.wire_rewards import (
    ContributionBody,
    MeasurementBody,
    contribution_body,
    contribution_of,
    measurement_body,
    measurement_of,
)
from registry.wire_updates import HandoverBody, handover_body, handover_of


@dataclass(frozen=True, slots=True)
class Statement:
    """One validator's signed measurement."""

    measurement: Measurement
    validator: Address
    signature: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A contribution with what was signed about it so far."""

    contribution: Contribution
    device_signature: bytes
    aggregator_signature: bytes | None
    received: int
    statements: tuple[Statement, ...]


class Contributions:
    """Keeps what devices, aggregators and validators signed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        prepare(engine)

    def holds(self, given: Contribution) -> bool:
        """Whether this contribution is here; Conflict when another one of the device is."""
        row = self._row(given)
        if row is not None:
            _check_same(row, given)
        return row is not None

    def promise(self, given: Contribution) -> PromiseBody | None:
        """The promise that a device's contribution was taken with; a release before this one made none."""
        row = self._row(given)
        return None if row is None or row.promise is None else PromiseBody.model_validate_json(row.promise)

    def _row(self, given: Contribution) -> Row[Any] | None:
        with reading(self._engine) as connection:
            return connection.execute(select(contributions).where(_is(given))).one_or_none()

    def add(self, given: Contribution, signature: bytes, promise: PromiseBody) -> None:
        """Take a device's contribution; the same again changes nothing, another one is a Conflict."""
        with writing(self._engine) as connection:
            row = connection.execute(select(contributions).where(_is(given))).one_or_none()
            if row is None:
                connection.execute(
                    insert(contributions),
                    {
                        "task": given.task,
                        "round": given.round,
                        "device": given.device,
                        "body": contribution_body(given).model_dump_json(),
                        "device_signature": signature.hex(),
                        "received": promise.issued,
                        "promise": promise.model_dump_json(),
                    },
                )
            else:
                _check_same(row, given)

    def countersign(self, given: Contribution, signature: bytes) -> None:
        """Join the aggregator's signature to the same contribution; NotFound without the device's own."""
        with writing(self._engine) as connection:
            row = connection.execute(select(contributions).where(_is(given))).one_or_none()
            if row is None or _read(row.body) != given:
                raise NotFound(
                    f"{given.device} signed no such contribution to round {given.round} of task {given.task}"
                )
            connection.execute(
                update(contributions).where(_is(given)).values(aggregator_signature=signature.hex())
            )

    def measure(self, given: Measurement, validator: Address, signature: bytes) -> None:
        """Take a validator's measurement; its first one of an update stands."""
        key = {"task": given.task, "round": given.round, "device": given.device, "validator": validator}
        with writing(self._engine) as connection:
            known = connection.execute(
                select(measurements.c.body).filter_by(**key)  # the primary key
            ).scalar_one_or_none()
            if known is None:
                body = measurement_body(given).model_dump_json()
                connection.execute(insert(measurements), {**key, "body": body, "signature": signature.hex()})
            elif measurement_of(MeasurementBody.model_validate_json(known)) != given:
                raise Conflict(f"{validator} already measured {given.device} in round {given.round}")

    def hand_over(self, given: Handover, signature: bytes) -> None:
        """Take where a device's encrypted update lies; a later word of the device replaces it."""
        key = {"task": given.task, "round": given.round, "device": given.device}
        body = {"body": handover_body(given).model_dump_json(), "signature": signature.hex()}
        with writing(self._engine) as connection:
            changed = connection.execute(update(handovers).filter_by(**key).values(**body))
            if not changed.rowcount:
                connection.execute(insert(handovers), {**key, **body})

    def handed(self, task: int, round_: int | None = None) -> list[tuple[Handover, bytes]]:
        """What was handed over in a task, or in one round of it, by round and device."""
        query = select(handovers).where(handovers.c.task == task)
        if round_ is not None:
            query = query.where(handovers.c.round == round_)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(handovers.c.round, handovers.c.device)).all()
        return [
            (handover_of(HandoverBody.model_validate_json(row.body)), bytes.fromhex(row.signature))
            for row in rows
        ]

    def listed(self, task: int, round_: int) -> list[Held]:
        """A round's contributions with their measurements, by device address."""
        with snapshot(self._engine) as connection:
            rows = connection.execute(
                select(contributions)
                .where(contributions.c.task == task, contributions.c.round == round_)
                .order_by(contributions.c.device)
            ).all()
            stated = connection.execute(
                select(measurements)
                .where(measurements.c.task == task, measurements.c.round == round_)
                .order_by(measurements.c.device, measurements.c.validator)
            ).all()
        by_device: dict[str, list[Statement]] = {}
        for row in stated:
            by_device.setdefault(row.device, []).append(_statement(row))
        return [_held(row, tuple(by_device.get(row.device, ()))) for row in rows]


def _is(given: Contribution) -> ColumnElement[bool]:
    return and_(
        contributions.c.task == given.task,
        contributions.c.round == given.round,
        contributions.c.device == given.device,
    )


def _check_same(row: Row[Any], given: Contribution) -> None:
    """A device that did not hear the answer signs again, a little later: that is the same contribution."""
    if replace(_read(row.body), issued_at=given.issued_at) != given:
        raise Conflict(
            f"{given.device} already contributed to round {given.round} of task {given.task}",
            hint="the first contribution of a round stands",
        )


def _read(body: str) -> Contribution:
    return contribution_of(ContributionBody.model_validate_json(body))


def _statement(row: Row[tuple[object, ...]]) -> Statement:
    given = measurement_of(MeasurementBody.model_validate_json(row.body))
    return Statement(given, to_address(row.validator), bytes.fromhex(row.signature))


def _held(row: Row[tuple[object, ...]], statements: tuple[Statement, ...]) -> Held:
    countersigned = row.aggregator_signature
    return Held(
        contribution=_read(row.body),
        device_signature=bytes.fromhex(row.device_signature),
        aggregator_signature=None if countersigned is None else bytes.fromhex(countersigned),
        received=row.received,
        statements=statements,
    )
