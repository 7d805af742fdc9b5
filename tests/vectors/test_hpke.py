"""HPKE as the wraps use it, against the RFC 9180 vector of X25519, HKDF-SHA256 and AES-256-GCM in base mode.

The RFC's messages carry associated data, which a single-shot wrap does not have; its key and nonce are those
of the first message, so a message without associated data follows from the vector.
"""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from registry.core.envelope import unwrap, wrap
from registry.errors import VerificationFailed

FILE = Path(__file__).parent / "data" / "hpke_x25519_sha256_aes256gcm.json"
VECTOR = json.loads(FILE.read_text())["vector"]


def raw(name: str) -> bytes:
    return bytes.fromhex(VECTOR[name])


def test_the_vector_is_of_our_suite() -> None:
    assert [VECTOR[name] for name in ("mode", "kem_id", "kdf_id", "aead_id")] == [0, 0x20, 1, 2]
    assert X25519PrivateKey.from_private_bytes(raw("skRm")).public_key().public_bytes_raw() == raw("pkRm")


@pytest.mark.parametrize("message", VECTOR["encryptions"])
def test_key_and_nonces_of_the_vector_make_its_ciphertexts(message: dict[str, str]) -> None:
    given = {name: bytes.fromhex(value) for name, value in message.items()}
    assert AESGCM(raw("key")).encrypt(given["nonce"], given["pt"], given["aad"]) == given["ct"]


def test_what_the_vectors_sender_seals_is_unwrapped() -> None:
    secret = bytes.fromhex(VECTOR["encryptions"][0]["pt"])
    wrapped = raw("enc") + AESGCM(raw("key")).encrypt(raw("base_nonce"), secret, b"")
    assert unwrap(wrapped, raw("skRm"), raw("info")) == secret


def test_another_info_or_another_key_unwraps_nothing() -> None:
    wrapped = raw("enc") + AESGCM(raw("key")).encrypt(raw("base_nonce"), bytes(32), b"")
    with pytest.raises(VerificationFailed):
        unwrap(wrapped, raw("skRm"), raw("info") + b"\0")
    with pytest.raises(VerificationFailed):
        unwrap(wrapped, raw("skEm"), raw("info"))


def test_our_wraps_open_with_the_vectors_key_and_differ_every_time() -> None:
    first, second = (wrap(bytes(32), raw("pkRm"), raw("info")) for _ in range(2))
    assert first[:32] != second[:32]
    assert unwrap(first, raw("skRm"), raw("info")) == unwrap(second, raw("skRm"), raw("info")) == bytes(32)
