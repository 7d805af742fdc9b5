"""The layers of a gateway's home compared: projection and pool with the chain, the store and the logs.

Each check yields what is wrong and returns one sentence about what it looked at. Where the running service
holds the chain, the projection stands in for it; where it holds the store, its word is taken and said to be.
"""

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from registry.audit.chainlog import ChainEvent
from registry.audit.completeness import Trust
from registry.audit.fsck import Difference, check_chain_log, check_log
from registry.audit.held import check_manifest_rows, names_in
from registry.audit.logdb import LogDatabase
from registry.audit.pooled import Promised, check_pool_rows
from registry.audit.trust import parse_trust
from registry.chain.base import ChainLink
from registry.chain.deployment import Deployment
from registry.chain.filecheck import CHAIN_FILE, check_file
from registry.chain.gateway import Contracts
from registry.config import EmbeddedChain, EmbeddedStore, Home, Settings, Sqlite
from registry.core.ids import Address, Status, VersionId, hex32, sha256
from registry.core.log import Recorded
from registry.core.note import COSIGNATURE, NoteSigner, VerifierKey
from registry.core.version import Domain
from registry.errors import Conflict, RegistryError
from registry.index import Index, Projection
from registry.index.release import due as projection_due
from registry.keystore import keystore_info
from registry.pool import Entry, Pool, PoolState
from registry.pool.migrations import due as pool_due
from registry.pool.rows import chain_time_of
from registry.storage.shelf import Shelf
from registry.wiring.backends import Databases, databases_to_read, open_store
from registry.wiring.comparing import compare, rebuild, scratch
from registry.wiring.keeping import denied, unkept, unreadable
from registry.wiring.logs import chain_event, log_origins, log_secret

Differences = Generator[str, None, str]
Check = Callable[[], Differences]
_PAGE = 500
_RUN = 500


class Agreement:
    """One gateway's home; a home that keeps no gateway has nothing to compare."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        deployment: Deployment,
        link: ChainLink | None,
        is_held: Callable[[str], bool] | None,
    ) -> None:
        self._home = home
        self._settings = settings
        self._deployment = deployment
        self._contracts = None if link is None else Contracts(link, deployment)
        self._is_held = is_held

    def checks(self, stack: ExitStack) -> Iterator[tuple[str, Check]]:
        """The checks that this home allows, with their names."""
        if (
            isinstance(self._settings.chain, EmbeddedChain)
            and (file := self._home.chain / CHAIN_FILE).exists()
        ):
            yield "chain database", lambda: _chain_file(file)
        is_file = isinstance(self._settings.database, Sqlite)
        if is_file and not self._home.pool.exists():
            return
        databases = databases_to_read(self._settings, self._home)
        stack.callback(databases.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twinledger-doctor-")))
        missing = "is empty, and is built at the next start"
        due = missing if is_file and not self._home.index.exists() else projection_due(databases.index)
        if due is not None:
            # What cannot be read is as good as empty to whoever asks for versions and names.
            databases = replace(databases, index=scratch(folder / "empty.db", stack))
            Projection(databases.index)
        yield "projection", lambda: self._projection(databases, due, folder, stack)
        yield "pool", lambda: self._pool(databases)
        yield "store", lambda: self._store(databases, stack)
        yield "logs", self._logs

    def _projection(
        self, databases: Databases, due: str | None, folder: Path, stack: ExitStack
    ) -> Differences:
        if due is not None:
            if "is empty" not in due:
                yield due
            return due
        cursor = Projection(databases.index).cursor()
        if cursor is None:
            return "is empty, and is built at the next start"
        if self._contracts is None:
            return f"stands at block {cursor.number}; stop the service to compare it with the chain"
        rebuilt = scratch(folder / "index.db", stack)
        rebuild(self._contracts, rebuilt, scratch(folder / "pool.db", stack))
        yield from compare(databases.index, rebuilt, self._contracts.link, cursor.number)
        yield from _told(check_manifest_rows(databases.index))
        return f"is what block {cursor.number} and all before it say"

    def _pool(self, databases: Databases) -> Differences:
        """Nothing that was acknowledged may be lost, and nothing sealed is waiting to be sealed again."""
        if upgrade := pool_due(databases.primary):
            yield upgrade
            return ""
        pool, index = Pool(databases.primary), Index(databases.index)
        domain = Domain(self._deployment.chain_id, self._deployment.address("TwinRegistry"))
        names = names_in(databases.index)
        damaged = list(_told(check_pool_rows(databases.primary, domain, self._promised(), names)))
        yield from damaged
        counts = dict.fromkeys(PoolState, 0)
        try:
            yield from self._states(pool, index, counts)
        except (RegistryError, ValueError):
            if not damaged:  # else it was said which row cannot be read
                raise
        ids = index.version_ids()
        if len(set(ids)) != len(ids):
            yield f"{len(ids) - len(set(ids))} versions are sealed twice"
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "is empty"

    def _states(self, pool: Pool, index: Index, counts: dict[PoolState, int]) -> Iterator[str]:
        after = 0
        while entries := pool.listed(None, limit=_PAGE, after=after):
            after = entries[-1].sequence
            sealed = self._sealed([entry.version_id for entry in entries], index)
            for entry in entries:
                counts[entry.state] += 1
                if wrong := self._wrong_state(entry, entry.version_id in sealed):
                    yield f"{hex32(entry.version_id)} ({entry.model}) {wrong}"

    def _wrong_state(self, entry: Entry, is_sealed: bool) -> str | None:
        """How the chain contradicts the state of an entry, if it does."""
        state = entry.state
        if state is PoolState.SEALED:
            return None if is_sealed else "counts as sealed, and the chain does not hold it"
        if state is PoolState.PENDING and self._is_held is not None:
            return None  # the service may be about to mark it
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

    def _sealed(self, version_ids: list[VersionId], index: Index) -> set[VersionId]:
        if self._contracts is None:
            return set(index.sealed(version_ids))
        records = {version_id: self._contracts.record(version_id) for version_id in version_ids}
        return {
            v for v, record in records.items() if record is not None and record.status != Status.CANCELLED
        }

    def _store(self, databases: Databases, stack: ExitStack) -> Differences:
        index = Index(databases.index)
        ids = index.version_ids()
        if not isinstance(self._settings.store, EmbeddedStore):
            daemon = open_store(self._settings, self._home.store, owner=str(self._gateway()))
            stack.callback(daemon.close)
            yield from unkept(index, ids, daemon.pins(), daemon.has)
            yield from unreadable(daemon, index, ids)
            return f"holds and pins all {len(ids)} versions; every block of them is of its hash"
        try:
            shelf = Shelf(self._home.store)
        except Conflict:
            yield from denied(index, ids, self._is_held)
            return f"holds all {len(ids)} versions, by the service's word; stop it to verify every byte"
        stack.callback(shelf.close)
        yield from unkept(index, ids, shelf.pins, shelf.has)
        yield from shelf.damage()
        return f"holds and pins all {len(ids)} versions; every block of every pack is of its hash"

    def _promised(self) -> Promised | None:
        """What the pool's promises are held against; None before the first start."""
        file = self._settings.gateway.log_key_file or self._home.keys / "log.ed25519"
        if not file.exists():
            return None
        origin = log_origins(self._settings, self._deployment, self._gateway())[1]
        trust = self._home.trust
        named = parse_trust(trust.read_bytes()).logs if trust.exists() else ()
        return Promised(
            NoteSigner(origin, log_secret(file)).key,
            dict(named),
            partial(_found, self._home.log / "gateway.db", origin),
        )

    def _logs(self) -> Differences:
        path = self._home.keys / "log.ed25519"
        secret_file = self._settings.gateway.log_key_file or path
        if not secret_file.exists():
            return "are not begun"
        secret = log_secret(secret_file)
        origins = log_origins(self._settings, self._deployment, self._gateway())
        try:
            witnesses = self._witnesses()
        except RegistryError as e:
            yield f"trust.json: {e.message}"
            return ""
        for name, origin in zip(("chain", "gateway"), origins, strict=True):
            trust = Trust(origin, (NoteSigner(origin, secret).key,), witnesses)
            yield from _told(check_log(self._home.log / f"{name}.db", trust))
        if self._contracts is None:
            return "agree with their checkpoints"
        records = _entries(self._home.log / "chain.db", origins[0])
        events = islice(self._events(), len(records))
        yield from _told(check_chain_log(records, events))
        return f"agree with their checkpoints, and {len(records)} entries with the chain"

    def _witnesses(self) -> tuple[VerifierKey, ...]:
        """Whose co-signatures count: this gateway's own witness and those that trust.json names."""
        own, trust = self._home.keys / "witness.ed25519", self._home.trust
        held = (
            [NoteSigner(f"witness/{self._gateway()}", log_secret(own), COSIGNATURE).key]
            if own.exists()
            else []
        )
        named = parse_trust(trust.read_bytes()).witnesses if trust.exists() else ()
        return tuple(dict.fromkeys((*held, *named)))

    def _events(self) -> Iterator[ChainEvent]:
        if self._contracts is None:
            return
        link = self._contracts.link
        head = link.head().number
        for first in range(self._deployment.start_block, head + 1, _RUN):
            for event in self._contracts.events(first, min(head, first + _RUN - 1)):
                yield chain_event(event, link.block(event.log.block_number).time)

    def _gateway(self) -> Address:
        return keystore_info(self._settings.gateway.key_file or self._home.keys / "gateway.json").address


def _told(differences: Iterable[Difference]) -> Iterator[str]:
    return (f"{one.layer} {one.where}: {one.text}" for one in differences)


def _chain_file(path: Path) -> Differences:
    yield from check_file(path)
    return "every value is of its hash, and every number and transaction leads to its block"


def _is_time_of_block(link: ChainLink, wanted: int) -> bool:
    """Whether a block has this time; the times of blocks only grow."""
    numbers = range(link.head().number + 1)
    at = bisect_left(numbers, wanted, key=lambda number: link.block(number).time)
    return at < len(numbers) and link.block(at).time == wanted


def _found(path: Path, origin: str, wanted: Collection[bytes]) -> dict[bytes, Recorded]:
    """The entries of a log with these digests."""
    if not path.exists():
        return {}
    database = LogDatabase(path, origin)
    try:
        found = {}
        for first in range(0, database.durable_size(), _RUN):
            for number, raw in database.bodies(first, first + _RUN):
                if (digest := sha256(raw)) in wanted:
                    found[digest] = Recorded(number, raw)
        return found
    finally:
        database.close()


def _entries(path: Path, origin: str) -> list[Recorded]:
    database = LogDatabase(path, origin)
    try:
        return [Recorded(number, raw) for number, raw in database.bodies(0, 1 << 60)]
    finally:
        database.close()
