"""A witness: mirrors a log, rebuilds its map, and only then co-signs (C2SP tlog-witness, add-checkpoint).

Beyond what C2SP asks (the log only grew), our witnesses state that the map in the checkpoint is the one
that follows from the entries. That is what turns "this gateway claims it is complete" into a proof.
The mirror is kept: when a log forks or hides entries later, the witness holds what it had shown before.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from registry.audit.logdb import LogDatabase
from registry.audit.logindex import LogIndex, Pending, TreeHead, pending_of
from registry.core.checkpoint import Checkpoint
from registry.core.merkle import EMPTY_ROOT, leaf_hash, verify_consistency
from registry.core.note import (
    Note,
    NoteSigner,
    Signature,
    VerifierKey,
    cosigners,
    decimal,
    decode64_hash,
    encode64,
    log_signers,
)
from registry.core.tiles import TileReader
from registry.errors import RegistryError, Unavailable, VerificationFailed

MAX_PROOF_LINES = 63
OF_AN_ACCOUNT = "witness/"
"""So begins the name of the witness of a gateway or a member; its account follows."""


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """What POST add-checkpoint answers."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The body of an add-checkpoint request."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """The request body."""
        lines = [f"old {self.old_size}", *map(encode64, self.proof), ""]
        return "\n".join(lines).encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, body: bytes) -> "AddCheckpoint":
        """Read a request body; VerificationFailed when it is none."""
        head, blank, checkpoint = body.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as e:
            raise VerificationFailed("the request's head is not ASCII") from e
        if not blank or not lines[0].startswith("old ") or len(lines) > MAX_PROOF_LINES + 1:
            raise VerificationFailed("the request begins with its old size and at most 63 proof lines")
        return cls(decimal(lines[0][4:]), tuple(map(decode64_hash, lines[1:])), checkpoint)


class _Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Mirror:
    """One log as the witness has seen and checked it."""

    def __init__(self, path: Path, origin: str) -> None:
        self._database = LogDatabase(path, origin)
        self._index = LogIndex(self._database)

    def head(self) -> TreeHead:
        """What the witness co-signed last."""
        return self._index.head()

    def advance(
        self, at: Checkpoint, entries: Sequence[Pending], bodies: Sequence[bytes], note: bytes
    ) -> None:
        """Take in the entries when they lead to exactly this checkpoint, else nothing."""
        try:
            growth = self._index.grow(entries)
            self._index.update_map(growth)
            with self._database.transaction():
                self._database.insert_entries(
                    (entry.index, entry.leaf, body) for entry, body in zip(entries, bodies, strict=True)
                )
                self._index.save(growth)
                head = self._index.head()
                if head.root != at.root:
                    raise VerificationFailed(
                        f"the entries of {at.origin} do not lead to its root", size=at.size
                    )
                if head.map_root != at.map_root:
                    raise VerificationFailed(
                        f"the map of {at.origin} is not that of its entries", size=at.size
                    )
                self._database.save_checkpoint(at.size, note, keep_newest=16)
        except BaseException:
            self._index.rebuild_map()
            raise

    def keep(self, size: int, note: bytes) -> None:
        """Keep the co-signed checkpoint: evidence should the log ever show another."""
        with self._database.transaction():
            self._database.keep_checkpoint(size, note)

    def checkpoint(self) -> bytes | None:
        """The newest checkpoint with this witness's co-signature."""
        return self._database.newest_checkpoint()

    def entries(self, first: int, end: int) -> list[tuple[int, bytes]]:
        """Entries as the witness saw them."""
        return self._database.bodies(first, end)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class Witness:
    """Co-signs checkpoints of the logs it knows."""

    def __init__(
        self,
        folder: Path,
        signer: NoteSigner,
        logs: Mapping[str, Sequence[VerifierKey]],
        fetch: Callable[[str, str], bytes],
        clock: Callable[[], int],
    ) -> None:
        """`fetch(origin, path)` answers a tile of that log; `signer` is of the cosignature kind."""
        self._folder = folder
        self._signer = signer
        self._logs = dict(logs)
        self._fetch = fetch
        self._clock = clock
        self._mirrors: dict[str, Mirror] = {}
        # One for each log: whoever is slow to show its tiles keeps nobody else's log waiting.
        self._guards = {origin: threading.Lock() for origin in logs}

    @property
    def key(self) -> VerifierKey:
        """The key that goes into trust files."""
        return self._signer.key

    def mirror(self, origin: str) -> Mirror:
        """The mirror of a log; made when the log is seen for the first time."""
        if origin not in self._mirrors:
            name = sha256(origin.encode()).hexdigest()
            self._mirrors[origin] = Mirror(self._folder / f"{name}.db", origin)
        return self._mirrors[origin]

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """Answer C2SP's POST add-checkpoint; the check and the new record are one step."""
        try:
            return WitnessAnswer(200, str(self._cosign(body)).encode())
        except _Refused as refusal:
            kind = "text/x.tlog.size" if refusal.status == 409 else "text/plain; charset=utf-8"
            return WitnessAnswer(refusal.status, f"{refusal}\n".encode(), kind)

    def _cosign(self, body: bytes) -> Signature:
        try:
            request = AddCheckpoint.parse(body)
            note = Note.parse(request.checkpoint)
            at = Checkpoint.parse(note.text)
        except VerificationFailed as e:
            raise _Refused(400, e.message) from e
        self._check_signed(note, at)
        with self._guards[at.origin]:
            mirror = self.mirror(at.origin)
            self._check_growth(mirror.head(), request, at)
            self._take_over(mirror, at, note)
            line = self._signer.cosign(note.text, self._clock())
            mirror.keep(at.size, note.with_signatures([line]).encode())
            return line

    def _check_signed(self, note: Note, at: Checkpoint) -> None:
        if at.origin not in self._logs:
            raise _Refused(404, f"the log {at.origin} is unknown here")
        try:
            signers = log_signers(note, self._logs[at.origin])
        except VerificationFailed as e:
            raise _Refused(403, e.message) from e
        if not signers:
            raise _Refused(403, f"no trusted key of {at.origin} signed this checkpoint")

    def _check_growth(self, head: TreeHead, request: AddCheckpoint, at: Checkpoint) -> None:
        if request.old_size > at.size:
            raise _Refused(400, f"the old size {request.old_size} is above the checkpoint's {at.size}")
        if request.old_size != head.size:
            raise _Refused(409, str(head.size))
        if request.old_size == at.size and head.root != at.root and not request.proof:
            # C2SP tells the two apart: a size that was co-signed with another root, and a proof that is none.
            raise _Refused(409, str(head.size))
        old_root = head.root if head.size else EMPTY_ROOT
        try:
            verify_consistency(head.size, at.size, old_root, at.root, request.proof)
        except VerificationFailed as e:
            raise _Refused(422, e.message) from e

    def _take_over(self, mirror: Mirror, at: Checkpoint, note: Note) -> None:
        """Fetch what is new and rebuild root and map from it."""
        first = mirror.head().size
        reader = TileReader(lambda path: self._fetch(at.origin, path), at.size)
        try:
            bodies = list(reader.entries(first, at.size))
            entries = [pending_of(first + i, leaf_hash(raw), raw) for i, raw in enumerate(bodies)]
            mirror.advance(at, entries, bodies, note.encode())
        except Unavailable as e:
            raise _Refused(503, e.message) from e
        except RegistryError as e:
            raise _Refused(422, e.message) from e

    def checkpoint(self, origin_hash: str) -> bytes | None:
        """GET <origin hash>/checkpoint of C2SP: the newest co-signed checkpoint, None when there is none."""
        for origin, guard in self._guards.items():
            if sha256(origin.encode()).hexdigest() == origin_hash:
                with guard:
                    return self.mirror(origin).checkpoint()
        return None

    def close(self) -> None:
        """Close the mirrors."""
        with ExitStack() as everything:
            for guard in self._guards.values():
                everything.enter_context(guard)
            for mirror in self._mirrors.values():
                mirror.close()


def read_cosignatures(checkpoint: bytes, answer: bytes, key: VerifierKey) -> list[Signature]:
    """The lines of a witness's answer that are its valid co-signatures on this checkpoint."""
    note = Note.parse(checkpoint)
    lines = Note.parse(f"{note.text}\n{answer.decode()}".encode()).signatures
    mine = Note(note.text, tuple(line for line in lines if (line.name, line.key_id) == (key.name, key.id)))
    if not cosigners(mine, [key]):
        raise VerificationFailed(f"the witness {key.name} answered without a co-signature")
    return list(mine.signatures)
