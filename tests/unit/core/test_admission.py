"""Admission: each rule refuses with its own error, and the pool's replacement rule."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.admission import (
    Admission,
    AdmissionLimits,
    ContentFacts,
    MemberFacts,
    PoolFacts,
    Situation,
    decide_admission,
)
from registry.core.cid import RAW, Cid
from registry.core.ids import FeeClass, Role, Status, address_of, name_hash, sha256
from registry.core.lifecycle import OnChain
from registry.core.manifest import FileEntry, build_manifest
from registry.core.version import NO_SALT, Submission, Version
from registry.errors import (
    Conflict,
    Expired,
    FeeTooLow,
    InvalidManifest,
    NotAuthorized,
    RateLimited,
    RegistryError,
    TooLarge,
    Unauthenticated,
    VerificationFailed,
)

ALICE, BOB = address_of(b"\xa1" * 20), address_of(b"\xb0" * 20)
NOW, PRICE = 1_000_000, 10
PARENT = sha256(b"parent")
FILE = FileEntry("w.safetensors", Cid(RAW, sha256(b"w")), sha256(b"w"), 100, "safetensors")
MANIFEST = build_manifest("acme", "twin", [FILE], [PARENT], {})
VERSION = Version(
    namespace_id=3,
    name_hash=name_hash("twin"),
    weights_root=sha256(b"directory"),
    manifest=MANIFEST.digest,
    parents=(PARENT,),
    size=MANIFEST.size,
    salt=NO_SALT,
    submitter=ALICE,
)
SUBMISSION = Submission(VERSION, FeeClass.STANDARD, 15, NOW - 5, NOW + 3_600)
MEMBER = MemberFacts(3, "acme", Role.SUBMITTER | Role.DEVICE, free=SUBMISSION.reserve)
LIMITS = AdmissionLimits(item_bytes=1 << 20, pending_per_member=5, pending_in_all=10)
FINE = Situation(
    now=NOW,
    signer=ALICE,
    member=MEMBER,
    price=PRICE,
    record=None,
    parents={PARENT: Status.ACTIVE},
    content=ContentFacts((), VERSION.weights_root),
    pool=PoolFacts(None, 0, 0),
)


def decide(submission=SUBMISSION, limits=LIMITS, manifest=MANIFEST, **changes):
    return decide_admission(submission, manifest, replace(FINE, **changes), limits)


def with_version(**changes):
    return replace(SUBMISSION, version=replace(VERSION, **changes))


def with_terms(**changes):
    return replace(SUBMISSION, **changes)


def test_a_submission_that_keeps_every_rule_is_taken():
    assert decide() is Admission.TAKE


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        (Unauthenticated, {"signer": BOB}),
        (NotAuthorized, {"member": None}),
        (NotAuthorized, {"member": replace(MEMBER, roles=Role.MINER)}),
        (NotAuthorized, {"member": replace(MEMBER, namespace_id=4)}),
        (NotAuthorized, {"member": replace(MEMBER, namespace="other")}),
        (Expired, {"now": NOW - 6}),
        (Expired, {"now": NOW + 3_601}),
        (Expired, {"submission": with_terms(deadline=NOW - 4 + 86_400)}),
        (Conflict, {"record": OnChain(Status.CANCELLED, NOW - 5)}),
        (VerificationFailed, {"submission": with_version(manifest=bytes(32))}),
        (VerificationFailed, {"submission": with_version(weights_root=bytes(32))}),
        (InvalidManifest, {"submission": with_version(name_hash=name_hash("twig"))}),
        (InvalidManifest, {"submission": with_version(parents=())}),
        (InvalidManifest, {"submission": with_version(size=MANIFEST.size + 1)}),
        (TooLarge, {"limits": replace(LIMITS, item_bytes=MANIFEST.size - 1)}),
        (Conflict, {"parents": {}}),
        (Conflict, {"parents": {PARENT: Status.REVOKED}}),
        (Conflict, {"parents": {PARENT: Status.CANCELLED}}),
        (Conflict, {"content": ContentFacts((FILE.cid,), VERSION.weights_root)}),
        (FeeTooLow, {"price": 16}),
        (FeeTooLow, {"member": replace(MEMBER, free=SUBMISSION.reserve - 1)}),
        (RateLimited, {"pool": PoolFacts(None, 5, 5)}),
        (RateLimited, {"pool": PoolFacts(None, 0, 10)}),
    ],
)
def test_each_rule_has_its_error_and_a_next_step(error, changes):
    with pytest.raises(error) as refusal:
        decide(**changes)
    assert type(refusal.value) is error and refusal.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"now": NOW - 5},
        {"now": NOW + 3_600},
        {"submission": with_terms(deadline=NOW - 5 + 86_400)},
        {"price": 15},
        {"record": OnChain(Status.CANCELLED, NOW - 6)},
        {"parents": {PARENT: Status.DEPRECATED}},
        {"parents": {PARENT: None}},
        {"limits": replace(LIMITS, item_bytes=MANIFEST.size)},
        {"pool": PoolFacts(None, 4, 9)},
    ],
)
def test_the_limit_itself_is_within(changes):
    assert decide(**changes) is Admission.TAKE


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.DEPRECATED, Status.REVOKED])
def test_a_sealed_version_is_answered_with_its_receipt_whatever_the_terms(status):
    worthless = with_terms(max_price=0, deadline=NOW - 5)
    assert decide(worthless, record=OnChain(status, 1), member=None) is Admission.SEALED_ALREADY


def test_even_for_a_sealed_version_the_submitter_must_sign():
    with pytest.raises(Unauthenticated):
        decide(record=OnChain(Status.ACTIVE, 1), signer=BOB)


def test_the_same_submission_again_is_no_second_one():
    broke = replace(MEMBER, free=0)
    assert decide(pool=PoolFacts(SUBMISSION, 5, 10), member=broke) is Admission.PENDING_ALREADY


@given(st.integers(0, 100), st.integers(0, 100), st.sampled_from((15, 20)))
def test_only_a_later_issued_at_replaces(pending_age, age, max_price):
    pending = with_terms(issued_at=NOW - pending_age, max_price=15)
    terms = with_terms(issued_at=NOW - age, max_price=max_price)
    rich = replace(MEMBER, free=1 << 100)
    facts = {"pool": PoolFacts(pending, 5, 10), "member": rich}
    expected = Admission.REPLACE if age < pending_age else Admission.PENDING_ALREADY
    assert decide(terms, **facts) is expected


def test_a_replacement_must_be_covered_too():
    pending = with_terms(issued_at=NOW - 50)
    with pytest.raises(FeeTooLow):
        decide(pool=PoolFacts(pending, 1, 1), member=replace(MEMBER, free=0))


@given(
    st.builds(
        Situation,
        now=st.integers(NOW - 10, NOW + 4_000),
        signer=st.sampled_from((ALICE, BOB)),
        member=st.none() | st.just(MEMBER),
        price=st.integers(0, 20),
        record=st.none() | st.builds(OnChain, st.sampled_from(Status), st.integers(NOW - 10, NOW)),
        parents=st.sampled_from(({}, {PARENT: None}, {PARENT: Status.REVOKED})),
        content=st.just(FINE.content),
        pool=st.builds(PoolFacts, st.none() | st.just(SUBMISSION), st.integers(0, 6), st.integers(0, 11)),
    )
)
def test_every_situation_is_decided_or_refused_within_the_tree(situation):
    try:
        assert decide_admission(SUBMISSION, MANIFEST, situation, LIMITS) in Admission
    except RegistryError as e:
        assert e.hint
