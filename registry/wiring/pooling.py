"""The primary data of a home: each row against who signed it, the logs, the chain and the other rows."""

from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, Mapping

from registry.audit.fsck import Difference
from registry.audit.held import names_in
from registry.audit.marked import check_marked_rows
from registry.audit.pooled import check_pool_rows
from registry.audit.rounds import Rounds, check_round_rows, rounds_of
from registry.chain.base import ChainLink
from registry.core.access import WINDOW_S
from registry.core.ids import Status, VersionId, hex32
from registry.errors import RegistryError
from registry.index import Index
from registry.index.tasks import TaskIndex
from registry.pool import Entry, Pool, PoolState
from registry.pool.migrations import due as pool_due
from registry.pool.rows import chain_time_of
from registry.wiring.backends import Databases
from registry.wiring.installation import Installation

Differences = Generator[str, None, str]
_PAGE = 500


def check_pool(installation: Installation, databases: Databases) -> Differences:
    """Nothing that was acknowledged may be lost, and nothing sealed is waiting to be sealed again."""
    if upgrade := pool_due(databases.primary):
        yield upgrade
        return ""
    damaged = list(told(_rows(installation, databases)))
    yield from damaged
    pool, index = Pool(databases.primary), Index(databases.index)
    counts = dict.fromkeys(PoolState, 0)
    try:
        yield from _States(installation, index).wrong(pool, counts)
    except (RegistryError, ValueError):
        if not damaged:  # else it was said which row cannot be read
            raise
    ids = index.version_ids()
    if len(set(ids)) != len(ids):
        yield f"{len(ids) - len(set(ids))} versions are sealed twice"
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "is empty"


def told(differences: Iterable[Difference]) -> Iterator[str]:
    """Each with the layer to blame and the place."""
    return (f"{one.layer} {one.where}: {one.text}" for one in differences)


def _rows(installation: Installation, databases: Databases) -> Iterator[Difference]:
    domain, promised = installation.domain, installation.promised()
    index = TaskIndex(databases.index)

    def names() -> Mapping[int, str]:
        return names_in(databases.index)

    def begun() -> Rounds | None:
        # A projection that is yet to be built knows of no round.
        return rounds_of(index) if index.count() else None

    yield from check_pool_rows(databases.primary, domain, promised, names)
    yield from check_round_rows(databases.primary, domain, begun, promised)
    if (seal := installation.seal()) is not None:
        yield from check_marked_rows(
            databases.primary, seal, is_shared=installation.is_shared(), nonce_window_s=WINDOW_S
        )


class _States:
    """The states of submissions against the chain; where the service holds that, against the projection."""

    def __init__(self, installation: Installation, index: Index) -> None:
        self._contracts = installation.contracts
        self._is_at_work = installation.is_running or installation.is_shared()
        self._index = index

    def wrong(self, pool: Pool, counts: dict[PoolState, int]) -> Iterator[str]:
        """Every entry that the chain contradicts; counts them all."""
        after = 0
        while entries := pool.listed(None, limit=_PAGE, after=after):
            after = entries[-1].sequence
            sealed = self._sealed([entry.version_id for entry in entries])
            for entry in entries:
                counts[entry.state] += 1
                if wrong := self._wrong(entry, entry.version_id in sealed):
                    yield f"{hex32(entry.version_id)} ({entry.model}) {wrong}"

    def _wrong(self, entry: Entry, is_sealed: bool) -> str | None:
        """How the chain contradicts the state of an entry, if it does."""
        state = entry.state
        if state is PoolState.SEALED:
            return None if is_sealed else "counts as sealed, and the chain does not hold it"
        if state is PoolState.PENDING and self._is_at_work:
            return None  # a gateway may be about to mark it
        if is_sealed:
            # A crash between two databases leaves a sealed one pending.
            settles = ": the next start settles it" if state is PoolState.PENDING else ""
            return f"is sealed on chain and {state} in the pool{settles}"
        if self._contracts is None:
            return None
        if state is PoolState.EXPIRED and not _is_time_of_block(
            self._contracts.link, chain_time_of(entry.reason)
        ):
            return f"is expired, {entry.reason}, and no block has this time"
        if state is PoolState.CANCELLED:
            record = self._contracts.record(entry.version_id)
            if record is None or record.status != Status.CANCELLED:
                return "counts as cancelled, and the chain does not say so"
        return None

    def _sealed(self, version_ids: list[VersionId]) -> set[VersionId]:
        if self._contracts is None:
            return set(self._index.sealed(version_ids))
        records = {version_id: self._contracts.record(version_id) for version_id in version_ids}
        return {
            v for v, record in records.items() if record is not None and record.status != Status.CANCELLED
        }


def _is_time_of_block(link: ChainLink, wanted: int) -> bool:
    """Whether a block has this time; the times of blocks only grow."""
    numbers = range(link.head().number + 1)
    at = bisect_left(numbers, wanted, key=lambda number: link.block(number).time)
    return at < len(numbers) and link.block(at).time == wanted
