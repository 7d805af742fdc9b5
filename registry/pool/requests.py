"""Requests already seen: nonces that may not come again, and answers that a repeat gets a second time."""

from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select

from registry.database import add_rows, is_free, noting, reading, writing
from registry.errors import Conflict, Unauthenticated
from registry.pool.horizon import Horizon, this_boot
from registry.pool.migrations import prepare
from registry.pool.schema import answers, nonces
from registry.pool.seals import RowSeal

DAY_S = 86_400
SWEEP_S = 60
"""So long what is over may still lie there."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request with this Idempotency-Key was answered."""

    status: int
    body: str


class Requests:
    """Remembers nonces for their window and idempotent answers for a day."""

    def __init__(
        self, engine: Engine, seal: RowSeal, *, nonce_window_s: int, boot: str | None = None
    ) -> None:
        """`boot` names this run of the machine; told by the system itself unless it is given."""
        self._engine = engine
        self._seal = seal
        self._window_s = nonce_window_s
        self._swept = 0
        prepare(engine)
        self._horizon = Horizon(engine, seal, boot or this_boot())

    def use_nonce(self, address: str, nonce: bytes, signed: int, now: int) -> None:
        """Take the nonce of a request that says when it was signed.

        A second use within the window is Unauthenticated, also after a restart.
        """
        row = {"address": address, "nonce": nonce.hex(), "created": now}
        take = noting if self._horizon.reaches(signed, now) else writing
        with take(self._engine) as connection:
            if self._is_sweep_due(now):
                connection.execute(delete(nonces).where(nonces.c.created < now - 2 * self._window_s))
                self._swept = now
            try:
                add_rows(connection, nonces, [row | {"seal": self._seal.of(nonces, row)}])
            except self._engine.dialect.loaded_dbapi.IntegrityError as e:
                raise Unauthenticated(
                    f"the request of {address} was sent before: its nonce is used",
                    hint="sign every request with a fresh nonce",
                ) from e

    def is_at_hand(self, signed: int, now: int) -> bool:
        """Whether such a nonce is taken in no time: without the disk, a server, or another writer."""
        return self._horizon.covers(signed) and not self._is_sweep_due(now) and is_free(self._engine)

    def _is_sweep_due(self, now: int) -> bool:
        return not self._swept <= now < self._swept + SWEEP_S

    def answered(self, actor: str, route: str, key: str, body_sha256: bytes) -> Answered | None:
        """The answer kept under a key; Conflict when the key came with another body."""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(answers).where(
                    answers.c.actor == actor, answers.c.route == route, answers.c.key == key
                )
            ).one_or_none()
        if row is None:
            return None
        if row.body_sha256 != body_sha256.hex():
            raise Conflict(
                f"the Idempotency-Key {key!r} was used for another body",
                hint="use a fresh key for a new request",
            )
        return Answered(row.status, row.body)

    def keep(self, actor: str, route: str, key: str, body_sha256: bytes, answer: Answered, now: int) -> None:
        """Keep an answer for a day; the first one of two at once stands."""
        row = {
            "actor": actor,
            "route": route,
            "key": key,
            "body_sha256": body_sha256.hex(),
            "status": answer.status,
            "body": answer.body,
            "created": now,
        }
        with writing(self._engine) as connection:
            connection.execute(delete(answers).where(answers.c.created < now - DAY_S))
            known = select(answers.c.key).where(
                answers.c.actor == actor, answers.c.route == route, answers.c.key == key
            )
            if connection.execute(known).first() is None:
                connection.execute(insert(answers), row | {"seal": self._seal.of(answers, row)})
