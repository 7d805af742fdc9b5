"""The layers of a gateway's home compared: projection and pool with the chain, the store and the logs.

Each check yields what is wrong and returns one sentence about what it looked at. Where the running service
holds the chain, the projection stands in for it; where it holds the store, its word is taken and said to be.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

from registry.audit.chainlog import ChainEvent
from registry.audit.completeness import Trust
from registry.audit.fsck import Difference, check_chain_log, check_log
from registry.audit.held import check_manifest_rows
from registry.audit.logdb import LogDatabase
from registry.audit.opened import check_openings
from registry.chain.base import ChainLink
from registry.chain.deployment import Deployment
from registry.chain.filecheck import CHAIN_FILE, check_file
from registry.chain.gateway import Contracts
from registry.config import EmbeddedChain, Home, Settings, Sqlite
from registry.core.log import Recorded
from registry.core.note import NoteSigner
from registry.errors import RegistryError
from registry.index import Projection
from registry.index.release import due as projection_due
from registry.wiring.backends import Databases, databases_to_read
from registry.wiring.comparing import EMPTY, compare, scratch
from registry.wiring.installation import Installation
from registry.wiring.logs import chain_event
from registry.wiring.origins import GATEWAY, OPENINGS
from registry.wiring.pooling import check_pool, told
from registry.wiring.shelving import check_store

Differences = Generator[str, None, str]
Check = Callable[[], Differences]
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
        *,
        signatures: int | None = None,
    ) -> None:
        """`signatures`: of how many of a log's newest checkpoints they are verified, None for all."""
        self._signatures = signatures
        self._home = home
        self._settings = settings
        self._deployment = deployment
        self._contracts = None if link is None else Contracts(link, deployment)
        self._installation = Installation(home, settings, deployment, self._contracts, is_held)

    @property
    def is_running(self) -> bool:
        """Whether a gateway is at work in the home."""
        return self._installation.is_running

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
        due = EMPTY if is_file and not self._home.index.exists() else projection_due(databases.index)
        if due is not None:
            # What cannot be read is as good as empty to whoever asks for versions and names.
            databases = replace(databases, index=scratch(folder / "empty.db", stack))
            Projection(databases.index)
        yield "projection", lambda: self._projection(databases, due, folder, stack)
        yield "pool", lambda: check_pool(self._installation, databases)
        yield "store", lambda: check_store(self._installation, databases)
        yield "logs", lambda: self._logs(folder)

    def _projection(
        self, databases: Databases, due: str | None, folder: Path, stack: ExitStack
    ) -> Differences:
        if due is not None:
            if "is empty" not in due:
                yield due
            return due
        if self._contracts is None:
            cursor = Projection(databases.index).cursor()
            if cursor is None:
                return EMPTY
            return f"stands at block {cursor.number}; stop the service to compare it with the chain"
        compared = yield from compare(databases.index, self._contracts, folder, stack)
        yield from told(check_manifest_rows(databases.index))
        return compared

    def _logs(self, scratch: Path) -> Differences:
        here = self._installation
        if here.secret is None:
            return "are not begun"
        origins = here.origins
        try:
            witnesses = here.witnesses()
        except RegistryError as e:
            yield f"trust.json: {e.message}"
            return ""
        for name, origin in zip(("chain", "gateway"), origins, strict=True):
            trust = Trust(origin, (NoteSigner(origin, here.secret).key,), witnesses)
            log = self._home.log / f"{name}.db"
            yield from told(check_log(log, trust, signatures=self._signatures))
        yield from told(self._openings(origins[1]))
        yield from told(here.copies(here.secret, scratch, self._signatures).differences())
        if self._contracts is None:
            return "agree with their checkpoints"
        records = _entries(self._home.log / "chain.db", origins[0])
        events = islice(self._events(), len(records))
        yield from told(check_chain_log(records, events))
        return f"agree with their checkpoints, and {len(records)} entries with the chain"

    def _openings(self, origin: str) -> Iterator[Difference]:
        log, openings = self._home.log / GATEWAY, self._home.log / OPENINGS
        return check_openings(openings, log, origin, is_growing=self.is_running)

    def _events(self) -> Iterator[ChainEvent]:
        if self._contracts is None:
            return
        link = self._contracts.link
        head = link.head().number
        for first in range(self._deployment.start_block, head + 1, _RUN):
            for event in self._contracts.events(first, min(head, first + _RUN - 1)):
                yield chain_event(event, link.block(event.log.block_number).time)


def _chain_file(path: Path) -> Differences:
    yield from check_file(path)
    return "every value is of its hash, and every number and transaction leads to its block"


def _entries(path: Path, origin: str) -> list[Recorded]:
    database = LogDatabase(path, origin)
    try:
        return [Recorded(number, raw) for number, raw in database.bodies(0, 1 << 60)]
    finally:
        database.close()
