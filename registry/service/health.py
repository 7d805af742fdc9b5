"""Whether the gateway is ready, and if not, why."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from registry.chain.gateway import Contracts
from registry.errors import RegistryError, StoreUnavailable
from registry.index import Index
from registry.pool import Pool
from registry.service.follower import Follower
from registry.storage.base import ContentStore

_MAX_LAG = 50
# What a full array of submissions takes in the largest of the databases, several times over.
_ROOM = 4 << 20


class Health:
    """Asks every part whether it is well."""

    def __init__(
        self,
        contracts: Contracts,
        index: Index,
        pool: Pool,
        store: ContentStore,
        follower: Follower,
        folders: Sequence[Path],
    ) -> None:
        """`folders` are those in which this gateway writes."""
        self._contracts = contracts
        self._index = index
        self._pool = pool
        self._store = store
        self._follower = follower
        self._folders = tuple(folders)

    def causes(self) -> list[str]:
        """One sentence per part that is not ready."""
        checks: list[Callable[[], object]] = [
            self._contracts.check_genesis,
            self._pool.ping,
            self._check_follower,
            lambda: next(self._store.pins(), None),
            *(partial(_check_room, folder) for folder in self._folders),
        ]
        found = []
        for check in checks:
            try:
                check()
            except RegistryError as e:
                found.append(f"{e.code}: {e.message}")
        return found

    def _check_follower(self) -> None:
        if self._follower.failure is not None:
            raise self._follower.failure
        tip, head = self._index.tip(), self._contracts.link.head()
        behind = head.number - (tip.number if tip else -1)
        if behind > _MAX_LAG:
            raise RegistryError(f"the index is {behind} blocks behind the chain")


def _check_room(folder: Path) -> None:
    """A database answers for as long as it is only read: that it can be written is asked of its disk."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as e:
        raise StoreUnavailable(f"{folder} cannot be used: {e.strerror}") from e
    if free < _ROOM:
        raise StoreUnavailable(f"the disk of {folder} is full: {free} bytes are free, {_ROOM} are needed")
