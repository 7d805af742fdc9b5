"""The hand-written EIP-712 hashes equal those of eth_account's general encoder."""

from dataclasses import fields

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from registry.core.ids import FeeClass, address_of, keccak
from registry.core.version import (
    Contribution,
    Domain,
    Request,
    Submission,
    Version,
    contribution_digest,
    request_digest,
    submission_digest,
)

TYPES = {
    "Version": "uint64 namespaceId,bytes32 nameHash,bytes32 weightsRoot,bytes32 manifest,bytes32[] parents,"
    "uint64 size,bytes32 salt,address submitter",
    "Submission": "Version version,uint8 feeClass,uint128 maxPrice,uint64 issuedAt,uint64 deadline",
    "Request": "string method,string target,bytes32 bodySha256,uint64 created,bytes32 nonce,string cell",
    "Contribution": "uint64 task,uint32 round,address device,bytes32 updateSha256,uint64 samples,string cell,"
    "uint64 issuedAt",
}
BYTES32 = st.binary(min_size=32, max_size=32)
ADDRESS = st.binary(min_size=20, max_size=20).map(address_of)
TEXT = st.text(max_size=40)


def uint(bits):
    return st.integers(0, 2**bits - 1)


DOMAIN = st.builds(Domain, uint(64), ADDRESS)
VERSION = st.builds(
    Version,
    namespace_id=uint(64),
    name_hash=BYTES32,
    weights_root=BYTES32,
    manifest=BYTES32,
    parents=st.lists(BYTES32, max_size=8).map(tuple),
    size=uint(64),
    salt=BYTES32,
    submitter=ADDRESS,
)
SUBMISSION = st.builds(
    Submission, VERSION, st.sampled_from(FeeClass), max_price=uint(128), issued_at=uint(64), deadline=uint(64)
)
REQUEST = st.builds(
    Request, method=TEXT, target=TEXT, body_sha256=BYTES32, created=uint(64), nonce=BYTES32, cell=TEXT
)
CONTRIBUTION = st.builds(
    Contribution,
    task=uint(64),
    round=uint(32),
    device=ADDRESS,
    update_sha256=BYTES32,
    samples=uint(64),
    cell=TEXT,
    issued_at=uint(64),
)


def members(name):
    return [dict(zip(("type", "name"), m.split(), strict=True)) for m in TYPES[name].split(",")]


def message(record):
    names = [m["name"] for m in members(type(record).__name__)]
    values = [getattr(record, f.name) for f in fields(record) if f.init]
    plain = [message(v) if isinstance(v, Version) else list(v) if type(v) is tuple else v for v in values]
    return dict(zip(names, plain, strict=True))


def encoded(domain, record):
    name = type(record).__name__
    return encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                name: members(name),
                **({"Version": members("Version")} if name == "Submission" else {}),
            },
            "primaryType": name,
            "domain": {
                "name": "TwinLedger",
                "version": "1",
                "chainId": domain.chain_id,
                "verifyingContract": domain.contract,
            },
            "message": message(record),
        }
    )


def digest(domain, record):
    signable = encoded(domain, record)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@given(DOMAIN, SUBMISSION)
def test_a_submission_hashes_as_eth_account_says(domain, submission):
    assert submission_digest(domain, submission) == digest(domain, submission)


@given(DOMAIN, VERSION)
def test_a_version_id_is_the_struct_hash(domain, version):
    assert version.id == encoded(domain, version).body


@given(DOMAIN, REQUEST)
def test_a_request_hashes_as_eth_account_says(domain, request):
    assert request_digest(domain, request) == digest(domain, request)


@given(DOMAIN, CONTRIBUTION)
def test_a_contribution_hashes_as_eth_account_says(domain, contribution):
    assert contribution_digest(domain, contribution) == digest(domain, contribution)


@pytest.mark.parametrize("chain_id", [1, 2**64, 2**256 - 1])
def test_the_separator_covers_every_chain_id(chain_id):
    domain = Domain(chain_id, address_of(bytes(20)))
    request = Request("GET", "/", bytes(32), 0, bytes(32), "")
    assert encoded(domain, request).header == domain.separator
