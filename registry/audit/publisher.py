"""What a gateway does about its logs once a second: publish, ask the witnesses, and now and then anchor.

Nothing here loops or sleeps: the wiring calls `publish_once` and `anchor_call` from its own thread.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.audit.gatewaylog import QUIET_KINDS
from registry.audit.logstore import LogStore
from registry.audit.witness import AddCheckpoint, WitnessAnswer, read_cosignatures
from registry.core.checkpoint import Checkpoint
from registry.core.log import as_json
from registry.core.note import Note, Signature, VerifierKey, decimal
from registry.errors import RegistryError, VerificationFailed

_log = logging.getLogger(__name__)
_SCAN = 1000


class WitnessLink(Protocol):
    """A way to a witness: in this process, or over HTTP."""

    @property
    def key(self) -> VerifierKey: ...

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """POST add-checkpoint; Unavailable when the witness does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint, with the names of the witnesses that co-signed it and what the others said."""

    checkpoint: Checkpoint
    cosigned_by: tuple[str, ...]
    refusals: tuple[str, ...]


def publish_once(log: LogStore, witnesses: Sequence[WitnessLink], known: dict[str, int]) -> Published:
    """Publish and collect co-signatures; `known` remembers each witness's last size between calls."""
    before = _newest(log)
    at = log.publish()
    if before == at and not _lacks(log, witnesses):
        return Published(at, tuple(w.key.name for w in witnesses), ())
    lines: list[Signature] = []
    names, refusals = [], []
    for witness in witnesses:
        try:
            lines += _ask(log, at, witness, known)
            names.append(witness.key.name)
        except RegistryError as e:
            # A witness that is away only leaves answers unproved; one that refuses is news for the operator.
            refusals.append(f"{witness.key.name}: {e.message}")
            _log.warning("no co-signature of %s on %s at %d: %s", witness.key.name, at.origin, at.size, e)
    if lines:
        log.add_cosignatures(at, lines)
    return Published(at, tuple(names), tuple(refusals))


def _newest(log: LogStore) -> Checkpoint | None:
    held = log.checkpoints(limit=1)
    return Checkpoint.parse(Note.parse(log.checkpoint()).text) if held else None


def _lacks(log: LogStore, witnesses: Sequence[WitnessLink]) -> bool:
    names = {line.name for line in Note.parse(log.checkpoint()).signatures}
    return any(witness.key.name not in names for witness in witnesses)


def _ask(log: LogStore, at: Checkpoint, witness: WitnessLink, known: dict[str, int]) -> list[Signature]:
    place = f"{witness.key}\n{at.origin}"
    raw = log.checkpoint_at(at.size)
    for _ in range(2):
        old = min(known.get(place, 0), at.size)
        body = AddCheckpoint(old, tuple(log.consistency(old, at.size)), raw).encode()
        answer = witness.add_checkpoint(body)
        if answer.status == 200:
            known[place] = at.size
            return read_cosignatures(raw, answer.body, witness.key)
        if answer.status != 409:
            break
        known[place] = decimal(answer.body.decode().strip())
    said = answer.body[:200].decode("utf-8", "replace").strip()
    raise VerificationFailed(f"it answered {answer.status}: {said}", status=answer.status)


@dataclass(frozen=True, slots=True)
class AnchorCall:
    """The arguments of AuditAnchor.anchor."""

    origin: str
    size: int
    root: bytes
    map_root: bytes
    consistency_proof: tuple[bytes, ...]


def anchor_call(log: LogStore, anchored_size: int) -> AnchorCall | None:
    """The next anchor after the one the chain holds; None when nothing but anchors happened since.

    `anchored_size` is read from the contract each time, so a crash between sending and hearing of it
    ends in one anchor, not two.
    """
    at = Checkpoint.parse(Note.parse(log.checkpoint()).text)
    if at.size <= anchored_size or at.map_root is None or not _has_news(log, anchored_size, at.size):
        return None
    proof = log.consistency(anchored_size, at.size)
    return AnchorCall(at.origin, at.size, at.root, at.map_root, tuple(proof))


def _has_news(log: LogStore, first: int, end: int) -> bool:
    for start in range(first, end, _SCAN):
        records = log.entries(start, min(start + _SCAN, end))
        if any(as_json(record.raw)["kind"] not in QUIET_KINDS for record in records):
            return True
    return False


def check_anchor(log: LogStore, size: int, root: bytes, map_root: bytes) -> None:
    """Return when this log still holds what was anchored; a lost or rewritten log does not."""
    held = _newest(log)
    if held is None or held.size < size:
        raise VerificationFailed(
            f"the log {log.origin} has {held.size if held else 0} entries, and {size} were anchored",
            hint="restore the log from its backup before serving",
            size=size,
        )
    if log.root(size) != root:
        raise VerificationFailed(f"the log {log.origin} differs from its anchor at {size} entries", size=size)
    if held.size == size and held.map_root != map_root:
        raise VerificationFailed(
            f"the map of {log.origin} differs from its anchor at {size} entries", size=size
        )
