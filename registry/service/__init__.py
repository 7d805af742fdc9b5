"""The deep module: everything a gateway does, over whatever backends it was given.

Routes ask it, the command line asks routes. It holds no keys but the gateway's own.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from registry.chain.gateway import Contracts
from registry.core.admission import AdmissionLimits
from registry.core.cid import manifest_cid
from registry.core.ids import Address
from registry.core.manifest import FileEntry
from registry.core.version import Submission
from registry.errors import RegistryError
from registry.index import Index, Projection, VersionRow
from registry.pool import Pool, Requests, Uploads
from registry.service.accounts import Accounts
from registry.service.catalogue import Catalogue
from registry.service.content import Content
from registry.service.council import Council
from registry.service.facts import Facts
from registry.service.follower import Follower
from registry.service.health import Health
from registry.service.limits import Limits
from registry.service.receipts import Receipts
from registry.service.relay import Relay
from registry.service.submissions import Submissions
from registry.storage.base import ContentStore
from registry.wire import PromiseBody

_HOUSEKEEPING_S = 5.0


class Asker(Protocol):
    """Who retrieves: an address where the signature verified, the cell it claims, and from where."""

    @property
    def address(self) -> Address | None: ...
    @property
    def claimed(self) -> Address | None: ...
    @property
    def cell(self) -> str: ...
    @property
    def network(self) -> str: ...


class Journal(Protocol):
    """Where a gateway writes what it did and promises that it is written."""

    def accepted(self, submission: Submission, network: str) -> PromiseBody | None: ...
    def retrieved(self, row: VersionRow, file: FileEntry, asker: Asker) -> PromiseBody | None: ...
    def refused(self, where: str, error: RegistryError) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The backends and stores a service is made of."""

    contracts: Contracts
    projection: Projection
    index: Index
    pool: Pool
    requests: Requests
    uploads: Uploads
    store: ContentStore
    journal: Journal
    limits: Limits
    admission: AdmissionLimits


class Service:
    """One gateway."""

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.time) -> None:
        self.contracts = parts.contracts
        self.index = parts.index
        self.pool = parts.pool
        self.requests = parts.requests
        self.store = parts.store
        self._journal = parts.journal
        self.content = Content(parts.store, parts.uploads, parts.limits, clock)
        self.catalogue = Catalogue(parts.index, self.content)
        self.relay = Relay(parts.contracts)
        self.accounts = Accounts(parts.contracts, parts.index, parts.pool)
        self.council = Council(parts.contracts)
        receipts = Receipts(parts.contracts)
        facts = Facts(parts.contracts, parts.index, parts.pool, self.content)
        self.submissions = Submissions(
            parts.contracts, parts.index, parts.pool, facts, receipts, parts.admission, parts.journal.accepted
        )
        self.follower = Follower(
            parts.contracts,
            parts.projection,
            parts.index,
            parts.pool,
            manifest_bytes=lambda digest: parts.store.block(manifest_cid(digest)),
            reexamine=self.submissions.reexamine,
        )
        self.health = Health(parts.contracts, parts.index, parts.pool, parts.store, self.follower)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Catch up with the chain, then follow it in the background."""
        self.contracts.check_genesis()
        self.follower.catch_up()
        for name, work in (("follower", self._follow), ("housekeeping", self._keep_house)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop following; what was acknowledged is already durable."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def retrieved(self, row: VersionRow, file: FileEntry, asker: Asker) -> dict[str, str]:
        """Log a retrieval before its first byte; the headers carry the gateway's promise."""
        promise = self._journal.retrieved(row, file, asker)
        return {} if promise is None else {"twinledger-promise": promise.model_dump_json()}

    def refused(self, method: str, path: str, error: RegistryError) -> None:
        """Log a refusal."""
        self._journal.refused(f"{method} {path}", error)

    def _follow(self) -> None:
        self.follower.run(self._stop)

    def _keep_house(self) -> None:
        last_collection = time.monotonic()
        while not self._stop.wait(_HOUSEKEEPING_S):
            self.submissions.expire()
            if time.monotonic() - last_collection > 600:
                self.content.collect()
                last_collection = time.monotonic()


__all__ = ["Asker", "Journal", "Limits", "Parts", "Service"]
