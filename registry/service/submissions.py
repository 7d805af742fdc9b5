"""Submissions: checked, pinned, promised, and durable in the pool before they are acknowledged."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from registry.chain.gateway import Contracts
from registry.core.admission import Admission, AdmissionLimits, decide_admission
from registry.core.ids import Address, Role, VersionId, hex32, parse_hex32
from registry.core.lifecycle import State, present_state
from registry.core.signing import recover
from registry.core.version import Domain, Submission, submission_digest
from registry.errors import NotFound, RegistryError
from registry.grouped import Grouped, one_by_one
from registry.index import Index
from registry.pool import Entry, Pool, PoolState
from registry.pool.rows import rejection
from registry.service.facts import BatchFacts, Facts
from registry.service.journal import Taken
from registry.service.receipts import Receipts
from registry.wire import (
    PromiseBody,
    QuoteBody,
    RepeatedAnswer,
    SignedSubmission,
    SubmissionAnswer,
    SubmissionStatus,
    signature_of,
    submission_body,
    submission_of,
)

Promiser = Callable[[Sequence[Taken]], list[PromiseBody]]


class Submissions:
    """The way into the pool, and what became of it."""

    def __init__(
        self,
        contracts: Contracts,
        index: Index,
        pool: Pool,
        facts: Facts,
        receipts: Receipts,
        limits: AdmissionLimits,
        promise: Promiser,
    ) -> None:
        self._contracts = contracts
        self._index = index
        self._pool = pool
        self._facts = facts
        self._receipts = receipts
        self._limits = limits
        self._promise = promise
        # Two turns at once must not both spend the same escrow.
        self._admitting = Grouped(self._admit, threading.Lock())

    def submit(self, signed: SignedSubmission, network: str) -> SubmissionAnswer:
        """Take one submission, or raise the rule it breaks; a repeated one is answered with its receipt."""
        (result,) = self.submit_many([signed], network)
        if isinstance(result, RegistryError):
            raise result
        if result.state not in (State.SEALED, State.FINAL):
            return result
        receipt = self.status(VersionId(parse_hex32(result.version_id))).receipt
        # A block that was taken back in between: it waits again, and has none.
        return RepeatedAnswer(**dict(result), receipt=receipt) if receipt is not None else result

    def submit_many(
        self, items: Sequence[SignedSubmission], network: str
    ) -> list[SubmissionAnswer | RegistryError]:
        """Take what can be taken, in order; a later item may name an earlier one as its parent.

        What others submit at the same moment is admitted, written down and kept together with it. When
        something of it could not be kept that is raised; the same again is then safe.
        """
        results: list[SubmissionAnswer | RegistryError] = []
        for result in self._admitting.do([_signed(item, self._contracts.domain, network) for item in items]):
            if isinstance(result, _Lost):
                raise result.why
            results.append(result)
        return results

    def _admit(
        self, signed: Sequence["_Signed | RegistryError"]
    ) -> list["SubmissionAnswer | RegistryError | _Lost"]:
        results: list[SubmissionAnswer | RegistryError] = []
        taken: dict[VersionId, Entry] = {}
        networks: dict[VersionId, str] = {}
        facts = self._facts.batch([one.submission for one in signed if isinstance(one, _Signed)])
        for one in signed:
            if isinstance(one, RegistryError):
                results.append(one)
                continue
            try:
                results.append(self._consider(one, facts, taken))
            except RegistryError as e:
                results.append(e)
            else:
                networks.setdefault(one.submission.version.id, one.network)
        promised = self._take(taken, facts, networks)
        return [_with_promise(result, promised) for result in results]

    def _take(
        self, taken: dict[VersionId, Entry], facts: BatchFacts, networks: dict[VersionId, str]
    ) -> dict[str, "PromiseBody | _Lost"]:
        """Pin, log and keep what was decided: one durable write each, however many there are.

        What is pinned may be pinned again, but nothing is logged twice: once it is, nothing is raised.
        """
        if not taken:
            return {}
        facts.pin()
        entries = list(taken.values())
        promises = self._promise(
            [Taken(one.submission, one.model, networks[one.version_id]) for one in entries]
        )
        outcomes = self._keep(
            [
                replace(entry, promise=promise, received=promise.issued)
                for entry, promise in zip(entries, promises, strict=True)
            ]
        )
        return {
            hex32(version_id): promise if lost is None else _Lost(lost)
            for version_id, promise, lost in zip(taken, promises, outcomes, strict=True)
        }

    def _keep(self, entries: Sequence[Entry]) -> Sequence[Exception | None]:
        """Put into the pool what is logged; answers what went wrong with each."""
        try:
            self._pool.add(entries)
        except Exception as e:
            return [e] if len(entries) == 1 else one_by_one(self._keep_alone, entries)
        return [None] * len(entries)

    def _keep_alone(self, entry: Entry) -> None:
        """A write whose end nobody heard may have been one."""
        held = self._pool.get(entry.version_id)
        if held is None or held.promise != entry.promise:
            self._pool.add([entry])

    def status(self, version_id: VersionId, wait_s: int = 0) -> SubmissionStatus:
        """Where a submission stands; waits up to `wait_s` seconds for its seal."""
        until = time.monotonic() + wait_s
        while True:
            seen = self._pool.changes
            status = self._status(version_id)
            left = until - time.monotonic()
            if left <= 0 or status.state not in (State.PENDING, State.WAITING):
                return status
            self._pool.wait(seen, min(left, 1.0))

    def reexamine(self, version_id: VersionId) -> None:
        """Look again at a pending entry that a miner's batch rejected: only our own checks end it."""
        entry = self._pool.get(version_id)
        if entry is None or entry.state != PoolState.PENDING:
            return
        version = entry.submission.version
        member = self._index.member(version.submitter)
        if (
            member is None
            or Role.SUBMITTER not in member.roles
            or member.namespace_id != version.namespace_id
        ):
            self._pool.mark([version_id], PoolState.REJECTED, rejection(version.submitter))

    def expire(self) -> int:
        """End what the chain's clock has overtaken; answers how many."""
        return self._pool.expire(self._contracts.link.head().time)

    def _consider(self, one: "_Signed", facts: BatchFacts, taken: dict[VersionId, Entry]) -> SubmissionAnswer:
        submission = one.submission
        version_id = submission.version.id
        held = facts.situation(submission, one.signer, taken)
        decided = decide_admission(submission, held.manifest, held.situation, self._limits)
        quote = facts.quote(submission)
        if decided is Admission.SEALED_ALREADY:
            kept = facts.pooled.get(version_id)
            return SubmissionAnswer(
                version_id=hex32(version_id),
                state=self._sealed_state(version_id),
                quote=quote,
                promise=kept.promise if kept else None,
            )
        if decided is Admission.PENDING_ALREADY:
            entry = taken.get(version_id) or facts.pooled.get(version_id)
            return _answer(version_id, quote, entry.promise if entry else None)
        facts.keep(submission, held.manifest)
        taken[version_id] = Entry(
            submission=submission,
            signature=one.signature,
            model=held.manifest.model,
            reserved=submission.reserve,
            received=int(time.time()),
        )
        return _answer(version_id, quote, None)

    def _status(self, version_id: VersionId) -> SubmissionStatus:
        row = self._index.version(version_id)
        entry = self._pool.get(version_id)
        if row is not None:
            return SubmissionStatus(
                version_id=hex32(version_id),
                state="final" if self._receipts.is_final(row.block) else "sealed",
                model=row.model,
                received=entry.received if entry else None,
                receipt=self._receipts.receipt(row, entry.promise if entry else None),
            )
        if entry is None:
            raise NotFound(
                f"no submission {hex32(version_id)} came to this gateway",
                hint="list those that did: twinledger submission list",
            )
        return self._described(entry, shows=True)

    def _sealed_state(self, version_id: VersionId) -> str:
        row = self._index.version(version_id)
        return "final" if row is not None and self._receipts.is_final(row.block) else "sealed"

    def _described(self, entry: Entry, *, shows: bool) -> SubmissionStatus:
        return SubmissionStatus(
            version_id=hex32(entry.version_id),
            state=self._state(entry),
            reason=entry.reason,
            model=entry.model,
            received=entry.received,
            submission=submission_body(entry.submission) if shows else None,
            signature="0x" + entry.signature.hex() if shows else None,
        )

    def _state(self, entry: Entry) -> str:
        if entry.state == PoolState.SEALED:
            return self._sealed_state(entry.version_id)
        if entry.state != PoolState.PENDING:
            return entry.state.value
        parents = entry.submission.version.parents
        sealed = self._index.sealed(parents) if parents else {}
        return present_state(
            entry.submission,
            now=self._contracts.link.head().time,
            record=None,
            final=False,
            refused=False,
            eligible=len(sealed) == len(set(parents)),
        ).value


@dataclass(frozen=True, slots=True)
class _Signed:
    """A submission as it came, who signed it, and where from."""

    submission: Submission
    signature: bytes
    signer: Address
    network: str


@dataclass(frozen=True, slots=True)
class _Lost:
    """A submission was to be taken, and could not be written down or kept."""

    why: Exception


def _signed(item: SignedSubmission, domain: Domain, network: str) -> _Signed | RegistryError:
    try:
        submission, signature = submission_of(item.submission), signature_of(item.signature)
        signer = recover(submission_digest(domain, submission), signature)
        return _Signed(submission, signature, signer, network)
    except RegistryError as e:
        return e


def _answer(version_id: VersionId, quote: QuoteBody, promise: PromiseBody | None) -> SubmissionAnswer:
    return SubmissionAnswer(version_id=hex32(version_id), state="pending", quote=quote, promise=promise)


def _with_promise(
    result: SubmissionAnswer | RegistryError, promised: dict[str, "PromiseBody | _Lost"]
) -> "SubmissionAnswer | RegistryError | _Lost":
    if isinstance(result, RegistryError) or result.version_id not in promised:
        return result
    promise = promised[result.version_id]
    if isinstance(promise, _Lost):
        return promise
    result.promise = promise
    return result
