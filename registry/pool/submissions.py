"""Pending submissions: primary data, durable before the 202, kept apart from the projection.

A row is never removed by sealing: it stays, marked, until its block is final, so that a reorganisation
can return it. `sequence` is the order of arrival, and with it the order of service within a class.
"""

import json
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Engine,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)

from registry.core.ids import Address, VersionId, hex32, parse_hex32
from registry.database import add_rows, claiming, reading, writing
from registry.pool.migrations import prepare
from registry.pool.rows import Entry, Filed, PoolState, columns_of, entry_of, expiry, filed_of
from registry.pool.schema import submissions
from registry.statements import Among, Command, Lookup

# So many rows at most are held at once.
_CLAIM = 500
# No database here adds numbers of 60 digits: the few different ones are added outside.
_RESERVED = Lookup(
    select(submissions.c.reserved, func.count().label("times"))
    .where(submissions.c.submitter == bindparam("submitter"), submissions.c.state == PoolState.PENDING)
    .group_by(submissions.c.reserved)
)
_NAMED = Among(submissions.c.version_id)
_ROWS = Lookup(select(submissions).where(_NAMED))
_PENDING = Lookup(
    select(submissions.c.version_id).where(_NAMED, submissions.c.state == PoolState.PENDING.value)
)
_AFTER = (
    select(submissions)
    .where(submissions.c.sequence > bindparam("after"))
    .order_by(submissions.c.sequence)
    .limit(bindparam("limit"))
)
_ANY_AFTER = Lookup(_AFTER)
_AFTER_IN = Lookup(_AFTER.where(submissions.c.state == bindparam("state")))
_RECEIVED = Lookup(select(submissions.c.version_id, submissions.c.received).where(_NAMED))
_PROMISES = Lookup(select(submissions.c.version_id, submissions.c.promise).where(_NAMED))
_DELETE = Command(delete(submissions).where(_NAMED))
_MARK = Command(update(submissions).where(_NAMED).values(state=bindparam("to"), reason=bindparam("why")))


class Pool:
    """Keeps what was acknowledged until it is sealed and final."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._changes = 0
        prepare(engine)

    def add(self, entries: Sequence[Entry]) -> None:
        """Take all entries durably, in order; a same version already here is replaced in place."""
        rows = [columns_of(entry) for entry in entries]
        with writing(self._engine) as connection:
            _DELETE.run(connection, keys=[row["version_id"] for row in rows])
            add_rows(connection, submissions, rows)
        self._announce()

    def get(self, version_id: VersionId) -> Entry | None:
        """The entry of a version, or None."""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(submissions).where(submissions.c.version_id == hex32(version_id))
            ).one_or_none()
        return None if row is None else entry_of(row)

    def get_many(self, version_ids: Iterable[VersionId]) -> dict[VersionId, Entry]:
        """The entries of those versions that are here."""
        return {entry.version_id: entry for entry in map(entry_of, self._each(_ROWS, version_ids))}

    def received(self, version_ids: Iterable[VersionId]) -> dict[VersionId, int]:
        """When each of those versions came that are here."""
        rows = self._each(_RECEIVED, version_ids)
        return {VersionId(parse_hex32(row.version_id)): row.received for row in rows}

    def still_pending(self, version_ids: Iterable[VersionId]) -> list[VersionId]:
        """Those of the versions that wait here for their seal."""
        return [VersionId(parse_hex32(row.version_id)) for row in self._each(_PENDING, version_ids)]

    def promised_by(self, log: str, version_ids: Iterable[VersionId]) -> set[VersionId]:
        """Those of the versions that the gateway with this log took in: several may share a pool."""
        rows = self._each(_PROMISES, version_ids)
        return {
            VersionId(parse_hex32(row.version_id))
            for row in rows
            if row.promise is not None and json.loads(row.promise)["log"] == log
        }

    def filed_of(self, version_ids: Iterable[VersionId]) -> dict[VersionId, Filed]:
        """Those versions that are here, as they lie in the file."""
        rows = self._each(_ROWS, version_ids)
        return {VersionId(parse_hex32(row.version_id)): filed_of(row) for row in rows}

    def _each(self, lookup: Lookup, version_ids: Iterable[VersionId]) -> list[Any]:
        with reading(self._engine) as connection:
            return lookup.rows(connection, keys=[hex32(version_id) for version_id in version_ids])

    def pending(self, *, limit: int, after: int = 0) -> list[Entry]:
        """Pending entries in order of arrival, from past the sequence number `after`."""
        return self.listed(PoolState.PENDING, limit=limit, after=after)

    def pending_places(self) -> list[tuple[int, VersionId]]:
        """Sequence number and version of every pending entry in order of arrival, without its body."""
        query = select(submissions.c.sequence, submissions.c.version_id)
        query = query.where(submissions.c.state == PoolState.PENDING).order_by(submissions.c.sequence)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [(row.sequence, VersionId(parse_hex32(row.version_id))) for row in rows]

    def listed(self, state: PoolState | None, *, limit: int, after: int = 0) -> list[Entry]:
        """Entries in order of arrival; `state` None means any."""
        return [entry_of(row) for row in self._page(state, limit, after)]

    def filed(self, state: PoolState | None, *, limit: int, after: int = 0) -> list[Filed]:
        """The same as it lies in the file."""
        return [filed_of(row) for row in self._page(state, limit, after)]

    def _page(self, state: PoolState | None, limit: int, after: int) -> Sequence[Any]:
        with reading(self._engine) as connection:
            if state is None:
                return _ANY_AFTER.rows(connection, after=after, limit=limit)
            return _AFTER_IN.rows(connection, after=after, limit=limit, state=state.value)

    def count(self, state: PoolState) -> int:
        """How many entries are in a state."""
        with reading(self._engine) as connection:
            return int(
                connection.execute(
                    select(func.count()).select_from(submissions).where(submissions.c.state == state)
                ).scalar_one()
            )

    def pending_of(self, submitter: Address) -> int:
        """How many submissions of one submitter are pending."""
        query = select(func.count()).where(
            submissions.c.submitter == submitter, submissions.c.state == PoolState.PENDING
        )
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def reserved(self, submitter: Address) -> int:
        """Wei that the pending entries of one submitter may cost at most."""
        with reading(self._engine) as connection:
            rows = _RESERVED.rows(connection, submitter=submitter)
        return sum(int(row.reserved) * row.times for row in rows)

    def mark(self, version_ids: Iterable[VersionId], state: PoolState, reason: str | None = None) -> None:
        """Move entries to a state; unknown versions are passed over."""
        wanted = [hex32(version_id) for version_id in version_ids]
        if not wanted:
            return
        with writing(self._engine) as connection:
            _MARK.run(connection, keys=wanted, to=state, why=reason)
        self._announce()

    def expire(self, now: int) -> int:
        """Mark what can no longer be sealed at chain time `now`; answers how many.

        Gateways that share this pool each take other rows, and none that somebody seals or withdraws now.
        """
        total = 0
        while count := self._expire_some(now):
            total += count
        if total:
            self._announce()
        return total

    def _expire_some(self, now: int) -> int:
        due = select(submissions.c.sequence).where(
            submissions.c.state == PoolState.PENDING, submissions.c.deadline < now
        )
        with claiming(self._engine) as connection:
            taken = connection.execute(due.limit(_CLAIM).with_for_update(skip_locked=True)).scalars().all()
            connection.execute(
                update(submissions)
                .where(submissions.c.sequence.in_(taken))
                .values(state=PoolState.EXPIRED, reason=expiry(now))
            )
        return len(taken)

    def ping(self) -> None:
        """Raise StoreUnavailable when the database does not answer."""
        with reading(self._engine) as connection:
            connection.execute(text("SELECT 1"))

    @property
    def changes(self) -> int:
        """A counter that grows with every change in this process."""
        return self._changes

    def wait(self, seen: int, timeout_s: float) -> int:
        """Block until `changes` differs from `seen` or the time is over; answers `changes`."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes != seen, timeout_s)
            return self._changes

    def _announce(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()
