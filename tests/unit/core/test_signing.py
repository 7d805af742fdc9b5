"""Signatures: one spelling, the right address, and the same with or without coincurve."""

import logging
import subprocess
import sys
from contextlib import suppress

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.core import signing
from registry.core.ids import keccak
from registry.core.signing import KeySigner, recover, to_compact
from registry.errors import Malformed, Unauthenticated

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRETS = st.integers(1, ORDER - 1).map(lambda n: n.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)


@given(SECRETS, DIGESTS)
def test_the_signer_is_recovered_and_is_the_one_eth_account_names(secret, digest):
    signer = KeySigner(secret)
    signature = signer.sign_hash(digest)
    assert recover(digest, signature) == signer.address == Account.from_key(secret).address
    assert signature == bytes(Account.unsafe_sign_hash(digest, secret).signature)


@given(SECRETS, DIGESTS)
def test_the_compact_form_carries_the_same_signature(secret, digest):
    signature = KeySigner(secret).sign_hash(digest)
    r, vs = to_compact(signature)
    word = int.from_bytes(vs, "big")
    s = (word & (1 << 255) - 1).to_bytes(32, "big")
    assert r + s + bytes((27 + (word >> 255),)) == signature


@settings(max_examples=5, deadline=None)
@given(SECRETS, DIGESTS)
def test_the_slow_backend_signs_and_recovers_the_same(secret, digest):
    slow, fast = signing._PurePython(), signing._Coincurve()
    (slow_public, slow_sign), (fast_public, fast_sign) = slow.key(secret), fast.key(secret)
    assert slow_public == fast_public
    signature = fast_sign(digest)
    assert slow_sign(digest) == signature
    assert slow.recover(digest, signature) == fast.recover(digest, signature)


def test_a_high_s_is_refused_although_it_verifies():
    digest = keccak(b"twin")
    signature = KeySigner(b"\1" * 32).sign_hash(digest)
    high = (ORDER - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    with pytest.raises(Unauthenticated):
        recover(digest, signature[:32] + high + bytes((55 - signature[64],)))


@pytest.mark.parametrize("v", [0, 1, 2, 26, 29, 30, 255])
def test_only_27_and_28_are_a_v(v):
    with pytest.raises(Unauthenticated):
        recover(bytes(32), KeySigner(b"\1" * 32).sign_hash(bytes(32))[:64] + bytes((v,)))


@given(DIGESTS, st.binary(max_size=66) | st.binary(min_size=64, max_size=64).map(lambda rs: rs + b"\x1b"))
def test_any_bytes_recover_or_are_refused(digest, signature):
    with suppress(Unauthenticated):
        recover(digest, signature)


@pytest.mark.parametrize("rs", [bytes(64), b"\xff" * 64, b"\0" * 31 + b"\5" + b"\0" * 31 + b"\1"])
def test_values_that_no_key_signs_with_are_refused(rs):
    with pytest.raises(Unauthenticated):
        recover(bytes(32), rs + b"\x1b")


@pytest.mark.parametrize("secret", [b"", bytes(32), b"\xff" * 32, ORDER.to_bytes(32, "big"), b"\1" * 31])
def test_what_is_no_secret_key_is_malformed(secret):
    with pytest.raises(Malformed):
        KeySigner(secret)


def test_a_digest_has_32_bytes():
    with pytest.raises(Malformed):
        KeySigner(b"\1" * 32).sign_hash(b"short")


def test_a_signer_does_not_show_its_secret():
    signer = KeySigner(b"\x37" * 32)
    assert "37" * 8 not in repr(signer) and signer.address in repr(signer)


def test_without_coincurve_one_plain_warning_is_said(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "coincurve", None)
    signing._curve.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "registry"):
            first = KeySigner(b"\1" * 32)
            assert recover(bytes(32), first.sign_hash(bytes(32))) == first.address
        assert len(caplog.records) == 1
    finally:
        signing._curve.cache_clear()


def test_the_core_imports_neither_web3_nor_eth_account_nor_the_curve():
    modules = ("admission", "canonical", "lifecycle", "manifest_index", "receipt_proof", "signing", "weights")
    imports = "; ".join(f"import registry.core.{name}" for name in modules)
    heavy = "{'web3', 'eth_account', 'eth_keys', 'eth_utils', 'coincurve', 'numpy', 'pydantic', 'rlp'}"
    check = f"import sys; {imports}; sys.exit(', '.join({heavy} & set(sys.modules)) or None)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
