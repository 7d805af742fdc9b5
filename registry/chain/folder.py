"""One process per folder: an exclusive lock, and the pid of its holder for the error message."""

import os
from pathlib import Path

from filelock import FileLock, Timeout

from registry.errors import Conflict


class FolderLock:
    """Holds the folder (made if missing) until `release`; Conflict names the process that has it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The pid has a file of its own, because taking the lock may empty the locked one.
        holder = folder / "holder.pid"
        self._lock = FileLock(folder / "lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as e:
            pid = holder.read_text().strip() if holder.exists() else "unknown"
            raise Conflict(
                f"the chain in {folder} is in use by process {pid}",
                hint=f"stop process {pid}, or choose another --home",
                pid=pid,
            ) from e
        holder.write_text(str(os.getpid()))

    def release(self) -> None:
        """Free the folder."""
        self._lock.release()
