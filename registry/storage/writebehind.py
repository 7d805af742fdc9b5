"""Writing and syncing a long import beside its hashing, within a few blocks of memory."""

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue

_WAITING = 16  # half of them are the short prefixes of frames
_SYNC_EVERY = 32 << 20


def write_at(descriptor: int, raw: bytes, at: int) -> None:
    """Write all of it, however little the kernel takes at once."""
    view = memoryview(raw)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


class WriteBehind:
    """One thread writes, another pushes to the disk what is written, so that the last sync is short.

    A disk that is slower than the hashing holds the caller back: at most a few blocks wait.
    """

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor
        self._queue: Queue[tuple[bytes, int] | None] = Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def write(self, raw: bytes, at: int) -> None:
        """Take bytes to be written; raises what an earlier write met."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pack-writer", daemon=True)
            self._thread.start()
        if self._error is not None:
            raise self._error
        self._queue.put((raw, at))

    def finish(self) -> None:
        """Wait until everything is written; raises what any write met."""
        self.stop()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the threads; may be called again."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="pack-sync") as syncing:
            synced: Future[None] | None = None
            unsynced = 0
            while (item := self._queue.get()) is not None:
                if self._error is not None:
                    continue  # keep taking, or the caller would wait for ever
                try:
                    write_at(self._fd, *item)
                    unsynced += len(item[0])
                    if unsynced >= _SYNC_EVERY:
                        # The kernel reports a failed write-back once: told here, the last sync would succeed.
                        if synced is not None:
                            synced.result()
                        synced, unsynced = syncing.submit(os.fdatasync, self._fd), 0
                except OSError as e:
                    self._error = e
            if synced is not None and isinstance(failure := synced.exception(), OSError):
                self._error = self._error or failure
