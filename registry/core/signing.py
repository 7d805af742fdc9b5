"""secp256k1 signatures over 32-byte digests.

coincurve (libsecp256k1) does the work where it can be imported; eth_keys' pure Python does the same a hundred
times slower where it cannot. Neither is imported before the first signature: `registry.core` stays light.
"""

import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Protocol

from registry.core.ids import Address, address_of, keccak
from registry.errors import Malformed, Unauthenticated

_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_HALF_ORDER = _ORDER // 2


class Signer(Protocol):
    """Whoever can sign for one address: a key in memory, a keystore, a wallet, an HSM."""

    @property
    def address(self) -> Address: ...

    def sign_hash(self, digest: bytes, /) -> bytes:
        """65 bytes r‖s‖v with v 27 or 28 and low s."""
        ...


_Sign = Callable[[bytes], bytes]


class _Curve(Protocol):
    def key(self, secret: bytes) -> tuple[bytes, _Sign]: ...  # 64 bytes x‖y, and digest -> r‖s‖recovery id
    def recover(self, digest: bytes, signature: bytes) -> bytes: ...  # ValueError when there is no such key


class KeySigner:
    """Signs with a secret key held in memory."""

    __slots__ = ("_sign", "address")

    address: Address

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < _ORDER:
            raise Malformed("this is no secp256k1 secret key", hint="run `twinledger key new`")
        # Kept ready: to prepare a key takes twice as long as to sign.
        public, self._sign = _curve().key(secret)
        self.address = _address_of_key(public)

    def sign_hash(self, digest: bytes, /) -> bytes:
        """65 bytes r‖s‖v with v 27 or 28 and low s, the same for the same digest (RFC 6979)."""
        if len(digest) != 32:
            raise Malformed(f"a digest to sign has 32 bytes, got {len(digest)}")
        raw = self._sign(digest)
        return raw[:64] + bytes((27 + raw[64],))

    def __repr__(self) -> str:
        return f"KeySigner({self.address})"


def check_signature(signature: bytes) -> None:
    """Refuse every spelling of a signature but one: r and s in range, s low, v 27 or 28."""
    if len(signature) != 65:
        raise Unauthenticated(f"a signature has 65 bytes, got {len(signature)}")
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (27, 28):
        raise Unauthenticated(f"the signature's v is {v}, not 27 or 28")
    if not 0 < r < _ORDER or not 0 < s <= _HALF_ORDER:
        raise Unauthenticated("the signature's r or s is out of range, or s is not the low one")


def recover(digest: bytes, signature: bytes) -> Address:
    """The address whose key made this signature of this digest."""
    check_signature(signature)
    if len(digest) != 32:
        raise Malformed(f"a signed digest has 32 bytes, got {len(digest)}")
    try:
        key = _curve().recover(digest, signature[:64] + bytes((signature[64] - 27,)))
    except ValueError as e:
        raise Unauthenticated("no key can have made this signature") from e
    return _address_of_key(key)


def to_compact(signature: bytes) -> tuple[bytes, bytes]:
    """EIP-2098 (r, vs): v in the highest bit of s, which low s leaves free."""
    check_signature(signature)
    vs = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
    return signature[:32], vs.to_bytes(32, "big")


def _address_of_key(public_key: bytes) -> Address:
    return address_of(keccak(public_key)[12:])


class _Coincurve:
    def __init__(self) -> None:
        from coincurve import PrivateKey, PublicKey

        self._private, self._public = PrivateKey, PublicKey

    def key(self, secret: bytes) -> tuple[bytes, _Sign]:
        private = self._private(secret)
        return private.public_key.format(compressed=False)[1:], partial(private.sign_recoverable, hasher=None)

    def recover(self, digest: bytes, signature: bytes) -> bytes:
        key = self._public.from_signature_and_message(signature, digest, hasher=None)
        return key.format(compressed=False)[1:]


class _PurePython:
    def __init__(self) -> None:
        from eth_keys.backends.native.main import NativeECCBackend
        from eth_keys.main import KeyAPI

        self._backend = NativeECCBackend()
        self._api = KeyAPI(self._backend)

    def key(self, secret: bytes) -> tuple[bytes, _Sign]:
        private = self._api.PrivateKey(secret, backend=self._backend)
        return private.public_key.to_bytes(), lambda digest: private.sign_msg_hash(digest).to_bytes()

    def recover(self, digest: bytes, signature: bytes) -> bytes:
        from eth_keys.exceptions import BadSignature
        from eth_utils.exceptions import ValidationError

        try:
            found = self._api.Signature(signature, backend=self._backend)
            return found.recover_public_key_from_msg_hash(digest).to_bytes()
        except (BadSignature, ValidationError) as e:
            raise ValueError("recovery failed") from e


@cache
def _curve() -> _Curve:
    try:
        return _Coincurve()
    except ImportError:
        # Said once, because the backend is chosen once.
        logging.getLogger("registry").warning("coincurve cannot be imported: signatures are slow, but right")
        return _PurePython()
