"""Admission: whether a gateway takes a submission into its pool.

The contract decides again when it seals and is the authority; this is the courtesy of saying no early, with
the reason and what to do. The rules stand in the order in which they are told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from registry.core.cid import Cid
from registry.core.ids import Address, Role, Status, VersionId, hex32, name_hash
from registry.core.lifecycle import OnChain
from registry.core.manifest import Manifest
from registry.core.version import MAX_LIFETIME_S, Submission
from registry.errors import (
    Conflict,
    Expired,
    FeeTooLow,
    InvalidManifest,
    NotAuthorized,
    RateLimited,
    TooLarge,
    Unauthenticated,
    VerificationFailed,
)


class Admission(Enum):
    """What the pool does with a submission that may be admitted."""

    TAKE = "take it"
    REPLACE = "it replaces the pending one, with its place in the queue lost"
    PENDING_ALREADY = "the same version is pending, with these terms or later ones"
    SEALED_ALREADY = "the version is sealed: answer with its receipt"


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What the chain says of the submitter."""

    namespace_id: int
    namespace: str
    roles: Role
    free: int  # wei of escrow that no other submission has reserved


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What this gateway's pool holds."""

    same_version: Submission | None
    of_member: int
    in_all: int


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How much this gateway takes."""

    item_bytes: int
    pending_per_member: int
    pending_in_all: int


@dataclass(frozen=True, slots=True)
class ContentFacts:
    """What the store says: which named bytes are missing, and the directory that the files make."""

    missing: tuple[Cid, ...]
    weights_root: bytes


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that admission depends on besides the submission and its manifest."""

    now: int
    signer: Address
    member: MemberFacts | None
    price: int  # rho + tax of the submission's class, wei per byte
    record: OnChain | None
    parents: Mapping[VersionId, Status | None]  # sealed: its status; pending here: None; else absent
    content: ContentFacts
    pool: PoolFacts


def decide_admission(
    submission: Submission, manifest: Manifest, situation: Situation, limits: AdmissionLimits
) -> Admission:
    """What to do with a submission; raises the error of the first rule that it breaks."""
    check_signer(submission, situation.signer)
    if situation.record is not None and situation.record.status != Status.CANCELLED:
        return Admission.SEALED_ALREADY
    member = check_member(submission, situation.member)
    _check_window(submission, situation.now)
    _check_cancelled(submission, situation.record)
    check_manifest(submission, manifest, member.namespace)
    if submission.version.size > limits.item_bytes:
        raise TooLarge(f"the version has {submission.version.size} bytes, the limit is {limits.item_bytes}")
    _check_parents(submission, situation.parents)
    _check_content(submission, situation.content)
    verdict = _against_pending(submission, situation.pool.same_version)
    if verdict is Admission.TAKE:
        _check_room(situation.pool, limits)
    if verdict is not Admission.PENDING_ALREADY:
        check_money(submission, price=situation.price, free=member.free)
    return verdict


def check_signer(submission: Submission, signer: Address) -> None:
    """Unauthenticated unless the submitter signed."""
    if signer != submission.version.submitter:
        raise Unauthenticated(
            f"the submission of {submission.version.submitter} is signed by {signer}",
            hint="sign with the submitter's key, for this chain id and registry",
        )


def check_member(submission: Submission, member: MemberFacts | None) -> MemberFacts:
    """NotAuthorized unless the submitter is a member with that role, in the namespace it names."""
    submitter = submission.version.submitter
    if member is None or Role.SUBMITTER not in member.roles:
        raise NotAuthorized(
            f"{submitter} is no submitter",
            hint=f"ask the council: twinledger member add {submitter} --namespace NS --role submitter",
        )
    if member.namespace_id != submission.version.namespace_id:
        raise NotAuthorized(
            f"{submitter} belongs to namespace {member.namespace} ({member.namespace_id}), "
            f"the version names namespace {submission.version.namespace_id}"
        )
    return member


def check_manifest(submission: Submission, manifest: Manifest, namespace: str) -> None:
    """Refuse a manifest that is not the one signed for, or says otherwise than the signed struct."""
    version = submission.version
    if manifest.digest != version.manifest:
        raise VerificationFailed(
            f"the manifest hashes to {hex32(manifest.digest)}, the version names {hex32(version.manifest)}"
        )
    if manifest.namespace != namespace:
        raise NotAuthorized(
            f"the manifest names namespace {manifest.namespace}, its submitter is of {namespace}"
        )
    if name_hash(manifest.name) != version.name_hash:
        raise InvalidManifest(
            f"the manifest names {manifest.name!r}, whose hash is not the version's name_hash"
        )
    if manifest.parents != version.parents:
        raise InvalidManifest("the manifest's parents are not those of the version, in their order")
    if manifest.size != version.size:
        raise InvalidManifest(f"the manifest makes {manifest.size} bytes, the version says {version.size}")


def check_money(submission: Submission, *, price: int, free: int) -> None:
    """FeeTooLow unless the price is met and the free escrow covers the whole maximum."""
    if submission.max_price < price:
        raise FeeTooLow(
            f"max_price is {submission.max_price} wei per byte, the menu asks {price}",
            hint=f"run `twinledger fees quote`, then submit with --max-price {price + price // 2} or more",
            price=str(price),
        )
    if free < submission.reserve:
        raise FeeTooLow(
            f"the submission reserves {submission.reserve} wei, {free} are free",
            hint=f"run `twinledger account deposit {submission.reserve - free}`",
            missing=str(submission.reserve - free),
        )


def _check_window(submission: Submission, now: int) -> None:
    if submission.issued_at > now:
        raise Expired(
            f"the submission is issued at {submission.issued_at}, the chain's time is {now}",
            hint="set the clock, then sign again",
        )
    if now > submission.deadline:
        raise Expired(f"the submission's deadline {submission.deadline} is past, the chain's time is {now}")
    if submission.deadline - submission.issued_at > MAX_LIFETIME_S:
        raise Expired(
            f"the submission is valid for {submission.deadline - submission.issued_at} s, "
            f"at most {MAX_LIFETIME_S} s are allowed"
        )


def _check_cancelled(submission: Submission, record: OnChain | None) -> None:
    if record is not None and submission.issued_at <= record.time:
        raise Conflict(
            f"the version was cancelled at {record.time}, this was issued at {submission.issued_at}",
            hint="sign it again: only a submission issued later than the cancellation is taken",
        )


def _check_parents(submission: Submission, parents: Mapping[VersionId, Status | None]) -> None:
    for parent in submission.version.parents:
        if parent not in parents:
            raise Conflict(
                f"the parent {hex32(parent)} is neither sealed nor pending",
                hint="submit the parent first, or leave it out",
            )
        if parents[parent] in (Status.REVOKED, Status.CANCELLED):
            raise Conflict(f"the parent {hex32(parent)} is {Status(parents[parent] or 0).name.lower()}")


def _check_content(submission: Submission, content: ContentFacts) -> None:
    if content.missing:
        raise Conflict(
            f"{len(content.missing)} of its contents are not held here, the first is {content.missing[0]}",
            hint=f"upload it first: PUT /v1/content/{content.missing[0]}",
            missing=[str(cid) for cid in content.missing[:100]],
        )
    if content.weights_root != submission.version.weights_root:
        raise VerificationFailed(
            f"the manifest's files make the directory {hex32(content.weights_root)}, "
            f"the version names {hex32(submission.version.weights_root)}"
        )


def _against_pending(submission: Submission, pending: Submission | None) -> Admission:
    if pending is None:
        return Admission.TAKE
    if pending == submission:
        return Admission.PENDING_ALREADY
    if submission.issued_at > pending.issued_at:
        return Admission.REPLACE
    # Of the same act signed twice the later terms stand, in whichever order they arrive.
    return Admission.PENDING_ALREADY


def _check_room(pool: PoolFacts, limits: AdmissionLimits) -> None:
    if pool.of_member >= limits.pending_per_member:
        raise RateLimited(
            f"the member has {pool.of_member} pending submissions, the limit is {limits.pending_per_member}",
            hint="wait until some are sealed: twinledger submission list",
        )
    if pool.in_all >= limits.pending_in_all:
        raise RateLimited(
            f"the pool holds {pool.in_all} submissions, its limit", hint="try again, or another gateway"
        )
