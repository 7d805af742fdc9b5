"""Whether the gateway is ready, and if not, why."""

from collections.abc import Callable

from registry.chain.gateway import Contracts
from registry.errors import RegistryError
from registry.index import Index
from registry.pool import Pool
from registry.service.follower import Follower
from registry.storage.base import ContentStore

_MAX_LAG = 50


class Health:
    """Asks every part whether it is well."""

    def __init__(
        self, contracts: Contracts, index: Index, pool: Pool, store: ContentStore, follower: Follower
    ) -> None:
        self._contracts = contracts
        self._index = index
        self._pool = pool
        self._store = store
        self._follower = follower

    def causes(self) -> list[str]:
        """One sentence per part that is not ready."""
        checks: list[Callable[[], object]] = [
            self._contracts.check_genesis,
            self._pool.ping,
            self._check_follower,
            lambda: next(self._store.pins(), None),
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
