"""A sealed update opens to its readers, as its contribution, and to nobody and as nothing else."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from registry.core.cid import RAW, Cid
from registry.core.ids import sha256, to_address
from registry.core.sealed_update import (
    HANDOVER_TYPEHASH,
    Handover,
    Reader,
    handover_digest,
    read_sealed,
    seal_update,
)
from registry.core.version import Contribution, Domain
from registry.errors import Malformed, NotAuthorized, VerificationFailed

DOMAIN = Domain(31337, to_address("0x" + "11" * 20))
ANA, BO = to_address("0x" + "a1" * 20), to_address("0x" + "b0" * 20)
KEYS = {
    ANA: X25519PrivateKey.from_private_bytes(b"\1" * 32),
    BO: X25519PrivateKey.from_private_bytes(b"\2" * 32),
}
UPDATE = bytes(range(256)) * 5000
GIVEN = Contribution(3, 1, to_address("0x" + "de" * 20), sha256(UPDATE), 7, "", 1_700_000_000)


def sealed(update=UPDATE, given=GIVEN, readers=(ANA, BO)):
    chosen = [Reader(who, 1, KEYS[who].public_key().public_bytes_raw()) for who in readers]
    return seal_update(DOMAIN, given, update, chosen, secret=b"\5" * 32, salt=b"\6" * 32)


def secret(found, who, given=GIVEN, domain=DOMAIN):
    return found.secret_of(domain, given, who, [b"\3" * 32, KEYS[who].private_bytes_raw()])


@pytest.mark.parametrize("who", [ANA, BO])
def test_every_reader_opens_what_was_committed_to(who):
    found = read_sealed(sealed().encode())
    assert found.open(DOMAIN, GIVEN, secret(found, who)) == UPDATE


def test_nobody_else_gets_the_key():
    found = sealed(readers=[ANA])
    with pytest.raises(NotAuthorized):
        secret(found, BO)


@pytest.mark.parametrize(
    "other",
    [
        replace(GIVEN, device=BO),
        replace(GIVEN, round=2),
        replace(GIVEN, task=4),
        replace(GIVEN, update_sha256=bytes(32)),
    ],
)
def test_it_opens_as_no_other_contribution(other):
    found = sealed()
    with pytest.raises(NotAuthorized):
        secret(found, ANA, given=other)
    with pytest.raises(VerificationFailed):
        found.open(DOMAIN, other, b"\5" * 32)
    with pytest.raises(NotAuthorized):
        secret(found, ANA, domain=replace(DOMAIN, chain_id=1))


def test_a_changed_byte_anywhere_is_refused():
    raw = sealed().encode()
    for place in (9, 40, len(raw) // 2, len(raw) - 1):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises((Malformed, VerificationFailed, NotAuthorized)):
            found = read_sealed(changed)
            found.open(DOMAIN, GIVEN, secret(found, ANA))


@pytest.mark.parametrize("raw", [b"", b"\0" * 8, b"\0" * 7 + b"\2{}", b"\xff" * 40, b"\0" * 7 + b"\4null"])
def test_what_is_no_sealed_update_is_malformed(raw):
    with pytest.raises(Malformed):
        read_sealed(raw)


def test_only_the_committed_bytes_are_sealed():
    with pytest.raises(Malformed, match="are not the update"):
        sealed(update=UPDATE + b"\0")


def test_the_handover_is_typed_data_as_any_wallet_signs_it():
    from eth_account.messages import _hash_eip191_message, encode_typed_data

    given = Handover(3, 1, GIVEN.device, GIVEN.update_sha256, Cid(RAW, sha256(b"sealed")))
    fields = "uint64 task,uint32 round,address device,bytes32 updateSha256,string sealed"
    message = {
        "task": 3,
        "round": 1,
        "device": given.device,
        "updateSha256": given.update_sha256,
        "sealed": str(given.sealed),
    }
    domain = {"name": "TwinLedger", "version": "1", "chainId": 31337, "verifyingContract": DOMAIN.contract}
    types = {"Handover": [dict(zip(("type", "name"), f.split(), strict=True)) for f in fields.split(",")]}
    signable = encode_typed_data(domain_data=domain, message_types=types, message_data=message)
    assert _hash_eip191_message(signable) == handover_digest(DOMAIN, given)
    assert len(HANDOVER_TYPEHASH) == 32
