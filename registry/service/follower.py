"""Follows the chain: events into the projection, sealed items out of the pool, manifests into the search.

A head notice only wakes it; what it believes it reads by block, and it checks that the block it stood on
is still there. A reorganisation within the confirmations is undone; a deeper one stops the gateway.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from registry.chain.base import Block, Head, Log
from registry.chain.events import Event
from registry.chain.gateway import Contracts
from registry.core.ids import VersionId, hex32
from registry.core.manifest import Manifest
from registry.core.manifest_index import searchable
from registry.errors import ChainReorganised, InvalidManifest, NotFound, RegistryError, TooLarge
from registry.index import BlockMark, Index, Line, Projection, Readable
from registry.pool import Pool, PoolState
from registry.pool.rows import CANCELLED

_log = logging.getLogger("registry.follower")
_RUN = 500
_IDLE_S = 1.0

Listener = Callable[[Sequence[Line], int], None]


class Follower:
    """Keeps the projection at the head of the chain."""

    def __init__(
        self,
        contracts: Contracts,
        projection: Projection,
        index: Index,
        pool: Pool,
        *,
        read_manifest: Callable[[bytes], Manifest],
        reexamine: Callable[[VersionId], None],
    ) -> None:
        self._contracts = contracts
        self._link = contracts.link
        self._projection = projection
        self._index = index
        self._pool = pool
        self._read_manifest = read_manifest
        self._reexamine = reexamine
        self._progress = threading.Condition()
        self._position = -1
        self._wanted: dict[str, None] = {}  # manifests of sealed versions that the store did not hold
        self._told: int | None = None
        self.failure: RegistryError | None = None
        self.listeners: list[Listener] = []

    def catch_up(self) -> None:
        """Project everything up to the present head, and settle what a crash left between two databases."""
        self._wanted.update(dict.fromkeys(self._projection.manifests_wanted()))
        while self.step():
            pass
        pending = self._pool.pending(limit=1_000_000)
        sealed = self._index.sealed(entry.version_id for entry in pending)
        self._pool.mark(sealed, PoolState.SEALED)

    def run(self, stop: threading.Event) -> None:
        """Follow until told to stop; a failing chain is waited for, a deep reorganisation ends it."""
        while not stop.is_set():
            try:
                head = self._link.wait_head(self._position, _IDLE_S)
                # What was walked back is projected anew at once: the chain may be no higher than it was.
                while self._follow(head) and not stop.is_set():
                    pass
                self.read_manifests()
                if self.failure is not None:
                    self.failure = None
            except ChainReorganised as e:
                self.failure = e
                _log.error("the gateway stops: %s", e)
                return
            except RegistryError as e:
                self.failure = e
                _log.warning("the follower waits: %s", e)
                stop.wait(_IDLE_S)

    @property
    def end(self) -> ChainReorganised | None:
        """Why there is no following any more: what was final was replaced."""
        return self.failure if isinstance(self.failure, ChainReorganised) else None

    def wait_for(self, block: int, timeout_s: float) -> bool:
        """Block until this height is projected."""
        with self._progress:
            return self._progress.wait_for(lambda: self._position >= block, timeout_s)

    def step(self) -> bool:
        """Project the next run of blocks; False when there was nothing new."""
        moved = self._follow(self._link.head())
        if not moved:
            self.read_manifests()
        return moved

    def _follow(self, head: Head) -> bool:
        cursor = self._projection.cursor()
        if cursor is not None and self._hash_at(cursor.number, head) != cursor.hash:
            self._walk_back(cursor)
            return True
        self._hear(cursor)
        first = self._contracts.deployment.start_block if cursor is None else cursor.number + 1
        last = min(head.number, first + _RUN - 1)
        if last < first:
            self._note(last)
            return False
        events = self._contracts.events(first, last)
        # The head as it was seen before its events: what replaced it meanwhile is told by their blocks' hash.
        marks = self._marks(events, first, last, {head.number: BlockMark(head.number, head.hash, head.time)})
        lines = self._lines(events, marks)
        if self._projection.apply(cursor, list(marks.values()), lines, self._readables(_manifests(lines))):
            self._tell(lines, last)
        return True

    def _hash_at(self, number: int, head: Head) -> bytes:
        """What the chain has at a height now; the head's own hash is known."""
        return head.hash if number == head.number else self._link.block(number).hash

    def _hear(self, cursor: BlockMark | None) -> None:
        """Tell of what another gateway projected into the database that we share."""
        if cursor is None:
            return
        if self._told is not None and self._told < cursor.number:
            events = self._contracts.events(self._told + 1, cursor.number)
            marks = self._marks(events, cursor.number, cursor.number, {cursor.number: cursor})
            lines = self._lines(events, marks)
            # Whoever projected them may hold other content.
            self._wanted.update(dict.fromkeys(_manifests(lines)))
            self._tell(lines, cursor.number)
        self._told = cursor.number

    def _tell(self, lines: Sequence[Line], last: int) -> None:
        self._settle(lines)
        for listener in self.listeners:
            listener(lines, last)
        self._told = last
        self._note(last)

    def _marks(
        self, events: Sequence[Event], first: int, last: int, known: Mapping[int, BlockMark]
    ) -> dict[int, BlockMark]:
        """The blocks with events, and each that may be replaced: how deep that is must be known exactly."""
        open_ = range(max(first, last - self._link.confirmations), last + 1)
        numbers = sorted({event.log.block_number for event in events}.union(open_))
        return {number: known.get(number) or _mark(self._link.block(number)) for number in numbers}

    def _lines(self, events: Sequence[Event], marks: dict[int, BlockMark]) -> list[Line]:
        firsts: dict[bytes, int] = {}
        lines = []
        for event in events:
            log = event.log
            if marks[log.block_number].hash != log.block_hash:
                raise NotFound(f"block {log.block_number} changed while it was read", hint="it is read again")
            if log.tx_hash not in firsts:
                firsts[log.tx_hash] = self._first_log(log)
            lines.append(
                Line(
                    block=log.block_number,
                    log_index=log.index,
                    time=marks[log.block_number].time,
                    tx_hash=log.tx_hash,
                    tx_index=log.tx_index,
                    event_index=log.index - firsts[log.tx_hash],
                    contract=event.contract,
                    name=event.name,
                    args=event.args,
                )
            )
        return lines

    def _first_log(self, log: Log) -> int:
        """Where the events of a log's transaction begin in their block."""
        if log.tx_index == 0:
            return 0
        receipt = self._link.receipt(log.tx_hash)
        return receipt.logs[0].index if receipt and receipt.logs else log.index

    def _settle(self, lines: Sequence[Line]) -> None:
        """Tell the pool what the chain decided."""
        registered = [_version_id(line) for line in lines if line.name == "Registered"]
        self._pool.mark(registered, PoolState.SEALED)
        for line in lines:
            if line.name == "VersionCancelled":
                self._cancelled(_version_id(line), line.time)
            elif line.name == "Rejected":
                # Any miner can have any id rejected by sealing it with a forged signature: only our
                # own copy, checked against the chain, says what becomes of it.
                self._reexamine(_version_id(line))

    def _cancelled(self, version_id: VersionId, time: int) -> None:
        entry = self._pool.get(version_id)
        # A submission signed after the cancellation is a new will, and stands.
        if entry is not None and entry.submission.issued_at <= time:
            self._pool.mark([version_id], PoolState.CANCELLED, CANCELLED)

    def read_manifests(self) -> None:
        """Make searchable what the store now holds; also called when content came in late."""
        wanted = list(self._wanted)[:_RUN]
        if not wanted:
            return
        for digest in wanted:
            self._wanted.pop(digest, None)
        try:
            self._projection.add_manifests(self._readables(self._projection.unread(wanted)))
        except RegistryError:
            self._wanted.update(dict.fromkeys(wanted))
            raise

    def _readables(self, digests: Iterable[str]) -> list[Readable]:
        """Those of the manifests that are held and can be read; what is not held is wanted from now on."""
        found = []
        for digest in digests:
            try:
                manifest = self._read_manifest(bytes.fromhex(digest[2:]))
            except NotFound:
                self._wanted[digest] = None
            except (InvalidManifest, TooLarge) as e:
                # Sealed past every gateway by a miner: it stays on chain, and no name leads to it.
                _log.warning("the manifest %s cannot be read: %s", digest, e)
            else:
                fields = searchable(manifest)
                found.append(Readable(digest, manifest.namespace, manifest.name, manifest.bytes, fields))
        return found

    def _walk_back(self, cursor: BlockMark) -> None:
        number, changed = cursor.number - 1, cursor
        while number >= 0:
            seen = self._projection.hash_at(number)
            if seen is not None:
                if seen == self._link.block(number).hash:
                    break
                changed = replace(cursor, number=number, hash=seen)
            number -= 1
        depth = cursor.number - number
        if depth > self._link.confirmations:
            raise ChainReorganised(
                f"the chain changed {depth} blocks deep, below block {cursor.number}; "
                f"{self._link.confirmations} confirmations were trusted",
                block=changed.number,
                old_hash=hex32(changed.hash),
                new_hash=hex32(self._link.block(changed.number).hash),
            )
        lost = self._projection.sealed_above(number)
        _log.warning("the chain changed %d blocks deep; %d versions go back to the pool", depth, len(lost))
        # The pool first: if this ends in between, it is walked back once more and nothing stays sealed.
        self._pool.mark((VersionId(bytes.fromhex(text[2:])) for text in lost), PoolState.PENDING)
        self._projection.roll_back(number)

    def _note(self, block: int) -> None:
        with self._progress:
            self._position = max(self._position, block)
            self._progress.notify_all()


def _mark(block: Block) -> BlockMark:
    return BlockMark(block.number, block.hash, block.time)


def _manifests(lines: Iterable[Line]) -> dict[str, None]:
    """The digests of the manifests that were sealed, each once and in order."""
    return dict.fromkeys(line.shown["manifest"] for line in lines if line.name == "Registered")


def _version_id(line: Line) -> VersionId:
    return VersionId(line.args["versionId"])
