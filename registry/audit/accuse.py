"""A promise against the log: was the entry that a gateway promised ever written?

A gateway that gave a promise and signs, after the delay, a checkpoint without the entry has signed both
halves of its conviction. Anyone who holds the promise and can read the log decides it: the whole log
is read and hashed to the checkpoint's root, so nothing rests on the gateway's word.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from registry.audit.completeness import Trust
from registry.core.checkpoint import VerifiedCheckpoint
from registry.core.log import Recorded
from registry.core.merkle import Frontier, leaf_hash
from registry.core.promise import Promise, verify_promise
from registry.core.tiles import TileReader
from registry.errors import VerificationFailed


class Finding(Enum):
    """What a promise and a log say together."""

    KEPT = "kept"
    BROKEN = "broken"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The finding, in one sentence, and on what it rests."""

    finding: Finding
    reason: str
    promise: Promise
    checkpoint: bytes
    index: int | None = None
    by_witnesses: tuple[str, ...] = ()


def accuse(promise: Promise, *, trust: Trust, checkpoint: bytes, fetch: Callable[[str], bytes]) -> Verdict:
    """Read the whole log under a checkpoint and look for the promised entry.

    `fetch` answers tiles by path. A promise that its log did not sign is VerificationFailed, so is a
    log whose entries do not lead to its checkpoint.
    """
    check_promise(promise, trust)
    verified = trust.check(checkpoint)
    reader = TileReader(fetch, verified.checkpoint.size)
    index = _find(promise, verified, reader.entries(0, verified.checkpoint.size))
    return _verdict(promise, verified, checkpoint, index)


def judge(promise: Promise, verified: VerifiedCheckpoint, raw: bytes, records: Iterable[Recorded]) -> Verdict:
    """The verdict when these verified records are all entries of the log under this checkpoint."""
    digest = promise.entry_sha256
    found = next((record.index for record in records if sha256(record.raw).digest() == digest), None)
    return _verdict(promise, verified, raw, found)


def check_promise(promise: Promise, trust: Trust) -> None:
    if promise.log != trust.origin:
        raise VerificationFailed(f"the promise is of the log {promise.log!r}, not of {trust.origin!r}")
    for key in trust.logs:
        try:
            verify_promise(promise, key)
        except VerificationFailed:
            continue
        return
    raise VerificationFailed(f"no trusted key of {trust.origin!r} signed this promise", log=promise.log)


def _find(promise: Promise, verified: VerifiedCheckpoint, entries: Iterable[bytes]) -> int | None:
    edge, found = Frontier(), None
    for index, raw in enumerate(entries):
        edge.append(leaf_hash(raw))
        if sha256(raw).digest() == promise.entry_sha256:
            found = index
    if edge.root() != verified.checkpoint.root:
        raise VerificationFailed(
            f"the entries of {promise.log} do not lead to the root of its checkpoint",
            size=verified.checkpoint.size,
        )
    return found


def _verdict(promise: Promise, verified: VerifiedCheckpoint, raw: bytes, index: int | None) -> Verdict:
    at = verified.checkpoint
    seen = [mark.time for mark in verified.cosignatures]
    dated = max([at.time or 0, *seen])
    names = tuple(mark.key.name for mark in verified.cosignatures)
    if index is not None:
        reason = f"the entry is number {index} of {at.origin}"
        return Verdict(Finding.KEPT, reason, promise, raw, index, names)
    if dated >= promise.due:
        reason = (
            f"{at.origin} promised the entry by {promise.due}; its checkpoint of {dated} does not hold it"
        )
        return Verdict(Finding.BROKEN, reason, promise, raw, None, names)
    reason = f"the entry is due at {promise.due}, the checkpoint is of {dated}: ask again later"
    return Verdict(Finding.OPEN, reason, promise, raw, None, names)
