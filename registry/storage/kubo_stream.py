"""The leaves of one file out of one answer of a Kubo daemon, instead of one request for each.

The daemon reads ahead while it sends, which makes a file three times as fast. Its word counts as little as
before: each piece is as long as the file's nodes state and must hash to its leaf. What does not come, or does
not fit, is asked for as a block, and that says what is wrong.
"""

from collections.abc import Generator
from hashlib import sha256

from registry.core.cid import Cid
from registry.storage.kubo_rpc import Daemon
from registry.storage.reader import MAX_BLOCK, BlockSource, Part


class FileStream:
    """Gives the leaves of one file, in their order; close it in the end."""

    def __init__(self, daemon: Daemon, cid: Cid, block_of: BlockSource, end: int | None) -> None:
        """`end` is where reading stops, None for the end of the file."""
        self._daemon = daemon
        self._cid = cid
        self._block_of = block_of
        self._end = end
        self._answer: Generator[bytes, None, None] | None = None
        self._next = -1  # where the leaf after the last one begins
        self._held = bytearray()

    def leaf(self, part: Part) -> bytes:
        """The verified bytes of a leaf whose size its parent states."""
        size = part.size or 0
        # Of a short range the first leaf is all that is wanted, and comes as a block.
        is_begun = part.start == self._next or (self._next < 0 and self._is_long(part.start))
        self._next = part.start + size
        piece = self._piece(part.start, size) if is_begun and size <= MAX_BLOCK else b""
        if len(piece) == size and sha256(piece).digest() == part.cid.digest:
            return piece
        self.close()
        return self._block_of(part.cid)

    def close(self) -> None:
        """Hang up; the next leaves come in an answer of their own."""
        answer, self._answer = self._answer, None
        self._held.clear()
        if answer is not None:
            answer.close()

    def _is_long(self, start: int) -> bool:
        return self._end is None or self._end - start > MAX_BLOCK

    def _piece(self, start: int, size: int) -> bytes:
        if self._answer is None:
            length = None if self._end is None else max(0, self._end - start) + MAX_BLOCK
            self._answer = self._daemon.cat(self._cid, start, length)
        while len(self._held) < size:
            more = next(self._answer, b"")
            if not more:
                break
            self._held += more
        piece = bytes(self._held[:size])
        del self._held[:size]
        return piece
