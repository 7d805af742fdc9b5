"""The layers of a gateway's home compared: projection and pool with the chain, the store and the logs.

Each check yields what is wrong and returns one sentence about what it looked at. Where the running service
holds the chain, the projection stands in for it; where it holds the store, its word is taken and said to be.
"""

import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine, Table, select

from registry.audit.chainlog import ChainEvent
from registry.audit.completeness import Trust
from registry.audit.fsck import Difference, check_chain_log, check_log
from registry.audit.held import check_manifest_rows, check_pool_rows, names_in
from registry.audit.logdb import LogDatabase
from registry.audit.trust import parse_trust
from registry.chain.base import ChainLink
from registry.chain.deployment import Deployment
from registry.chain.filecheck import CHAIN_FILE, check_file
from registry.chain.gateway import Contracts
from registry.config import EmbeddedChain, Home, Settings, Sqlite
from registry.core.cid import Cid, manifest_cid, weights_cid
from registry.core.ids import Address, Status, VersionId, hex32
from registry.core.log import Recorded
from registry.core.manifest import Manifest
from registry.core.note import COSIGNATURE, NoteSigner, VerifierKey
from registry.core.version import Domain
from registry.database import open_database, reading, sqlite_url
from registry.errors import Conflict, NotFound, RegistryError
from registry.index import Index, Projection, VersionRow
from registry.index.schema import CHAIN_TABLES
from registry.keystore import keystore_info
from registry.pool import Pool, PoolState
from registry.service.follower import Follower
from registry.storage.base import ContentStore
from registry.storage.embedded import EmbeddedStore
from registry.wiring.backends import Databases, open_databases, open_store
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
        if isinstance(self._settings.database, Sqlite) and not self._home.pool.exists():
            return
        databases = open_databases(self._settings, self._home)
        stack.callback(databases.close)
        yield "projection", lambda: self._projection(databases)
        yield "pool", lambda: self._pool(databases)
        yield "store", lambda: self._store(databases, stack)
        yield "logs", self._logs

    def _projection(self, databases: Databases) -> Differences:
        cursor = Projection(databases.index).cursor()
        if cursor is None:
            return "is empty, and is built at the next start"
        if self._contracts is None:
            return f"stands at block {cursor.number}; stop the service to compare it with the chain"
        with tempfile.TemporaryDirectory(prefix="twinledger-doctor-") as folder:
            engine = open_database(sqlite_url(Path(folder) / "index.db"))
            try:
                self._rebuild(engine, Path(folder))
                for table in CHAIN_TABLES:
                    yield from _compare(table, databases.index, engine, cursor.number)
                yield from _told(check_manifest_rows(databases.index))
            finally:
                engine.dispose()
        return f"is what block {cursor.number} and all before it say"

    def _rebuild(self, engine: Engine, folder: Path) -> None:
        if self._contracts is None:
            return
        scratch = open_database(sqlite_url(folder / "pool.db"))
        try:
            follower = Follower(
                self._contracts,
                Projection(engine),
                Index(engine),
                Pool(scratch),
                read_manifest=_no_content,
                reexamine=lambda _version_id: None,
            )
            while follower.step():
                pass
        finally:
            scratch.dispose()

    def _pool(self, databases: Databases) -> Differences:
        """Nothing that was acknowledged may be lost, and nothing sealed is waiting to be sealed again."""
        pool, index = Pool(databases.primary), Index(databases.index)
        domain = Domain(self._deployment.chain_id, self._deployment.address("TwinRegistry"))
        unreadable = list(
            _told(check_pool_rows(databases.primary, domain, self._log_key(), names_in(databases.index)))
        )
        yield from unreadable
        if unreadable:
            return ""
        counts = dict.fromkeys(PoolState, 0)
        after = 0
        while entries := pool.listed(None, limit=_PAGE, after=after):
            after = entries[-1].sequence
            sealed = self._sealed([entry.version_id for entry in entries], index)
            for entry in entries:
                counts[entry.state] += 1
                name = f"{hex32(entry.version_id)} ({entry.model})"
                if entry.state is PoolState.SEALED and entry.version_id not in sealed:
                    yield f"{name} counts as sealed, and the chain does not hold it"
                # A crash between two databases leaves a sealed one pending; the next start settles it.
                if entry.version_id in sealed and entry.state not in (PoolState.SEALED, PoolState.PENDING):
                    yield f"{name} is sealed on chain and {entry.state} in the pool"
        ids = index.version_ids()
        if len(set(ids)) != len(ids):
            yield f"{len(ids) - len(set(ids))} versions are sealed twice"
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "is empty"

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
        try:
            store = open_store(self._settings, self._home.store, owner=str(self._gateway()))
        except Conflict:
            yield from self._asked(index, ids)
            return f"holds all {len(ids)} versions, by the service's word; stop it to verify every byte"
        stack.callback(store.close)
        pinned = {pin.owner for pin in store.pins()}
        for row in _rows(index, ids):
            name = f"{row.model} v{row.number} ({hex32(row.version_id)})"
            if f"version:{hex32(row.version_id)}" not in pinned:
                yield f"{name} is not pinned"
            for cid in _cids(row):
                try:
                    is_whole = store.has(cid)
                except RegistryError as e:  # a directory or root block that is damaged itself
                    yield f"{name}: {e.message}"
                    continue
                if not is_whole:
                    yield f"{name}: {cid} is not whole"
        blocks = yield from _bytes(store, index, ids)
        return f"holds and pins all {len(ids)} versions; {blocks}"

    def _asked(self, index: Index, ids: list[VersionId]) -> Generator[str, None, None]:
        for row in _rows(index, ids):
            for cid in _cids(row):
                if self._is_held is not None and not self._is_held(str(cid)):
                    yield f"{row.model} v{row.number}: the service does not hold {cid}"

    def _log_key(self) -> VerifierKey | None:
        """The key of this gateway's own log, None before its first start."""
        file = self._settings.gateway.log_key_file or self._home.keys / "log.ed25519"
        if not file.exists():
            return None
        origins = log_origins(self._settings, self._deployment, self._gateway())
        return NoteSigner(origins[1], log_secret(file)).key

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


def _compare(table: Table, held: Engine, rebuilt: Engine, limit: int) -> Generator[str, None, None]:
    columns = list(table.c)
    query = select(table).where(table.c.block <= limit).order_by(*columns)
    with reading(held) as one, reading(rebuilt) as other:
        have = [tuple(row) for row in one.execute(query)]
        want = [tuple(row) for row in other.execute(query)]
    missing, extra = len(set(want) - set(have)), len(set(have) - set(want))
    if missing or extra or len(have) != len(want):
        yield (
            f"{table.name}: {missing} rows of the chain are missing, {extra} are not the chain's;"
            " delete the projection, it is rebuilt at the next start"
        )


def _rows(index: Index, ids: list[VersionId]) -> Iterator[VersionRow]:
    for start in range(0, len(ids), _PAGE):
        yield from index.versions(ids[start : start + _PAGE]).values()


def _cids(row: VersionRow) -> Iterable[Cid]:
    return manifest_cid(row.version.manifest), weights_cid(row.version.weights_root)


def _bytes(store: ContentStore, index: Index, ids: list[VersionId]) -> Generator[str, None, str]:
    """Read everything once; the packs of an embedded store as they lie, a daemon's content by version."""
    if isinstance(store, EmbeddedStore):
        for damage in store.damage():
            yield damage.message
        return "every block of every pack is of its hash"
    for row in _rows(index, ids):
        for cid in _cids(row):
            try:
                for _piece in store.export(cid):
                    pass
            except RegistryError as e:
                yield f"{row.model} v{row.number}: {e.message}"
    return "every block of them is of its hash"


def _entries(path: Path, origin: str) -> list[Recorded]:
    database = LogDatabase(path, origin)
    try:
        return [Recorded(number, raw) for number, raw in database.bodies(0, 1 << 60)]
    finally:
        database.close()


def _no_content(_digest: bytes) -> Manifest:
    raise NotFound("the rebuilt projection reads no manifests")
