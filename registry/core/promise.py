"""A promise: a gateway's signed word that an entry will be in its log (interface.md 5).

It is given before the last byte of an answer. A promise whose entry is missing from a checkpoint
dated after the delay convicts the gateway: both were signed by the same key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from registry.core.canonical import canonical
from registry.core.ids import hex32, parse_hex32
from registry.core.note import NoteSigner, VerifierKey
from registry.errors import Malformed

_MOST_S = 2**53 - 1  # larger whole numbers have no RFC 8785 form
_FIELDS = {"log", "entry_sha256", "issued", "merge_delay_s", "signature"}


@dataclass(frozen=True, slots=True)
class Promise:
    """`log` is the log's origin, `entry_sha256` the digest of the entry's exact bytes."""

    log: str
    entry_sha256: bytes
    issued: int
    merge_delay_s: int
    signature: bytes

    @property
    def due(self) -> int:
        """From this time on every checkpoint must hold the entry."""
        return self.issued + self.merge_delay_s

    def signed_bytes(self) -> bytes:
        """The RFC 8785 form without the signature."""
        return _signed_bytes(self.log, self.entry_sha256, self.issued, self.merge_delay_s)

    def to_json(self) -> dict[str, object]:
        """The wire form."""
        return {
            "log": self.log,
            "entry_sha256": hex32(self.entry_sha256),
            "issued": self.issued,
            "merge_delay_s": self.merge_delay_s,
            "signature": "0x" + self.signature.hex(),
        }

    @classmethod
    def from_json(cls, given: object) -> "Promise":
        """Read the wire form; unknown or missing fields are refused."""
        if not isinstance(given, Mapping) or set(given) != _FIELDS:
            raise Malformed(f"a promise has exactly the fields {', '.join(sorted(_FIELDS))}")
        log, issued, delay = given["log"], given["issued"], given["merge_delay_s"]
        entry, signature = given["entry_sha256"], given["signature"]
        if not (isinstance(log, str) and isinstance(entry, str) and isinstance(signature, str)):
            raise Malformed("log, entry_sha256 and signature of a promise are strings")
        if (
            type(issued) is not int
            or type(delay) is not int
            or min(issued, delay) < 0
            or issued + delay > _MOST_S
        ):
            raise Malformed("issued and merge_delay_s of a promise are seconds")
        try:
            raw = bytes.fromhex(signature.removeprefix("0x"))
        except ValueError as e:
            raise Malformed("the signature of a promise is not hex") from e
        if "0x" + raw.hex() != signature or len(raw) != 64:
            raise Malformed("the signature of a promise is 0x and 128 lower-case hex digits")
        return cls(log, parse_hex32(entry), issued, delay, raw)


def _signed_bytes(log: str, entry_sha256: bytes, issued: int, merge_delay_s: int) -> bytes:
    # The general encoder's own words, spelt out: a gateway promises hundreds of entries at once.
    numbers = f'"issued":{issued:d},"log":{_written(log)},"merge_delay_s":{merge_delay_s:d}'
    return f'{{"entry_sha256":"{hex32(entry_sha256)}",{numbers}}}'.encode()


@lru_cache(maxsize=64)
def _written(origin: str) -> str:
    return canonical(origin).decode()


def make_promise(signer: NoteSigner, log: str, entry: bytes, *, issued: int, merge_delay_s: int) -> Promise:
    """Promise that the log of this origin will hold exactly these entry bytes."""
    digest = sha256(entry).digest()
    signature = signer.sign(_signed_bytes(log, digest, issued, merge_delay_s))
    return Promise(log, digest, issued, merge_delay_s, signature)


def verify_promise(promise: Promise, key: VerifierKey) -> None:
    """Return when the log's key signed this promise."""
    key.check(promise.signed_bytes(), promise.signature, "the promise")
