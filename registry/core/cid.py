"""Content identifiers: CIDv1, base32, sha2-256, of raw bytes or of a dag-pb node.

IPFS has many spellings of one digest (other bases, CIDv0, upper case). Exactly one is read here, so equal
content means equal text and a CID can be a key anywhere.

>>> str(Cid.parse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").raw[:4].hex())
'01551220'
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Self

from registry.errors import Malformed

RAW = 0x55
DAG_PB = 0x70
_SHA2_256 = b"\x12\x20"
# base64.b32encode takes twice as long, in steps of five bytes; every answer and every log names CIDs.
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_DIGIT_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_SHIFTS = range(280, -1, -10)
_HINT = "write it as `ipfs cid format -v 1 -b base32` does"


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """The name of some exact content: how to read it, and its sha-256."""

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in (RAW, DAG_PB):
            raise Malformed(f"a content id is of raw bytes or dag-pb, got codec {self.codec:#x}", hint=_HINT)
        if len(self.digest) != 32:
            raise Malformed(f"a content id has a 32-byte digest, got {len(self.digest)} bytes", hint=_HINT)

    @property
    def raw(self) -> bytes:
        """The 36 bytes: version, codec, hash function, length, digest."""
        return bytes((1, self.codec)) + _SHA2_256 + self.digest

    @classmethod
    def of_raw(cls, raw: bytes) -> Self:
        """Read the 36 bytes."""
        if len(raw) != 36 or raw[0] != 1 or raw[2:4] != _SHA2_256:
            raise Malformed(f"0x{raw[:40].hex()} is no CIDv1 with sha2-256", hint=_HINT)
        return cls(raw[1], raw[4:])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the canonical text and nothing else."""
        if len(text) != 59 or not text.startswith("b"):
            raise Malformed(f"{text[:80]!r} is no CIDv1 in base32", hint=_HINT)
        try:
            raw = base64.b32decode(text[1:].upper() + "======")
        except (binascii.Error, ValueError) as e:
            raise Malformed(f"{text!r} is no CIDv1 in base32", hint=_HINT) from e
        cid = cls.of_raw(raw)
        # Upper case and stray low bits decode to the same bytes: one content, one name.
        if str(cid) != text:
            raise Malformed(f"{text!r} is not the canonical form {cid}", hint=_HINT)
        return cid

    def __str__(self) -> str:
        # Ten bits at a time, of 36 bytes and the two bits that fill the last digit.
        bits = int.from_bytes(self.raw, "big") << 2
        return "b" + "".join([_DIGIT_PAIRS[bits >> shift & 0x3FF] for shift in _SHIFTS])


def manifest_cid(digest: bytes) -> Cid:
    """The CID of manifest bytes, from the 32 bytes on chain."""
    return Cid(RAW, digest)


def weights_cid(digest: bytes) -> Cid:
    """The CID of the directory of all files, from the 32 bytes on chain."""
    return Cid(DAG_PB, digest)
