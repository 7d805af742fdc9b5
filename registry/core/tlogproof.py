"""C2SP tlog-proof: one text file that shows, offline, that an entry is in a log.

```
c2sp.org/tlog-proof@v1
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=

example.com/log
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

— example.com/log hI2DJw...
```
"""

from collections.abc import Iterable
from dataclasses import dataclass

from registry.core.checkpoint import VerifiedCheckpoint, verify_checkpoint
from registry.core.merkle import leaf_hash, verify_inclusion
from registry.core.note import VerifierKey, decimal, decode64, decode64_hash, encode64
from registry.errors import VerificationFailed

HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class TlogProof:
    """An index, the path to the root, and the checkpoint as the log signed it."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        """The text of a `.tlog-proof` file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encode64(self.extra)}")
        lines += [f"index {self.index}", *map(encode64, self.path), ""]
        return "\n".join(lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, raw: bytes) -> "TlogProof":
        """Read a `.tlog-proof` file; the checkpoint in it is not verified yet."""
        head, blank, checkpoint = raw.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as e:
            raise VerificationFailed("the proof's head is not ASCII") from e
        if not blank or lines.pop(0) != HEADER:
            raise VerificationFailed(f"a log proof begins with {HEADER!r} and ends with a checkpoint")
        extra = (
            decode64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
        )
        if not lines or not lines[0].startswith("index "):
            raise VerificationFailed("the log proof has no index")
        index = decimal(lines.pop(0).removeprefix("index "))
        return cls(index, tuple(map(decode64_hash, lines)), checkpoint, extra)


def verify_tlog_proof(
    raw: bytes,
    entry: bytes,
    *,
    origin: str,
    logs: Iterable[VerifierKey],
    witnesses: Iterable[VerifierKey] = (),
) -> VerifiedCheckpoint:
    """Return the checkpoint, with who stands behind it, when it holds exactly this entry."""
    proof = TlogProof.parse(raw)
    verified = verify_checkpoint(proof.checkpoint, origin=origin, logs=logs, witnesses=witnesses)
    at = verified.checkpoint
    verify_inclusion(leaf_hash(entry), proof.index, at.size, proof.path, at.root)
    return verified
