"""`twinledger miner run`: one miner as a process of its own, on any chain and store.

Its work comes from gateways over HTTP. On an embedded home, which one process holds, it works from that
home's own pool instead: useful only while `up` does not run.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from miners.node import (
    ANSWER_S,
    ContentServer,
    HttpPeer,
    HttpSource,
    LocalSource,
    MinerNode,
    Peer,
    Source,
    Sources,
)
from registry.chain.deployment import verify_deployment
from registry.chain.gateway import Contracts
from registry.config import EmbeddedChain, Home, Settings
from registry.core.ids import Address, Role, to_address
from registry.core.signing import Signer
from registry.errors import Malformed
from registry.pool import Pool
from registry.wiring.backends import find_deployment, open_chain, open_databases, open_store
from registry.wiring.ending import ending
from registry.wiring.garbage import leave_out_what_stands
from registry.wiring.signers import miner_keystore, miner_signer
from registry.wiring.up import bind, shown_host

Announce = Callable[[str], None]


def run_miner(home: Home, settings: Settings, key: str | None, announce: Announce) -> None:
    """Mine until SIGINT or SIGTERM; `announce` hears the address and where the content is served."""
    stop = threading.Event()
    with ending() as asked:
        asked.tell(stop.set)
        with _mining(home, settings, key, announce) as node:
            leave_out_what_stands()
            node.run(stop)


@contextmanager
def _mining(home: Home, settings: Settings, key: str | None, announce: Announce) -> Iterator[MinerNode]:
    deployment = find_deployment(settings, home)
    with ExitStack() as stack:
        # First of all: a home that another process holds is refused, whatever else is wrong.
        link = open_chain(settings, home, deployment)
        stack.callback(link.close)
        keystore = miner_keystore(home, settings, key)
        signer = miner_signer(keystore, settings)
        verify_deployment(link, deployment)
        contracts = Contracts(link, deployment)
        store = open_store(settings, _store_folder(home, settings, keystore), owner=str(signer.address))
        stack.callback(store.close)
        source = _source(home, settings, contracts, signer, stack)
        listener = stack.enter_context(bind(settings.miner.host, settings.miner.port))
        stack.callback(ContentServer(store, listener).close)
        place = f"http://{shown_host(settings.miner.host)}:{listener.getsockname()[1]}"
        announce(f"mining as {signer.address}, serving {place}/ipfs")
        if not contracts.account(signer.address).roles & Role.MINER:
            announce(f"{signer.address} is no miner yet: a council member runs: {_admission(signer)}")
        answer_s = _answer_s(contracts, len(settings.miner.peers))
        peers = dict(_peer(text, answer_s) for text in settings.miner.peers)
        yield MinerNode(contracts, signer, store, source, peers=peers, poll_s=settings.miner.poll_s)


def _answer_s(contracts: Contracts, peers: int) -> float:
    """How long a peer may take: with all of them silent a verdict still comes within its audit."""
    audit_s = contracts.read("StorageMarket", "auditSlots") * contracts.params().slot_s
    return min(ANSWER_S, float(audit_s) / 2 / max(peers, 1))


def _peer(text: str, answer_s: float) -> tuple[Address, Peer]:
    address, equals, url = text.partition("=")
    if not equals or not url.startswith(("http://", "https://")):
        raise Malformed(f"miner.peers has {text!r}, which is not of the form ADDRESS=URL")
    return to_address(address.strip()), HttpPeer(url, answer_s)


def _source(home: Home, settings: Settings, contracts: Contracts, signer: Signer, stack: ExitStack) -> Source:
    chosen = settings.miner
    if chosen.gateways:
        return Sources(
            [
                HttpSource(url, signer, contracts.domain, pin_timeout_s=chosen.pin_timeout_s)
                for url in chosen.gateways
            ]
        )
    if not isinstance(settings.chain, EmbeddedChain):
        raise Malformed(
            "miner.gateways names no gateway", hint='write gateways = ["http://…"] in section [miner]'
        )
    databases = open_databases(settings, home)
    stack.callback(databases.close)
    store = open_store(settings, home.store, owner="gateway")
    stack.callback(store.close)
    return LocalSource(Pool(databases.primary), store)


def _store_folder(home: Home, settings: Settings, keystore: Path) -> Path:
    """HOME/store; on an embedded home the n-th miner's own folder, because HOME/store is the gateway's."""
    number = keystore.stem.removeprefix("miner-")
    if isinstance(settings.chain, EmbeddedChain):
        return home.miner_store(int(number)) if number.isdigit() else home.root / "miners" / keystore.stem
    return home.store


def _admission(signer: Signer) -> str:
    return f"twinledger member add {signer.address} --namespace NS --role miner"
