"""How blocks come into the embedded store: each import is one commit, many small ones share a sync.

An import of at most 1 MiB of new blocks is appended to the open pack together with every other import that
waits at that moment; a longer one writes a pack of its own. Either way the order is the same: bytes on the
disk, then names on the disk, then the index. What is in the index is therefore always readable.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from registry.core.cid import Cid
from registry.errors import StoreUnavailable
from registry.storage.blockindex import BlockIndex, Commit, Pack, PackState
from registry.storage.inuse import InUse, Use
from registry.storage.packs import PackFolder, PackWriter, Spot
from registry.storage.room import Reserve

_SMALL = 1 << 20
_OPEN_PACK_LIMIT = 64 << 20


@dataclass(slots=True, eq=False)
class _Ticket:
    """A small import that waits to be written."""

    blocks: dict[Cid, bytes]
    named_again: list[Cid]
    error: StoreUnavailable | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Intake:
    """Takes imports from any thread into packs and index."""

    def __init__(
        self,
        packs: PackFolder,
        index: BlockIndex,
        in_use: InUse,
        *,
        reserve: Reserve,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._packs, self._index, self._in_use, self._clock = packs, index, in_use, clock
        self._reserve = reserve
        self._waiting: list[_Ticket] = []
        self._waiting_lock = threading.Lock()
        self._open_lock = threading.Lock()
        self._open: PackWriter | None = None

    def resume(self, pack: Pack) -> None:
        """Go on with the open pack of an earlier process."""
        with self._open_lock:
            self._seal()
            self._open = self._packs.reopen(pack.name, pack.length)

    def begin(self) -> "Import":
        """Begin an import; use it as a context manager. A full disk is told now, not in the middle."""
        self._reserve.require()
        return Import(self, self._packs, self._index, Use(self._in_use))

    def commit_pack(self, writer: PackWriter, added: list[tuple[Cid, Spot]], named_again: list[Cid]) -> None:
        """Make a long import durable and known."""
        writer.publish()
        pack = Pack(writer.name, writer.length, PackState.SEALED, 0)
        self._index.commit([Commit(pack, added, named_again)], self._clock())

    def commit_small(self, blocks: dict[Cid, bytes], named_again: list[Cid]) -> None:
        """Make a small import durable and known, in one sync with whoever else is waiting."""
        ticket = _Ticket(blocks, named_again)
        with self._waiting_lock:
            self._waiting.append(ticket)
        with self._open_lock:
            if not ticket.done.is_set():
                with self._waiting_lock:
                    batch, self._waiting = self._waiting, []
                self._write(batch)
        if ticket.error is not None:
            raise StoreUnavailable(ticket.error.message, hint=ticket.error.hint) from ticket.error

    def seal(self) -> None:
        """Let the open pack grow no further."""
        with self._open_lock:
            self._seal()

    def close(self) -> None:
        """Let go of the open pack; the next process goes on with it."""
        with self._open_lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _write(self, batch: list[_Ticket]) -> None:
        error: StoreUnavailable | None = StoreUnavailable("the import was interrupted")
        try:
            self._append(batch)
            error = None
        except StoreUnavailable as e:
            error = e
        finally:
            for ticket in batch:
                ticket.error = error
                ticket.done.set()

    def _append(self, batch: list[_Ticket]) -> None:
        blocks = {cid: block for ticket in batch for cid, block in ticket.blocks.items()}
        named_again = [cid for ticket in batch for cid in ticket.named_again]
        if not blocks:
            self._index.commit([Commit(None, (), named_again)], self._clock())
            return
        writer, is_new = self._open or self._packs.create(), self._open is None
        before = writer.length
        try:
            added = writer.append_all(blocks)
            if is_new:
                writer.publish()
            else:
                writer.sync()
            pack = Pack(writer.name, writer.length, PackState.OPEN, 0)
            self._index.commit([Commit(pack, added, named_again)], self._clock())
        except BaseException:
            self._undo(writer, before, is_new)
            raise
        self._open = writer
        if writer.length >= _OPEN_PACK_LIMIT:
            self._seal()

    def _undo(self, writer: PackWriter, length: int, is_new: bool) -> None:
        if is_new:
            writer.abandon()
            return
        try:
            writer.truncate(length)
        except StoreUnavailable:
            # What was promised is intact below `length`; go on in another pack.
            writer.close()
            self._open = None

    def _seal(self) -> None:
        if self._open is None:
            return
        writer, self._open = self._open, None
        writer.close()
        self._index.set_state(writer.name, PackState.SEALED)


class Import:
    """One import: `add` its blocks, then `commit`; left without a commit it leaves nothing behind."""

    def __init__(self, intake: Intake, packs: PackFolder, index: BlockIndex, use: Use) -> None:
        self._intake, self._packs, self._index, self._use = intake, packs, index, use
        self._small: dict[Cid, bytes] = {}
        self._small_bytes = 0
        self._writer: PackWriter | None = None
        self._added: dict[Cid, Spot] = {}
        self._named_again: set[Cid] = set()
        self._is_committed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._use.end()
        if self._writer is None:
            return
        if self._is_committed:
            self._writer.close()
        else:
            self._writer.abandon()

    def claim(self, cids: Collection[Cid]) -> set[Cid]:
        """Keep blocks until the end of the import, and say which of them are held."""
        return self._use.claim_then(cids, lambda: self._index.held(cids))

    def add(self, cid: Cid, block: bytes) -> None:
        """Take a verified block, unless it is held already."""
        self.add_all({cid: block})

    def add_all(self, blocks: Mapping[Cid, bytes]) -> None:
        """Take verified blocks, except those that are held already."""
        come = [cid for cid in blocks if not self._has(cid)]
        held = self.claim(come)
        self._named_again |= held
        for cid in come:
            if cid not in held:
                self._take(cid, blocks[cid])

    def _has(self, cid: Cid) -> bool:
        return cid in self._small or cid in self._added or cid in self._named_again

    def _take(self, cid: Cid, block: bytes) -> None:
        if self._writer is not None:
            self._added[cid] = self._writer.append_behind(cid, block)
            return
        self._small[cid] = block
        self._small_bytes += len(block)
        if self._small_bytes > _SMALL:
            self._spill()

    def commit(self) -> None:
        """Make everything added part of the store."""
        again = list(self._named_again)
        if self._writer is not None:
            self._intake.commit_pack(self._writer, list(self._added.items()), again)
        elif self._small or again:
            self._intake.commit_small(self._small, again)
        self._is_committed = True

    def _spill(self) -> None:
        self._writer = self._packs.create()
        for cid, block in self._small.items():
            self._added[cid] = self._writer.append_behind(cid, block)
        self._small = {}
