"""TwinRegistry.seal against miners and submitters who bend calldata and signatures."""

from contextlib import suppress

import pytest
from onchain import Fees, found, populate, submission_values
from pychain import ANA, CHAIN_ID, MINERS, Reverted
from test_seal_refusals import WHY

from registry.chain.seal import encode_seal
from registry.core.ids import keccak
from registry.core.signing import to_compact
from registry.core.version import Domain, submission_digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# Words of the only item of a batch, counted from its first: see registry/chain/seal.py.
FIRST = 4 + 4 * 32
WORDS = {
    "feeClass": (1, "UnknownFeeClass"),
    "maxPrice": (2, "BadSignature"),
    "issuedAt": (3, "NotYetIssued"),
    "deadline": (4, "WindowTooLong"),
    "namespaceId": (5, "WrongNamespace"),
    "size": (10, "BadSignature"),
    "submitter": (12, "NotSubmitter"),
}


def patched(data, word, value):
    at = FIRST + 32 * word
    return data[:at] + value.to_bytes(32, "big") + data[at + 32 :]


def verdict(world, data):
    """Why this batch of one was skipped."""
    done = world.evm.transact(MINERS[0], world.registry.raw, data)
    assert done.event("BatchSealed")["accepted"] == 0
    return WHY[done.event("Rejected")["why"]]


@pytest.mark.parametrize("field", WORDS)
def test_dirty_high_bits_are_no_value_and_spoil_no_batch(world, field):
    item = world.signed(ANA, world.version(ANA))
    data = encode_seal([item[0]], [item[1]])
    word, why = WORDS[field]
    at = FIRST + 32 * word
    dirty = int.from_bytes(data[at : at + 32], "big") | 1 << 255
    assert verdict(world, patched(data, word, dirty)) == why
    assert not world.seal(MINERS[0], item).all("Rejected")


@pytest.mark.parametrize("word", [0, 9, 13])
@pytest.mark.parametrize("value", [2**255, 2**64 - 1, 10**6])
def test_offsets_and_lengths_beyond_the_calldata_seal_nothing(world, word, value):
    parent = world.submit(ANA, "parent")
    submission, signature = world.signed(ANA, world.version(ANA, parents=(parent.id,)))
    data = patched(encode_seal([submission], [signature]), word, value)
    # A negative offset passes the compiler's signed comparison and reads no parents, which nobody signed.
    with suppress(Reverted):
        assert not world.evm.transact(MINERS[0], world.registry.raw, data).all("Registered")
    assert world.registry.read("record", submission.version.id) == 0


def test_two_items_that_share_their_calldata_are_sealed_and_charged_once(world):
    submission, signature = world.signed(ANA, world.version(ANA))
    data = encode_seal([submission] * 2, [signature] * 2)
    # The second offset of the list names the first item.
    first = data[4 + 96 : 4 + 128]
    before = world.balance(ANA)
    done = world.evm.transact(MINERS[0], world.registry.raw, data[: 4 + 128] + first + data[4 + 160 :])
    (sealed,) = done.all("Registered")
    assert WHY[done.event("Rejected")["why"]] == "AlreadySealed"
    assert before - world.balance(ANA) == sealed["fee"] + sealed["tax"]


@pytest.mark.parametrize(
    "bend", ["other recovery bit", "r zero", "s zero", "r the order", "s high", "both zero"]
)
def test_a_signature_is_the_one_or_none(world, bend):
    submission, signature = world.signed(ANA, world.version(ANA))
    r, vs = (int.from_bytes(half, "big") for half in to_compact(signature))
    bent = {
        "other recovery bit": (r, vs ^ 1 << 255),
        "r zero": (0, vs),
        "s zero": (r, vs >> 255 << 255),
        "r the order": (ORDER, vs),
        "s high": (r, (ORDER - (vs & (1 << 255) - 1)) | (1 - (vs >> 255)) << 255),
        "both zero": (0, 0),
    }[bend]
    pair = tuple(part.to_bytes(32, "big") for part in bent)
    data = world.registry.data("seal", [submission_values(submission)], [pair])
    assert verdict(world, data) == "BadSignature"


def test_the_zero_address_signs_nothing(world):
    """ecrecover answers zero to what is no signature; nobody may be that submitter."""
    submission, signature = world.signed(ANA, world.version(ANA))
    data = patched(encode_seal([submission], [signature]), 12, 0)
    assert verdict(world, data) == "NotSubmitter"


def test_the_same_submission_is_none_in_a_second_deployment_on_the_chain(world):
    other = found(Fees(), evm=world.evm)
    populate(other)
    item = world.signed(ANA, world.version(ANA))
    assert verdict(other, encode_seal([item[0]], [item[1]])) == "BadSignature"
    assert not world.seal(MINERS[0], item).all("Rejected")


def test_the_same_submission_is_none_on_another_chain(world):
    submission, _ = world.signed(ANA, world.version(ANA))
    digest = submission_digest(Domain(CHAIN_ID + 1, world.registry.address), submission)
    assert verdict(world, encode_seal([submission], [ANA.signer.sign_hash(digest)])) == "BadSignature"


def test_escrow_emptied_between_check_and_seal_costs_the_miner_one_event(world):
    items = [world.signed(ANA, world.version(ANA, f"m{i}")) for i in range(5)]
    world.registry.send(ANA, "withdraw", world.balance(ANA))
    done = world.seal(MINERS[0], *items)
    assert [WHY[e["why"]] for e in done.all("Rejected")] == ["InsufficientBalance"] * 5
    assert done.gas_used < 5 * 30_000 + 200_000


def test_a_miner_that_fills_a_batch_with_bad_items_harms_no_good_one(world):
    good = world.signed(ANA, world.version(ANA))
    bad, signature = world.signed(ANA, world.version(ANA, parents=(keccak(b"nowhere"),)))
    done = world.seal(MINERS[0], *[(bad, signature)] * 199, good)
    assert [e["versionId"] for e in done.all("Registered")] == [good[0].version.id]
    assert len(done.all("Rejected")) == 199
    # Nothing was sealed for them, so they count in no header and move no tax.
    assert done.event("BatchSealed")["bytesL"] == good[0].version.size
