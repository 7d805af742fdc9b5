"""Answers that a repeat of their request gets a second time."""

from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select

from registry.database import reading, writing
from registry.errors import Conflict
from registry.pool.migrations import prepare
from registry.pool.schema import answers
from registry.pool.seals import RowSeal

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request with this Idempotency-Key was answered."""

    status: int
    body: str


class Requests:
    """Remembers idempotent answers for a day."""

    def __init__(self, engine: Engine, seal: RowSeal) -> None:
        self._engine = engine
        self._seal = seal
        prepare(engine)

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
