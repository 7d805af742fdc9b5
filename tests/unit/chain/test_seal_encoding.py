"""The hand-written encoder of `seal` equals eth_abi and the contract's ABI."""

import secrets

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.chain.encoding import encode_call, function_codec
from registry.chain.gateway import version_tuple
from registry.chain.seal import SEAL_SIGNATURE, encode_seal, item_size
from registry.core.ids import FeeClass, VersionId, address_of
from registry.core.signing import KeySigner, to_compact
from registry.core.version import Submission, Version
from registry.errors import Malformed

KEY = KeySigner(b"\x07" * 32)
WORD = st.binary(min_size=32, max_size=32)
SUBMISSIONS = st.builds(
    Submission,
    st.builds(
        Version,
        namespace_id=st.integers(0, 2**64 - 1),
        name_hash=WORD,
        weights_root=WORD,
        manifest=WORD,
        parents=st.lists(WORD.map(VersionId), max_size=8).map(tuple),
        size=st.integers(0, 2**64 - 1),
        salt=WORD,
        submitter=st.binary(min_size=20, max_size=20).map(address_of),
    ),
    fee_class=st.sampled_from(FeeClass),
    max_price=st.integers(0, 2**128 - 1),
    issued_at=st.integers(0, 2**63),
    deadline=st.integers(0, 2**63),
)


def reference(submissions: list[Submission], signatures: list[bytes]) -> bytes:
    items = [
        (version_tuple(s.version), s.fee_class, s.max_price, s.issued_at, s.deadline) for s in submissions
    ]
    return encode_call("TwinRegistry", "seal", (items, [to_compact(s) for s in signatures]))


@settings(deadline=None)
@given(st.lists(SUBMISSIONS, max_size=5))
def test_it_equals_the_general_encoder(submissions: list[Submission]) -> None:
    signatures = [KEY.sign_hash(secrets.token_bytes(32)) for _ in submissions]
    encoded = encode_seal(submissions, signatures)
    assert encoded == reference(submissions, signatures)
    assert len(encoded) == 132 + sum(item_size(len(s.version.parents)) for s in submissions)


def test_its_signature_is_the_contracts() -> None:
    assert function_codec("TwinRegistry", "seal").signature == SEAL_SIGNATURE


def test_two_hundred_items_with_two_parents_fit_every_chain() -> None:
    version = Version(
        1, bytes(32), bytes(32), bytes(32), (VersionId(bytes(32)),) * 2, 1, bytes(32), KEY.address
    )
    batch = [Submission(version, FeeClass.STANDARD, 1, 1, 2)] * 200
    assert len(encode_seal(batch, [KEY.sign_hash(bytes(32))] * 200)) == 121_732


def test_every_submission_needs_its_signature() -> None:
    with pytest.raises(Malformed):
        encode_seal([], [bytes(65)])


def test_the_general_encoder_is_what_eth_abi_says() -> None:
    assert encode_call("TwinRegistry", "withdraw", [5])[4:] == encode(["uint128"], [5])
