"""The signed structs refuse what their Solidity types cannot hold."""

from dataclasses import replace

import pytest

from registry.core.ids import FeeClass, address_of
from registry.core.version import Contribution, Domain, Request, Submission, Version, submission_digest
from registry.errors import Malformed

ANNA = address_of(b"\xaa" * 20)
VERSION = Version(1, bytes(32), bytes(32), bytes(32), (), 100, bytes(32), ANNA)
SUBMISSION = Submission(VERSION, FeeClass.STANDARD, 1, 2, 3)
REQUEST = Request("GET", "/v1/models?q=a", bytes(32), 5, bytes(32), "")
CONTRIBUTION = Contribution(1, 1, ANNA, bytes(32), 10, "acme/c1", 5)
DOMAIN = Domain(1, ANNA)


@pytest.mark.parametrize(
    ("record", "changes"),
    [
        *((VERSION, {"namespace_id": 2**64}), (VERSION, {"size": -1}), (VERSION, {"size": 1.0})),
        *((VERSION, {"name_hash": bytes(31)}), (VERSION, {"salt": "0x"}), (VERSION, {"submitter": "0xab"})),
        *((VERSION, {"submitter": ANNA.lower()}), (VERSION, {"parents": (bytes(32),) * 9})),
        *((VERSION, {"parents": [bytes(32)]}), (VERSION, {"parents": (bytes(33),)})),
        *(
            (SUBMISSION, {"fee_class": 1}),
            (SUBMISSION, {"max_price": 2**128}),
            (SUBMISSION, {"deadline": 2**64}),
        ),
        *((SUBMISSION, {"issued_at": True}), (REQUEST, {"nonce": b""}), (REQUEST, {"created": -1})),
        *((REQUEST, {"target": "\ud800"}), (CONTRIBUTION, {"round": 2**32}), (CONTRIBUTION, {"task": 2**64})),
        *(
            (CONTRIBUTION, {"cell": "\udfff"}),
            (CONTRIBUTION, {"device": "0x"}),
            (DOMAIN, {"chain_id": 2**256}),
        ),
        (DOMAIN, {"contract": ANNA.upper()}),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_malformed(record, changes):
    with pytest.raises(Malformed):
        replace(record, **changes)


def test_a_version_id_depends_on_content_and_not_on_terms():
    dearer = replace(SUBMISSION, max_price=99, fee_class=FeeClass.PRIORITY, issued_at=9, deadline=10)
    assert dearer.version.id == SUBMISSION.version.id
    assert submission_digest(DOMAIN, dearer) != submission_digest(DOMAIN, SUBMISSION)


@pytest.mark.parametrize("field", ["namespace_id", "size"])
def test_every_part_of_a_version_changes_its_id(field):
    assert replace(VERSION, **{field: 7}).id != VERSION.id


def test_a_signature_is_for_one_chain_and_one_registry():
    digests = {
        submission_digest(domain, SUBMISSION)
        for domain in (DOMAIN, replace(DOMAIN, chain_id=2), replace(DOMAIN, contract=address_of(bytes(20))))
    }
    assert len(digests) == 3


def test_admission_reserves_the_whole_maximum():
    assert replace(SUBMISSION, max_price=7).reserve == 700
