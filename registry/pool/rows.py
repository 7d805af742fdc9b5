"""One submission as a row of the pool: the records it is read as, and the way between them."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from registry.core.ids import Address, VersionId, hex32
from registry.core.version import Submission
from registry.wire import PromiseBody, SignedSubmission, signature_of, submission_of


class PoolState(StrEnum):
    """Where a submission stands in this pool; final and waiting are read off the chain."""

    PENDING = "pending"
    SEALED = "sealed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


CANCELLED = "its submitter cancelled it"
_EXPIRY = "its deadline passed before chain time "


def rejection(submitter: str) -> str:
    """Why a submission is rejected."""
    return f"{submitter} is no longer its submitter"


def expiry(now: int) -> str:
    """Why a submission is expired."""
    return f"{_EXPIRY}{now}"


def chain_time_of(reason: str | None) -> int:
    """The chain time of an `expiry`; ValueError when this is none."""
    if reason is None or not reason.startswith(_EXPIRY):
        raise ValueError(f"{reason!r} is not why a submission expires")
    return int(reason.removeprefix(_EXPIRY))


@dataclass(frozen=True, slots=True)
class Entry:
    """One submission in the pool."""

    submission: Submission
    signature: bytes
    model: str
    reserved: int
    received: int
    state: PoolState = PoolState.PENDING
    reason: str | None = None
    promise: PromiseBody | None = None
    sequence: int = 0

    @property
    def version_id(self) -> VersionId:
        """The identity of the version submitted."""
        return self.submission.version.id


@dataclass(frozen=True, slots=True)
class Filed:
    """An entry as it lies in the file, for whoever only passes it on: `body` and `promise` are JSON."""

    sequence: int
    version_id: str
    state: PoolState
    submitter: Address
    model: str
    deadline: int
    received: int
    reason: str | None
    body: str
    promise: str | None


def columns_of(entry: Entry) -> dict[str, object]:
    """The row of an entry."""
    return {
        "version_id": hex32(entry.version_id),
        "state": entry.state,
        "submitter": entry.submission.version.submitter,
        "model": entry.model,
        "issued_at": entry.submission.issued_at,
        "deadline": entry.submission.deadline,
        "reserved": str(entry.reserved),
        "received": entry.received,
        "body": signed_text(entry.submission, entry.signature),
        "reason": entry.reason,
        "promise": None if entry.promise is None else entry.promise.model_dump_json(),
    }


def signed_text(submission: Submission, signature: bytes) -> str:
    """The JSON of a `SignedSubmission`, spelt out: a gateway keeps and passes on thousands."""
    version = submission.version
    parents = ",".join([f'"{hex32(parent)}"' for parent in version.parents])
    return (
        f'{{"submission":{{"version":{{"namespace_id":{version.namespace_id:d},'
        f'"name_hash":"{hex32(version.name_hash)}","weights_root":"{hex32(version.weights_root)}",'
        f'"manifest":"{hex32(version.manifest)}","parents":[{parents}],"size":{version.size:d},'
        f'"salt":"{hex32(version.salt)}","submitter":"{version.submitter}"}},'
        f'"fee_class":{submission.fee_class:d},"max_price":"{submission.max_price:d}",'
        f'"issued_at":{submission.issued_at:d},"deadline":{submission.deadline:d}}},'
        f'"signature":"0x{signature.hex()}"}}'
    )


def filed_of(row: Row[Any]) -> Filed:
    """A row as it lies in the file."""
    return Filed(
        sequence=row.sequence,
        version_id=row.version_id,
        state=PoolState(row.state),
        submitter=row.submitter,
        model=row.model,
        deadline=row.deadline,
        received=row.received,
        reason=row.reason,
        body=row.body,
        promise=row.promise,
    )


def entry_of(row: Row[Any]) -> Entry:
    """The entry of a row."""
    body = SignedSubmission.model_validate(json.loads(row.body))
    return Entry(
        submission=submission_of(body.submission),
        signature=signature_of(body.signature),
        model=row.model,
        reserved=int(row.reserved),
        received=row.received,
        state=PoolState(row.state),
        reason=row.reason,
        promise=None if row.promise is None else PromiseBody.model_validate(json.loads(row.promise)),
        sequence=row.sequence,
    )
