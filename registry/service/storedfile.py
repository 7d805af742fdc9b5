"""A stored file as something to seek and read in, for parsers that look at a few places of a large file."""

import io
from types import TracebackType
from typing import Self

from registry.core.cid import Cid
from registry.storage.base import ContentStore

_WINDOW = 1 << 20


class StoredFile(io.RawIOBase):
    """Random access over a content store; every byte is hashed by the store before it is seen."""

    def __init__(self, store: ContentStore, cid: Cid, size: int) -> None:
        self._store = store
        self._cid = cid
        self._size = size
        self._position = 0
        self._window = (0, b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._size - self._position if size is None or size < 0 else size
        parts = []
        while wanted > 0 and self._position < self._size:
            part = self._here()[:wanted]
            parts.append(part)
            self._position += len(part)
            wanted -= len(part)
        return b"".join(parts)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def _here(self) -> bytes:
        start, held = self._window
        if not start <= self._position < start + len(held):
            start = self._position - self._position % _WINDOW
            held = b"".join(self._store.get(self._cid, start, _WINDOW))
            self._window = (start, held)
        return held[self._position - start :]
