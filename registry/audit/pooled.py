"""The pool's rows, one by one: what is signed, promised or counted is checked against that.

Of a row its submitter's signature answers for what was submitted, its promise and the entry of the gateway's
log for when and after what it came, its reason for the state it ended in. Whether the chain agrees with the
state is asked where the chain is at hand.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, select, text

from registry.audit.fsck import Difference
from registry.core.ids import hex32, name_hash
from registry.core.log import Recorded
from registry.core.note import VerifierKey
from registry.core.promise import Promise, verify_promise
from registry.core.signing import recover
from registry.core.version import Domain, submission_digest
from registry.database import snapshot
from registry.errors import RegistryError, VerificationFailed
from registry.pool import PoolState
from registry.pool.rows import CANCELLED, chain_time_of, rejection
from registry.pool.schema import submissions
from registry.wire import SignedSubmission, parse_body, signature_of, submission_of

_GIVEN = text("SELECT seq FROM sqlite_sequence WHERE name = 'submissions'")
_NAMED = 8


@dataclass(frozen=True, slots=True)
class Promised:
    """What a gateway's promises are held against.

    `own` is the key of its own log and `entries` finds the entries of that log by their digests; `key_of`
    finds the keys of other logs: of gateways that share this pool, and of this one's earlier origins.
    `accepted` counts, per version, the entries of all its logs that say it was taken in.
    """

    own: VerifierKey
    key_of: Callable[[str], VerifierKey | None]
    entries: Callable[[Collection[bytes]], Mapping[bytes, Recorded]]
    accepted: Callable[[], Mapping[str, int]]


def check_pool_rows(
    engine: Engine, domain: Domain, promised: Promised | None, names: Callable[[], Mapping[int, str]]
) -> Iterator[Difference]:
    """Every row is what its submitter signed, came when its gateway's log says, in a state it can have.

    `names`, and what was promised, are asked for when the rows are read: a service that takes in more
    meanwhile has written down first what its rows rest on.
    """
    with snapshot(engine) as connection:
        rows = connection.execute(select(submissions).order_by(submissions.c.sequence)).all()
        given = connection.execute(_GIVEN).scalar() or 0 if engine.dialect.name == "sqlite" else None
    if given is not None:
        yield from _check_numbers(rows, given, {} if promised is None else promised.accepted())
    namespaces = names()
    for row in rows:
        try:
            _check_row(row, domain, namespaces)
            _check_reason(row)
        except (RegistryError, ValueError, TypeError) as e:
            yield _difference(row, str(e))
    if promised is not None:
        yield from _check_promises(rows, promised)


def _check_numbers(rows: Sequence[Row[Any]], given: int, accepted: Mapping[str, int]) -> Iterator[Difference]:
    """Every submission took a number, after an entry of the log; only the same version again frees one.

    An entry without a row says nothing by itself: the pool may have been full, or the process killed.
    """
    for row in rows:
        if not 0 < row.sequence <= given:
            yield _difference(row, f"no such number was given yet, {given} is the newest")
    here = {row.version_id for row in rows}
    spent = sum(max(1, accepted.get(version_id, 0)) for version_id in here)
    if given > spent:
        gone = ", ".join(sorted(accepted.keys() - here)[:_NAMED]) or "no other"
        text = f"{given} numbers were given, and the rows account for {spent}; the log accepted too: {gone}"
        yield Difference("pool", f"{given - spent} submissions are gone", text)


def _difference(row: Row[Any], what: str) -> Difference:
    return Difference("pool", f"submission {row.sequence}", what)


def _check_row(row: Row[Any], domain: Domain, namespaces: Mapping[int, str]) -> None:
    body = parse_body(SignedSubmission, json.loads(row.body))
    submission = submission_of(body.submission)
    version = submission.version
    signer = recover(submission_digest(domain, submission), signature_of(body.signature))
    if signer != version.submitter:
        raise VerificationFailed(f"the signature is of {signer}, not of the submitter {version.submitter}")
    stated = {
        "version_id": hex32(version.id),
        "submitter": version.submitter,
        "issued_at": submission.issued_at,
        "deadline": submission.deadline,
        "reserved": str(submission.reserve),
    }
    for column, value in stated.items():
        if getattr(row, column) != value:
            raise VerificationFailed(f"{column} says {getattr(row, column)}, what was signed says {value}")
    namespace, _, name = row.model.partition("/")
    # A projection that is yet to be built knows no namespace at all: then only the name can be compared.
    is_foreign = bool(namespaces) and namespaces.get(version.namespace_id) != namespace
    if is_foreign or name_hash(name) != version.name_hash:
        raise VerificationFailed(f"the model says {row.model}, and another one was signed")


def _check_reason(row: Row[Any]) -> None:
    """A state that ended a submission says why, in the words of whoever ended it; no other says anything."""
    state = PoolState(row.state)
    if state is PoolState.EXPIRED:
        if chain_time_of(row.reason) <= row.deadline:
            raise VerificationFailed(f"it is expired because {row.reason}; its deadline is {row.deadline}")
        return
    wanted = {PoolState.CANCELLED: CANCELLED, PoolState.REJECTED: rejection(row.submitter)}.get(state)
    if row.reason != wanted:
        raise VerificationFailed(f"it is {state}, and the reason says {row.reason!r}")


def _check_promises(rows: Sequence[Row[Any]], promised: Promised) -> Iterator[Difference]:
    kept: list[tuple[Row[Any], Promise]] = []
    for row in rows:
        try:
            promise = promise_of(row, promised)
        except (RegistryError, ValueError, TypeError) as e:
            yield _difference(row, str(e))
        else:
            if promise.log == promised.own.name:
                kept.append((row, promise))
    entries = promised.entries({promise.entry_sha256 for _, promise in kept})
    before = -1
    for row, promise in kept:
        record = entries.get(promise.entry_sha256)
        if record is None:
            yield _difference(row, f"its promise is of an entry that the log {promise.log} does not hold")
            continue
        entry = record.entry
        about = entry.kind, entry.version, entry.model, entry.actor
        if about != ("submission_accepted", row.version_id, row.model, row.submitter):
            yield _difference(row, f"its promise is of entry {record.index}, which is about something else")
        if record.index < before:
            yield _difference(row, f"by entry {record.index} of the log it came before the row before it")
        before = max(before, record.index)


def promise_of(row: Row[Any], promised: Promised) -> Promise:
    """The promise of a row that came when it was issued, signed by a log that we know."""
    if row.promise is None:
        raise VerificationFailed("it has no promise, and everything is taken with one")
    promise = Promise.from_json(json.loads(row.promise))
    own = promised.own
    key = own if promise.log == own.name else promised.key_of(promise.log)
    if key is None:
        raise VerificationFailed(
            f"its promise is of {promise.log}, whose key neither trust.json nor the chain names"
        )
    verify_promise(promise, key)
    if row.received != promise.issued:
        raise VerificationFailed(f"received says {row.received}, its promise was issued at {promise.issued}")
    return promise
