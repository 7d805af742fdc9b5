"""A gateway put together from its settings: chain, store, databases, logs, service."""

import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass

from miners.node import HttpSource
from registry.chain.base import ChainLink
from registry.chain.deployment import Deployment
from registry.chain.gateway import Contracts
from registry.config import Home, Settings
from registry.core.access import WINDOW_S
from registry.core.signing import Signer
from registry.errors import RegistryError
from registry.index import Index, Projection
from registry.index.tasks import TaskIndex
from registry.pool import Pool, Requests, Uploads, open_nonces
from registry.pool.contributions import Contributions
from registry.pool.seals import RowSeal
from registry.service import Journal, Parts, Service
from registry.storage.base import ContentStore
from registry.wiring.anchoring import Anchors
from registry.wiring.backends import Databases, folders_written, open_databases, open_store
from registry.wiring.cosigning import logs_cosigned
from registry.wiring.gathering import Gathering, documents_of, unpinned
from registry.wiring.logs import LogKeeper, Logs, log_secret, open_logs

_log = logging.getLogger("registry.gateway")


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything one gateway runs on; close it in the end."""

    service: Service
    pool: Pool
    store: ContentStore
    contracts: Contracts
    logs: Logs
    keeper: LogKeeper
    anchors: Anchors
    gathering: Gathering
    task_index: TaskIndex
    databases: Databases
    stop: threading.Event
    threads: list[threading.Thread]

    def start(self) -> None:
        """Catch up with the chain, then follow it, publish the logs and gather content."""
        self.anchors.check()
        self.service.follower.listeners.append(self.gathering.sealed)
        self.service.start()
        self.logs.gateway.started(software="twinledger", chain_log=self.logs.chain.origin)
        self.keeper.keep()
        documents = documents_of((event.name, event.args) for event in self.task_index.stating())
        self.gathering.want(unpinned(self.store, self.service.index), documents)
        work_of = {
            "logs": self.keeper.run,
            "anchors": self.anchors.run,
            "gathering": self.gathering.run,
            "nonces": self.service.nonces.keep_ahead,
        }
        for name, work in work_of.items():
            thread = threading.Thread(target=work, args=(self.stop,), name=name, daemon=True)
            thread.start()
            self.threads.append(thread)
        self.service.nonces.settle()

    def close(self) -> None:
        """Stop in order: requests first, then what they rest on."""
        self.stop.set()
        self.service.close()
        for thread in self.threads:
            thread.join(timeout=10)
        with ExitStack() as stack:
            for part in (self.store, self.databases, self.logs):
                stack.callback(part.close)
            stack.callback(self.service.nonces.close)
            # On a full disk this fails, and the rest is closed all the same.
            self.logs.gateway.stopped(reason="shut down")
            try:
                self.keeper.keep()
            except RegistryError as e:
                _log.warning("the chain log ends before the chain's last block: %s", e)


def open_gateway(
    home: Home, settings: Settings, link: ChainLink, deployment: Deployment, signer: Signer
) -> Gateway:
    """Open what the settings name; `signer` is the gateway's own account."""
    contracts = Contracts(link, deployment)
    databases = open_databases(settings, home)
    store = open_store(settings, home.store, owner=str(signer.address))
    cosigned = logs_cosigned(settings, signer, contracts.domain)
    logs = open_logs(home, settings, contracts, signer.address, cosigned)
    pool = Pool(databases.primary)
    seal = RowSeal(log_secret(settings.gateway.log_key_file or home.keys / "log.ed25519"))
    parts = Parts(
        contracts=contracts,
        projection=Projection(databases.index),
        index=Index(databases.index),
        pool=pool,
        nonces=open_nonces(databases.primary, seal, window_s=WINDOW_S),
        requests=Requests(databases.primary, seal),
        uploads=Uploads(databases.primary, seal),
        task_index=TaskIndex(databases.index),
        contributions=Contributions(databases.primary),
        store=store,
        journal=Journal(logs.gateway),
        chain_log=logs.chain,
        witness=logs.witness,
        account=signer.address,
        settings=settings,
        folders=folders_written(settings, home),
    )
    service = Service(parts)
    peers = [HttpSource(url, signer, contracts.domain) for url in settings.gateway.peers]
    return Gateway(
        service=service,
        pool=pool,
        store=store,
        contracts=contracts,
        logs=logs,
        keeper=LogKeeper(logs, contracts, settings),
        anchors=Anchors(logs, contracts, signer, settings),
        gathering=Gathering(
            store, parts.index, pool, peers, service.follower.read_manifests, logs.gateway.log.origin
        ),
        task_index=parts.task_index,
        databases=databases,
        stop=threading.Event(),
        threads=[],
    )
