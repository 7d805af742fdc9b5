"""Identifiers and the enumerations whose numbers are on chain.

An address is always shown in EIP-55; any case is read, because people paste them from many programs.

>>> to_address("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
'0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed'
"""

import hashlib
import os
import re
from collections.abc import Callable
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import NewType

from registry.errors import Malformed

Address = NewType("Address", str)
VersionId = NewType("VersionId", bytes)

_ADDRESS = re.compile(r"0[xX]([0-9a-fA-F]{40})")
_COUNT = re.compile(r"[0-9]{1,19}")
_HEX32 = re.compile(r"0x([0-9a-f]{64})")
_ETH_HASH = "ETH_HASH_BACKEND"


class Role(IntFlag):
    """What a member may do; bit i is the i-th role, on chain too."""

    SUBMITTER = 1 << 0
    MINER = 1 << 1
    SPONSOR = 1 << 2
    DEVICE = 1 << 3
    AGGREGATOR = 1 << 4
    VALIDATOR = 1 << 5
    HOST = 1 << 6
    OPERATOR = 1 << 7
    AUDITOR = 1 << 8
    WITNESS = 1 << 9
    GATEWAY = 1 << 10
    COUNCIL = 1 << 11


class Status(IntEnum):
    """The life of a record on chain; only forward."""

    ACTIVE = 1
    DEPRECATED = 2
    REVOKED = 3
    CANCELLED = 4


class FeeClass(IntEnum):
    """FWT's two classes: standard is L, priority is H and is served first."""

    STANDARD = 0
    PRIORITY = 1


def _keccak_backend() -> Callable[[bytes], bytes]:
    try:
        from sha3 import keccak_256  # type: ignore[import-untyped]
    except ImportError:  # no wheel of safe-pysha3 for this platform: ten times slower, same digests
        from eth_hash.auto import keccak as slow

        return slow
    _tell_eth_hash()

    def fast(message: bytes) -> bytes:
        return bytes(keccak_256(message).digest())

    return fast


def _tell_eth_hash() -> None:
    """py-evm and web3 hash through eth-hash, which would take the slower of the two that are installed."""
    if _ETH_HASH in os.environ:
        return
    os.environ[_ETH_HASH] = "pysha3"
    try:
        from eth_hash.auto import keccak as chooses_once

        chooses_once(b"")
    finally:
        # A child process may have another environment, where this one is not installed.
        del os.environ[_ETH_HASH]


keccak = _keccak_backend()


def sha256(message: bytes) -> bytes:
    """The SHA-256 digest of the bytes."""
    return hashlib.sha256(message).digest()


@lru_cache(maxsize=16_384)  # the same few members act again and again
def address_of(raw: bytes) -> Address:
    """The EIP-55 form of 20 address bytes."""
    if len(raw) != 20:
        raise Malformed(f"an address has 20 bytes, got {len(raw)}")
    lower = raw.hex()
    digest = keccak(lower.encode()).hex()
    return Address(
        "0x" + "".join(c.upper() if int(d, 16) > 7 else c for c, d in zip(lower, digest, strict=False))
    )


def read_count(text: str, what: str) -> int:
    """A decimal number from 0 that every database holds; `what` names it in the error.

    `str.isdigit` takes other scripts' digits, and a number of any length is a way to keep a machine busy.
    """
    if _COUNT.fullmatch(text) is None or int(text) >= 1 << 63:
        raise Malformed(f"{what} is {text[:80]!r}, not a number from 0")
    return int(text)


@lru_cache(maxsize=16_384)
def to_address(text: str) -> Address:
    """Read `0x` and 40 hex digits of any case."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise Malformed(f"{text!r} is no address", hint="an address is 0x and 40 hex digits")
    return address_of(bytes.fromhex(match[1]))


def address_bytes(address: Address) -> bytes:
    """The 20 bytes of an address."""
    return bytes.fromhex(address[2:])


def hex32(raw: bytes) -> str:
    """`0x` and lower-case hex, as every 32-byte value is written."""
    return "0x" + raw.hex()


def parse_hex32(text: str) -> bytes:
    """Read the one form that `hex32` writes for 32 bytes."""
    match = _HEX32.fullmatch(text)
    if match is None:
        raise Malformed(f"{text!r} is not 0x and 64 lower-case hex digits")
    return bytes.fromhex(match[1])


def name_hash(name: str) -> bytes:
    """What the chain keeps of a model's name."""
    return keccak(name.encode())


def model_id(namespace_id: int, name: str) -> bytes:
    """keccak256(abi.encodePacked(uint64 namespaceId, nameHash))."""
    return keccak(namespace_id.to_bytes(8, "big") + name_hash(name))
