"""Garbage collection of the embedded store: mark what is wanted, drop the rest, compact what is mostly holes.

Wanted is what pins, running reads and imports, and recently stored blocks reach. The long marking runs beside
everything else; then, with the gate closed so that nothing new comes into use, only the difference is marked
and the rest is dropped. A file is removed after the index has stopped naming it, never before.
"""

import threading
from collections.abc import Iterable

from registry.core.cid import DAG_PB, Cid
from registry.errors import NotFound, StoreUnavailable, VerificationFailed
from registry.storage.base import Collected
from registry.storage.blockindex import BlockIndex, Pack, PackState
from registry.storage.importing import Intake
from registry.storage.inuse import InUse
from registry.storage.packs import PackFolder, PackWriter, Spot
from registry.storage.pinbook import PinBook
from registry.storage.reader import BlockSource, children
from registry.storage.room import is_full


class Collector:
    """Frees what nobody needs; one collection at a time."""

    def __init__(
        self, packs: PackFolder, index: BlockIndex, pins: PinBook, in_use: InUse, intake: Intake
    ) -> None:
        self._packs, self._index, self._pins = packs, index, pins
        self._in_use, self._intake = in_use, intake
        self._lock = threading.Lock()

    def collect(self, block_of: BlockSource, cutoff: float) -> Collected:
        """Drop every block that is unwanted and was last stored before the cutoff."""
        with self._lock:
            wanted: set[Cid] = set()
            self._mark(block_of, wanted, cutoff)
            with self._in_use.gate():
                self._mark(block_of, wanted, cutoff)
                dead = [(cid, n) for cid, n in self._index.blocks_before(cutoff) if cid not in wanted]
                self._index.drop((cid for cid, _ in dead), cutoff)
            self._reclaim()
            return Collected(len(dead), sum(length for _, length in dead))

    def _mark(self, block_of: BlockSource, wanted: set[Cid], cutoff: float) -> None:
        for roots in (self._pins.roots(), self._in_use.roots(), self._index.nodes_since(cutoff)):
            _reach(block_of, roots, wanted)

    def _reclaim(self) -> None:
        for pack in self._index.packs():
            if pack.state is PackState.OPEN and pack.live * 2 < pack.length:
                self._intake.seal()
        # What is wholly unwanted first: it gives the room that the copies need.
        for pack in self._index.packs():
            if pack.state is PackState.SEALED and pack.live == 0:
                self._index.set_state(pack.name, PackState.DROPPED)
        self.remove_dropped()
        for pack in self._index.packs():
            if pack.state is PackState.SEALED and pack.live * 2 < pack.length:
                try:
                    self._compact(pack)
                except StoreUnavailable as e:
                    if not is_full(e):
                        raise
                    continue  # its holes stay until there is room for a copy; what was dropped is dropped
                self.remove_dropped()

    def remove_dropped(self) -> None:
        """Remove the files of packs that the index has stopped using."""
        for pack in self._index.packs():
            if pack.state is PackState.DROPPED:
                self._packs.remove(pack.name)
                self._index.forget(pack.name)

    def _compact(self, pack: Pack) -> None:
        writer = self._packs.create()
        try:
            moved = self._copy(pack, writer)
            writer.publish()
        except VerificationFailed:
            # A pack with a corrupt block stays as it is: it is the evidence, and reads name it.
            writer.abandon()
            return
        except BaseException:
            writer.abandon()
            raise
        try:
            self._index.move(pack.name, Pack(writer.name, writer.length, PackState.SEALED, 0), moved)
        except StoreUnavailable as e:
            if is_full(e):  # anything else may have reached the disk, and then the copy is what counts
                writer.abandon()
            raise
        finally:
            writer.close()

    def _copy(self, pack: Pack, writer: PackWriter) -> list[tuple[Cid, Spot]]:
        return [
            (cid, writer.append(cid, self._packs.read(cid, spot)))
            for cid, spot in self._index.blocks_of(pack.name)
        ]


def _reach(block_of: BlockSource, roots: Iterable[Cid], wanted: set[Cid]) -> None:
    for root in roots:
        stack = [root]
        while stack:
            cid = stack.pop()
            if cid in wanted:
                continue
            if cid.codec == DAG_PB:
                try:
                    # A corrupt node hides its children: the collection ends here with nothing dropped.
                    stack.extend(children(cid, block_of(cid)))
                except NotFound:
                    continue  # a running import has named it and not yet stored it: look again next time
            wanted.add(cid)
