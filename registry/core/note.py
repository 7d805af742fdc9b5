"""Signed notes, checkpoints and cosignatures, as C2SP specifies them.

A checkpoint says what a log holds (https://c2sp.org/tlog-checkpoint), signed as a note
(https://c2sp.org/signed-note). A member that saw the log only grow adds a line of
https://c2sp.org/tlog-cosignature (Ed25519, cosignature/v1).

```
example.com/log
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
map 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
time 1679315147

— example.com/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
```
The two extension lines are ours: `map` is the root of the verifiable map over the same entries and
`time` when the log said so, which dates a promise that was not kept.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from registry.errors import Malformed, VerificationFailed

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64


def encode64(raw: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(raw).decode()


def decode64(text: str) -> bytes:
    """The only bytes that encode to exactly this text."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise VerificationFailed(f"{text[:60]!r} is not base64") from e
    if encode64(raw) != text:
        raise VerificationFailed(f"{text[:60]!r} is not the canonical base64 of its bytes")
    return raw


def decode64_hash(text: str) -> bytes:
    """A base64 line that holds one SHA-256 hash."""
    raw = decode64(text)
    if len(raw) != 32:
        raise VerificationFailed(f"a hash has 32 bytes, {text[:60]!r} has {len(raw)}")
    return raw


def decimal(text: str) -> int:
    """A decimal number without sign or leading zeroes, below 2^63."""
    is_plain = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    if not is_plain or len(text) > 19 or int(text) >= 1 << 63:
        raise VerificationFailed(f"{text[:40]!r} is not a plain decimal number")
    return int(text)


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or ord(c) < 32 for c in name):
        raise Malformed(f"{name[:80]!r} is no key name: it may hold neither spaces nor plus signs")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A C2SP verifier key: who signs (`name`), how (`algorithm`) and with which Ed25519 key."""

    name: str
    algorithm: int
    public: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.algorithm not in (ED25519, COSIGNATURE) or len(self.public) != 32:
            raise Malformed(f"the verifier key of {self.name} is not Ed25519")

    @property
    def id(self) -> bytes:
        """The four bytes that pick this key's signature lines."""
        return sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode64(bytes([self.algorithm]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read `name+hash+base64`."""
        parts = text.split("+", 2)
        try:
            raw = decode64(parts[2])
            key = cls(parts[0], raw[0], raw[1:])
        except (IndexError, VerificationFailed) as e:
            raise Malformed(f"{text[:80]!r} is no verifier key", hint="the form is name+hash+base64") from e
        if str(key) != text:
            raise Malformed(f"the key id in {text[:80]!r} is not that of its key")
        return key

    def check(self, message: bytes, signature: bytes, what: str) -> None:
        """Return when this key signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError) as e:
            raise VerificationFailed(f"the signature of {self.name} on {what} is wrong", key=str(self)) from e


class NoteSigner:
    """Holds an Ed25519 key and signs notes under one name."""

    __slots__ = ("_secret", "key")

    def __init__(self, name: str, secret: bytes, algorithm: int = ED25519) -> None:
        if len(secret) != 32:
            raise Malformed(f"an Ed25519 secret has 32 bytes, got {len(secret)}")
        self._secret = Ed25519PrivateKey.from_private_bytes(secret)
        self.key = VerifierKey(name, algorithm, self._secret.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The plain Ed25519 signature (64 bytes)."""
        return self._secret.sign(message)

    def sign_note(self, text: str) -> "Signature":
        """The signature line of a log on a note's text."""
        return Signature(self.key.name, self.key.id, self.sign(text.encode()))

    def cosign(self, text: str, time: int) -> "Signature":
        """A cosignature/v1 line: at this time, this is the largest consistent tree the cosigner saw."""
        return Signature(
            self.key.name, self.key.id, time.to_bytes(8, "big") + self.sign(cosigned_message(text, time))
        )


def cosigned_message(text: str, time: int) -> bytes:
    """What a cosignature/v1 is made over."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: `raw` is what follows the key id."""

    name: str
    key_id: bytes
    raw: bytes

    def __str__(self) -> str:
        return f"\N{EM DASH} {self.name} {encode64(self.key_id + self.raw)}\n"

    @classmethod
    def parse(cls, line: str) -> "Signature":
        """Read one line without its newline."""
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\N{EM DASH}" or not parts[1] or "+" in parts[1]:
            raise VerificationFailed(f"{line[:80]!r} is no signature line")
        raw = decode64(parts[2])
        if len(raw) < 5:
            raise VerificationFailed(f"the signature of {parts[1]} is too short")
        return cls(parts[1], raw[:4], raw[4:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures under it; nothing in it counts before `log_signers` or `cosigners`."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(map(str, self.signatures))

    def encode(self) -> bytes:
        """The note as bytes."""
        return str(self).encode()

    def with_signatures(self, more: Iterable[Signature]) -> "Note":
        """The same text with further signatures, each line once."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *more))))

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a signed note; VerificationFailed says what is wrong with it."""
        if len(raw) > MAX_NOTE_BYTES:
            raise VerificationFailed(f"a note of {len(raw)} bytes is over {MAX_NOTE_BYTES}")
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError as e:
            raise VerificationFailed("the note is not UTF-8") from e
        if any(ord(c) < 32 and c != "\n" for c in whole):
            raise VerificationFailed("the note holds control characters")
        text, blank, tail = whole.rpartition("\n\n")
        if not blank or not tail.endswith("\n"):
            raise VerificationFailed("the note has no signatures, or was cut off")
        lines = tail[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise VerificationFailed(f"the note has more than {MAX_SIGNATURES} signatures")
        return cls(text + "\n", tuple(Signature.parse(line) for line in lines))


def log_signers(note: Note, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Which of these log keys signed the note; a line of a known key that is wrong refuses the note."""
    found = []
    for key in keys:
        for line in _lines_of(note, key, ED25519):
            key.check(note.text.encode(), line.raw, "the checkpoint")
            found.append(key)
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness saw, at this time, that the log only grew up to here."""

    key: VerifierKey
    time: int


def cosigners(note: Note, keys: Iterable[VerifierKey]) -> list[Cosignature]:
    """Which of these witnesses co-signed the note, each once, with its latest time."""
    found: dict[VerifierKey, Cosignature] = {}
    for key in keys:
        for line in _lines_of(note, key, COSIGNATURE):
            time = int.from_bytes(line.raw[:8], "big")
            if len(line.raw) != 72 or not 0 < time < 1 << 63:
                raise VerificationFailed(f"the cosignature of {key.name} is malformed")
            key.check(cosigned_message(note.text, time), line.raw[8:], "the checkpoint")
            if key not in found or found[key].time < time:
                found[key] = Cosignature(key, time)
    return list(found.values())


def _lines_of(note: Note, key: VerifierKey, algorithm: int) -> list[Signature]:
    if key.algorithm != algorithm:
        return []
    return [line for line in note.signatures if line.name == key.name and line.key_id == key.id]
