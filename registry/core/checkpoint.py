"""A checkpoint: origin, size and root of a log, with the map root and the time as extension lines.

>>> at = Checkpoint("31337/0xregistry", 2, bytes(32), bytes(32), 1700000000)
>>> Checkpoint.parse(at.text) == at
True
"""

from collections.abc import Iterable
from dataclasses import dataclass

from registry.core.merkle import EMPTY_ROOT
from registry.core.note import (
    Cosignature,
    Note,
    VerifierKey,
    cosigners,
    decimal,
    decode64_hash,
    encode64,
    log_signers,
)
from registry.errors import VerificationFailed


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says it holds. A foreign log's checkpoint has neither map root nor time."""

    origin: str
    size: int
    root: bytes
    map_root: bytes | None = None
    time: int | None = None

    @property
    def text(self) -> str:
        """The note text that is signed."""
        lines = [self.origin, str(self.size), encode64(self.root)]
        if self.map_root is not None:
            lines.append(f"map {encode64(self.map_root)}")
        if self.time is not None:
            lines.append(f"time {self.time}")
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note's text; unknown extension lines are skipped, as C2SP has it."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "" or not all(lines):
            raise VerificationFailed("a checkpoint has an origin, a size and a root, each on its line")
        extensions: dict[str, str] = {}
        for line in lines[3:]:
            name, _, value = line.partition(" ")
            if name in extensions:
                raise VerificationFailed(f"the checkpoint says {name!r} twice")
            extensions[name] = value
        at = cls(
            lines[0],
            decimal(lines[1]),
            decode64_hash(lines[2]),
            decode64_hash(extensions["map"]) if "map" in extensions else None,
            decimal(extensions["time"]) if "time" in extensions else None,
        )
        if at.size == 0 and at.root != EMPTY_ROOT:
            raise VerificationFailed("a checkpoint of an empty log has another root", origin=at.origin)
        return at


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint with the keys that were found to stand behind it."""

    checkpoint: Checkpoint
    signers: tuple[VerifierKey, ...]
    cosignatures: tuple[Cosignature, ...]


def read_checkpoint(note: Note, *, origin: str) -> Checkpoint:
    """What a note states about this log; whoever signed it."""
    at = Checkpoint.parse(note.text)
    if at.origin != origin:
        raise VerificationFailed(
            f"this is a checkpoint of {at.origin!r}, not of {origin!r}", origin=at.origin
        )
    return at


def verify_checkpoint(
    raw: bytes, *, origin: str, logs: Iterable[VerifierKey], witnesses: Iterable[VerifierKey] = ()
) -> VerifiedCheckpoint:
    """Read a checkpoint of this log, signed by one of its keys; count the witnesses that co-signed."""
    note = Note.parse(raw)
    at = read_checkpoint(note, origin=origin)
    signers = log_signers(note, logs)
    if not signers:
        raise VerificationFailed(f"no trusted key of {origin!r} signed the checkpoint", origin=origin)
    return VerifiedCheckpoint(at, tuple(signers), tuple(cosigners(note, witnesses)))
