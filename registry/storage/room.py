"""Room on the disk: what a full one says, and the reserve that lets an operator free it again.

Taking a pin away, collecting and compacting write before they free anything. A disk that puts had filled to
the last byte would therefore stay full for ever. So the store holds a file of this size beside its packs; it
is given up while room is being made and taken back afterwards, and as long as it cannot be taken back the
store accepts nothing new.
"""

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from registry.errors import StoreUnavailable

# The write-ahead logs of index and pins stay below 2 MiB each, one commit of a collection below 3 MiB.
RESERVE = 8 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Turn what the operating system says into StoreUnavailable; nothing stored before is lost by it."""
    try:
        yield
    except OSError as e:
        if e.errno in _FULL:
            raise StoreUnavailable(
                f"the disk of {folder} is full", hint=f"free disk space under {folder}, then send it again"
            ) from e
        raise StoreUnavailable(f"{folder} cannot be used: {e.strerror or e}") from e


def is_full(error: StoreUnavailable) -> bool:
    """Whether it was room that lacked, which a later attempt may find."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(cause, OSError) and cause.errno in _FULL


class Reserve:
    """The room that is kept for making room; `require` before taking anything, `lend` around freeing."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "reserve"
        self._lock = threading.Lock()
        self._borrowers = 0
        # A file of an earlier process counts only when its blocks are its own: a copy may be sparse.
        self._is_held = self._take()

    def require(self) -> None:
        """Refuse to go on unless the reserve is there, or can be had now."""
        with self._lock:
            if self._is_held:
                return
            self._is_held = not self._borrowers and self._take()
            if not self._is_held:
                raise StoreUnavailable(
                    f"the disk of {self._folder} is full: its last {RESERVE >> 20} MiB are for freeing room",
                    hint=f"free disk space under {self._folder}, or unpin and collect, then send it again",
                )

    @contextmanager
    def lend(self) -> Iterator[None]:
        """While inside, a disk that has no other room left has this."""
        with self._lock:
            self._borrowers += 1
            if self._is_held and _free(self._folder) < RESERVE:
                self._file.unlink(missing_ok=True)
                self._is_held = False
        try:
            yield
        finally:
            with self._lock:
                self._borrowers -= 1
                if not self._is_held and not self._borrowers:
                    self._is_held = self._take()

    def _take(self) -> bool:
        try:
            with disk(self._folder):
                _allocate(self._file)
        except StoreUnavailable as e:
            if not is_full(e):
                raise
            self._file.unlink(missing_ok=True)
            return False
        return True


def _allocate(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, RESERVE)
        else:
            os.pwrite(descriptor, bytes(RESERVE), 0)
    finally:
        os.close(descriptor)


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
