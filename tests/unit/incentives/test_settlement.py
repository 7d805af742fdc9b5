"""A round's root follows from its signed integers, and whoever changes one of them is named."""

from dataclasses import replace

import numpy as np
import pytest

from incentives.auction import Bid
from incentives.contributions import Exclusion, Rules, sketch
from incentives.payouts import Payout, Scope
from incentives.settlement import (
    Agreement,
    Entry,
    Gate,
    Mechanism,
    Record,
    SignedMeasurement,
    compare,
    settle,
    verify_record,
)
from registry.core.ids import keccak, sha256
from registry.core.measurement import Measurement, measurement_digest
from registry.core.signing import KeySigner
from registry.core.version import Contribution, Domain, contribution_digest
from registry.errors import Unauthenticated, VerificationFailed

DEVICES = [KeySigner(keccak(f"device {i}".encode())) for i in range(3)]
VALIDATORS = [KeySigner(keccak(f"validator {i}".encode())) for i in range(3)]
AGGREGATOR = KeySigner(keccak(b"aggregator"))
DOMAIN = Domain(31337, KeySigner(keccak(b"registry")).address)
SCOPE = Scope(31337, KeySigner(keccak(b"pool")).address, task=1, round=0)
EVALUATION = sha256(b"evaluation")
RATE = 10**12


def entry(i: int, theta: int) -> Entry:
    direction = np.random.default_rng(i).normal(size=100).astype(np.float32)
    given = Contribution(1, 0, DEVICES[i].address, sha256(bytes([i])), 10, "ns/cell", 100 + i)
    digest = contribution_digest(DOMAIN, given)
    stated = Measurement(
        1, 0, given.device, given.update_sha256, EVALUATION, 10**6, theta, 1000, sketch(direction)
    )
    signed = measurement_digest(DOMAIN, stated)
    measurements = tuple(SignedMeasurement(stated, v.address, v.sign_hash(signed)) for v in VALIDATORS)
    return Entry(given, DEVICES[i].sign_hash(digest), AGGREGATOR.sign_hash(digest), measurements)


RECORD = Record(EVALUATION, tuple(entry(i, t) for i, t in enumerate((200_000, 500_000, 900_000))), {})


def agreement(mechanism=Mechanism.STACKELBERG, **changes):
    fields = {
        "mechanism": mechanism,
        "unit": RATE,
        "seats": 10,
        "capacity": 0,
        "aggregator": AGGREGATOR.address,
        "validators": tuple(v.address for v in VALIDATORS),
        "rules": Rules(),
        "gate": Gate(),
    }
    return Agreement(**(fields | changes))


def amounts(found):
    return {p.account: p.amount for p in found.table.payouts}


def test_stackelberg_pays_rate_times_measured_accuracy():
    verify_record(DOMAIN, SCOPE, agreement(), RECORD)
    found = settle(SCOPE, agreement(), RECORD)
    assert [amounts(found)[d.address] for d in DEVICES] == [8 * 10**11, 5 * 10**11, 10**11]


def test_an_auction_pays_winners_that_contributed_and_names_the_others():
    bids = tuple(Bid(d.address, 9, 4 + i, 1) for i, d in enumerate(DEVICES))
    terms = agreement(Mechanism.AUCTION, bids=bids, capacity=2)
    found = settle(SCOPE, terms, RECORD)
    assert amounts(found) == {DEVICES[0].address: 6, DEVICES[1].address: 6}
    said = {s.device: s.exclusion for s in found.screened}
    assert said[DEVICES[2].address] == Exclusion.NOT_HIRED


def test_a_contract_pays_the_chosen_item():
    choices = {DEVICES[0].address: (0, 0), DEVICES[1].address: (1, 1)}
    terms = agreement(Mechanism.CONTRACT, rewards=(10, 16), choices=choices)
    found = settle(SCOPE, terms, RECORD)
    assert amounts(found) == {DEVICES[0].address: 10, DEVICES[1].address: 16}


def test_a_device_below_the_reputation_threshold_is_not_paid():
    terms = agreement(gate=Gate(threshold=400_000))
    record = replace(RECORD, standing={DEVICES[0].address: (0, 3), DEVICES[1].address: (9, 1)})
    found = settle(SCOPE, terms, record)
    assert DEVICES[0].address not in amounts(found) and DEVICES[1].address in amounts(found)
    said = {s.device: s.exclusion for s in found.screened}
    assert said[DEVICES[0].address] == Exclusion.REPUTATION


def test_reputation_rises_with_good_rounds_falls_with_bad_ones_and_starts_at_the_prior():
    gate = Gate()
    assert gate.reputation(0, 0) == gate.prior
    assert gate.reputation(1, 0) > gate.prior > gate.reputation(0, 1)
    assert gate.reputation(50, 0) > gate.reputation(5, 0) > gate.reputation(5, 1)


def test_seats_go_to_the_earliest():
    found = settle(SCOPE, agreement(seats=1), RECORD)
    assert list(amounts(found)) == [DEVICES[0].address]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: replace(e, device_signature=e.aggregator_signature), "the contribution of"),
        (lambda e: replace(e, aggregator_signature=e.device_signature), "the countersignature of"),
        (
            lambda e: replace(
                e,
                measurements=(
                    replace(
                        e.measurements[0], measurement=replace(e.measurements[0].measurement, loss_after=1)
                    ),
                    *e.measurements[1:],
                ),
            ),
            "the measurement of",
        ),
        (lambda e: replace(e, measurements=e.measurements[:1] * 2), "twice"),
        (lambda e: replace(e, contribution=replace(e.contribution, round=1)), "another round"),
    ],
)
def test_an_integer_that_its_author_did_not_sign_is_named(change, said):
    changed = replace(RECORD, entries=(change(RECORD.entries[0]), *RECORD.entries[1:]))
    with pytest.raises(VerificationFailed, match=said):
        verify_record(DOMAIN, SCOPE, agreement(), changed)


def test_a_contribution_without_countersignature_or_twice_is_refused():
    unsigned = replace(RECORD.entries[0], aggregator_signature=b"")
    with pytest.raises(Unauthenticated):
        verify_record(DOMAIN, SCOPE, agreement(), replace(RECORD, entries=(unsigned,)))
    with pytest.raises(VerificationFailed, match="twice in one round"):
        verify_record(DOMAIN, SCOPE, agreement(), replace(RECORD, entries=RECORD.entries[:1] * 2))


def test_another_evaluation_set_than_the_committed_one_is_refused():
    with pytest.raises(VerificationFailed, match="was not begun with"):
        verify_record(DOMAIN, SCOPE, agreement(), replace(RECORD, evaluation=bytes(32)))


def test_the_line_that_differs_is_named():
    found = settle(SCOPE, agreement(), RECORD)
    stated = list(found.table.payouts)
    compare(found, stated, found.table.root)
    richer = [replace(stated[0], amount=stated[0].amount + 1), *stated[1:]]
    with pytest.raises(VerificationFailed, match=f"leaf 0: {stated[0].account} is paid"):
        compare(found, richer, found.table.root)
    with pytest.raises(VerificationFailed, match="has no leaf"):
        compare(found, stated[1:], found.table.root)
    stranger = Payout(AGGREGATOR.address, 5, (5, 0))
    with pytest.raises(VerificationFailed, match="it did not contribute"):
        compare(found, [*stated, stranger], found.table.root)
    with pytest.raises(VerificationFailed, match="have the root"):
        compare(found, stated, bytes(32))


def test_a_round_without_contributions_has_the_empty_root():
    found = settle(SCOPE, agreement(), Record(EVALUATION, (), {}))
    assert found.table.root == bytes(32) and found.table.total == 0
