"""The deep module: everything a gateway does, over whatever backends it was given.

Routes ask it, the command line asks routes. It holds no keys but the gateway's own.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.audit.logstore import LogStore
from registry.audit.rows import CHAIN, GATEWAY
from registry.audit.witness import Witness
from registry.chain.gateway import Contracts
from registry.config import Settings
from registry.core.admission import AdmissionLimits
from registry.core.cid import Cid
from registry.core.ids import Address, Role
from registry.core.manifest import FileEntry
from registry.errors import ChainReorganised, NotAuthorized, RegistryError
from registry.index import Index, Projection, VersionRow
from registry.index.tasks import TaskIndex
from registry.pool import Nonces, Pool, Requests, Uploads
from registry.pool.contributions import Contributions
from registry.service.accounts import Accounts
from registry.service.audits import Audits
from registry.service.catalogue import Catalogue
from registry.service.content import Content
from registry.service.council import Council
from registry.service.facts import Facts
from registry.service.fees import Fees
from registry.service.follower import Follower
from registry.service.health import Health
from registry.service.journal import Asker, Journal, Retrieval
from registry.service.manifests import Manifests
from registry.service.metrics import Metrics
from registry.service.miners import Miners
from registry.service.pages import Pages
from registry.service.receipts import Receipts
from registry.service.relay import Relay
from registry.service.services import Services
from registry.service.statements import Statements
from registry.service.submissions import Submissions
from registry.service.tasks import Tasks
from registry.service.tasks_rounds import Rounds
from registry.storage.base import ContentStore

_log = logging.getLogger("registry.service")
_HOUSEKEEPING_S = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The backends and stores a service is made of."""

    contracts: Contracts
    projection: Projection
    index: Index
    pool: Pool
    nonces: Nonces
    requests: Requests
    uploads: Uploads
    task_index: TaskIndex
    contributions: Contributions
    store: ContentStore
    journal: Journal
    chain_log: LogStore
    witness: Witness
    account: Address
    settings: Settings
    folders: Sequence[Path]


class Service:
    """One gateway."""

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.time) -> None:
        self.contracts = parts.contracts
        self.index = parts.index
        self.pool = parts.pool
        self.nonces = parts.nonces
        self.requests = parts.requests
        self.store = parts.store
        self._journal = parts.journal
        self.content = Content(
            parts.store, parts.uploads, parts.settings.quotas, parts.settings.limits.file_bytes, clock
        )
        manifests = Manifests(parts.store)
        self.catalogue = Catalogue(parts.index, self.content, manifests)
        self.accounts = Accounts(parts.contracts, parts.index, parts.pool)
        self.fees = Fees(parts.contracts, parts.index, parts.pool)
        self.miners = Miners(parts.contracts, parts.index)
        self.statements = Statements(parts.index)
        self.council = Council(parts.contracts)
        quotas = parts.settings.quotas
        limits = AdmissionLimits(
            parts.settings.limits.item_bytes, quotas.pending_per_member, quotas.pending_in_all
        )
        receipts = Receipts(parts.contracts, parts.chain_log)
        facts = Facts(parts.contracts, parts.index, parts.pool, self.content, manifests)
        self.submissions = Submissions(
            parts.contracts, parts.index, parts.pool, facts, receipts, limits, parts.journal.accepted
        )
        self.pages = Pages(parts.contracts, parts.index, parts.pool, receipts)
        self.follower = Follower(
            parts.contracts,
            parts.projection,
            parts.index,
            parts.pool,
            read_manifest=manifests.read,
            reexamine=self.submissions.reexamine,
        )
        self.relay = Relay(parts.contracts, self.follower.wait_for)
        self.tasks = Tasks(
            parts.contracts,
            parts.task_index,
            parts.contributions,
            self.content,
            self.relay,
            parts.journal.contributed,
            clock,
        )
        self.rounds = Rounds(parts.contracts, parts.task_index, self.tasks)
        self.services = Services(parts.contracts, parts.task_index)
        self.witness = parts.witness
        own = parts.journal.log
        self.audits = Audits(
            parts.contracts, parts.index, receipts, {CHAIN: parts.chain_log, GATEWAY: own.log}, own.openings
        )
        self.health = Health(
            parts.contracts, parts.index, parts.pool, parts.store, self.follower, parts.folders
        )
        logs = {"chain": parts.chain_log, "gateway": own.log}
        self.metrics = Metrics(parts.contracts, parts.index, parts.pool, parts.store, logs, parts.account)
        self.follower.listeners.append(self.metrics.heard)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Catch up with the chain, then follow it in the background."""
        self.contracts.check_genesis()
        try:
            self.follower.catch_up()
        except ChainReorganised as e:
            self._journal.reorganised(e)
            raise
        for name, work in (("follower", self._follow), ("housekeeping", self._keep_house)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop following; what was acknowledged is already durable."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def retrieved(self, row: VersionRow, file: FileEntry, asker: Asker, size: int) -> Retrieval:
        """Log that so many bytes of a version's file are retrieved, with the gateway's promise."""
        return self._promised([row], asker, size, {"path": file.path})

    def fetched(self, cid: Cid, asker: Asker, size: int) -> Retrieval:
        """The same for bytes asked for by CID: a promise for each model whose versions name them.

        Content that no sealed version names is nobody's model, so nothing is logged.
        """
        return self._promised(self.index.naming(cid), asker, size, {"cid": str(cid)})

    def replicated(self, cid: Cid, asker: Asker) -> Retrieval:
        """The same for a whole DAG, unless a miner or a gateway takes its copy: they hold every version."""
        if self._keeps_copies(asker):
            return Retrieval()
        return self.fetched(cid, asker, self.store.stat(cid).size)

    def copies(self, cids: Sequence[Cid], asker: Asker) -> Iterator[bytes]:
        """Many DAGs as one CAR, for who keeps copies of everything: for others each is a retrieval."""
        if not self._keeps_copies(asker):
            raise NotAuthorized(
                "many DAGs at once are for miners and gateways, which hold every version",
                hint="fetch one at a time: GET /ipfs/{cid}?format=car",
            )
        return self.store.export_all(cids)

    def _keeps_copies(self, asker: Asker) -> bool:
        member = None if asker.address is None else self.index.member(asker.address)
        return member is not None and bool(member.roles & (Role.MINER | Role.GATEWAY))

    def _promised(
        self, rows: Sequence[VersionRow], asker: Asker, size: int, what: Mapping[str, str]
    ) -> Retrieval:
        return self._journal.retrieved(rows, asker, size, what) if rows else Retrieval()

    def broke_off(self, retrieval: Retrieval, outcome: str, sent: int) -> None:
        """Log that a retrieval ended before its last byte."""
        if retrieval.fetched:
            self._journal.broke_off(retrieval, outcome, sent)

    def relayed(self, tx_hash: bytes, sender: Address, network: str, route: str) -> None:
        """Log where a member's own transaction came in."""
        self._journal.relayed(tx_hash, sender, network, route)

    def refused(self, asker: Asker, method: str, target: str, error: RegistryError) -> None:
        """Log a refusal."""
        self._journal.refused(asker, method, target, error)

    def _follow(self) -> None:
        self.follower.run(self._stop)
        if self.follower.end is not None:
            self._journal.reorganised(self.follower.end)

    def _keep_house(self) -> None:
        last_collection = time.monotonic()
        while not self._stop.wait(_HOUSEKEEPING_S):
            try:
                self.submissions.expire()
                if time.monotonic() - last_collection > 600:
                    self.content.collect()
                    last_collection = time.monotonic()
            except RegistryError as e:
                _log.warning("the housekeeping waits: %s", e)


__all__ = ["Asker", "Journal", "Parts", "Service"]
