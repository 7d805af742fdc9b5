"""Content identifiers: CIDv1, base32, sha2-256, of raw bytes or of a dag-pb node.

IPFS has many spellings of one digest (other bases, CIDv0, upper case). Exactly one is read here, so equal
content means equal text and a CID can be a key anywhere.

>>> str(Cid.parse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").raw[:4].hex())
'01551220'
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from registry.errors import Malformed

RAW = 0x55
DAG_PB = 0x70
_SHA2_256 = b"\x12\x20"
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_TEXT = re.compile(f"b[{_ALPHABET}]{{58}}")
# 36 bytes are 288 bits, and 58 letters have two more. Python's own base32 goes by five bytes in a loop; one
# large number, read by Python's digits of base 32 and written by pairs of letters, takes a fraction of that.
_AS_DIGITS = bytes.maketrans(_ALPHABET.encode(), b"0123456789abcdefghijklmnopqrstuv")
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PLACES = range(280, -1, -10)
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

    def __hash__(self) -> int:
        # A hundred times for each registration: the digest alone tells contents apart, and keeps its hash.
        return hash(self.digest)

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
        # Upper case would decode to the same bytes: one content, one name.
        if _TEXT.fullmatch(text) is None:
            raise Malformed(f"{text[:80]!r} is no CIDv1 in base32", hint=_HINT)
        raw, stray = divmod(int(text[1:].encode().translate(_AS_DIGITS), 32), 4)
        cid = cls.of_raw(raw.to_bytes(36, "big"))
        if stray:
            raise Malformed(f"{text!r} is not the canonical form {cid}", hint=_HINT)
        return cid

    def __str__(self) -> str:
        return _text(self.codec, self.digest)


@lru_cache(maxsize=16_384)  # one content is named again and again: in requests, rows, pins and blocks
def _text(codec: int, digest: bytes) -> str:
    bits = int.from_bytes(Cid(codec, digest).raw) << 2
    return "b" + "".join([_PAIRS[bits >> place & 1023] for place in _PLACES])


def manifest_cid(digest: bytes) -> Cid:
    """The CID of manifest bytes, from the 32 bytes on chain."""
    return Cid(RAW, digest)


def weights_cid(digest: bytes) -> Cid:
    """The CID of the directory of all files, from the 32 bytes on chain."""
    return Cid(DAG_PB, digest)
