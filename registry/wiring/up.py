"""`twinledger up`: chain, store, three miners and the API in one process.

A single-trust deployment: good for a laptop and a lab. Whoever runs it could rewrite its chain.
"""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from miners.node import LocalSource, MinerNode, StorePeer
from registry.audit.trust import parse_trust
from registry.chain.deployment import Deployment, contracts_json
from registry.config import Home, Settings, is_loopback
from registry.core.ids import hex32
from registry.errors import Conflict, Malformed
from registry.keystore import write_private
from registry.storage.embedded import EmbeddedStore
from registry.wiring.backends import open_chain
from registry.wiring.consortium import Keys, create_consortium, make_keys
from registry.wiring.gateway import Gateway, open_gateway
from registry.wiring.logs import LocalWitness

_log = logging.getLogger("registry.up")


@dataclass(frozen=True, slots=True)
class Running:
    """A whole installation that runs in this process."""

    gateway: Gateway
    listener: socket.socket
    url: str
    keys: Keys


@contextmanager
def running(home: Home, settings: Settings) -> Iterator[Running]:
    """Create or continue the home, start everything behind the API, and stop it in the end."""
    _refuse_open_development(settings)
    home.make()
    with ExitStack() as stack:
        listener = stack.enter_context(bind(settings.api.host, settings.api.port))
        keys = make_keys(home)
        link = open_chain(settings, home)
        stack.callback(link.close)
        deployment = create_consortium(home, settings, link, keys)
        gateway = open_gateway(home, settings, link, deployment, keys.gateway)
        stack.callback(gateway.close)
        gateway.keeper.witnesses.append(LocalWitness(gateway.logs.witness))
        gateway.start()
        _start_miners(home, gateway, keys, stack)
        url = url_of(settings, listener)
        write_client(home, deployment, url)
        write_trust(home, deployment, gateway)
        yield Running(gateway, listener, url, keys)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; Conflict when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP. With it, the body of each
    # answer waits for the client's delayed acknowledgement of its head: 40 ms for nothing.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except OSError as e:
        listener.close()
        raise Conflict(
            f"{host}:{port} cannot be listened on: {e.strerror}",
            hint=f"another service may run: try --port {port + 1 if port else 8421}",
        ) from e
    return listener


def url_of(settings: Settings, listener: socket.socket) -> str:
    """Where clients reach the API."""
    if settings.api.public_url:
        return settings.api.public_url.rstrip("/")
    scheme = "https" if settings.api.tls_certificate_file else "http"
    return f"{scheme}://{shown_host(settings.api.host)}:{listener.getsockname()[1]}"


def write_client(home: Home, deployment: Deployment, url: str) -> None:
    """Write what `Client()` needs: client.toml."""
    chain_id, registry = deployment.chain_id, deployment.address("TwinRegistry")
    write_private(
        home.client,
        f'url = "{url}"\nkey = "development"\nchain_id = {chain_id}\nregistry = "{registry}"\n',
    )


def write_trust(home: Home, deployment: Deployment, gateway: Gateway) -> None:
    """Write what an auditor needs: trust.json, with the logs and witnesses of others that it named before."""
    logs, witness = gateway.logs, gateway.logs.witness.key
    own = {log.origin: log.verifier_key for log in (logs.chain, logs.gateway.log)}
    try:
        before = parse_trust(home.trust.read_bytes()) if home.trust.exists() else None
    except Malformed as e:
        raise Malformed(
            f"{home.trust}: {e.message}", hint="restore it, or remove it: the keys of other logs stood there"
        ) from e
    logs_before = before.logs if before is not None else ()
    others = [{"origin": origin, "key": str(key)} for origin, key in logs_before if origin not in own]
    # One's own witness had another name under another account; it counts once.
    held = [key for key in before.witnesses if key.public != witness.public] if before is not None else []
    witnesses = dict.fromkeys((witness, *(asked.key for asked in gateway.keeper.others), *held))
    trust = {
        "schema": "twinledger/trust/1",
        "chain_id": deployment.chain_id,
        "genesis_hash": hex32(deployment.genesis_hash),
        "contracts": contracts_json(deployment.contracts),
        "sealers": None,
        "council_head": None,
        "logs": [*({"origin": origin, "key": key} for origin, key in own.items()), *others],
        "witnesses": [{"name": key.name, "key": str(key)} for key in witnesses],
        "quorum": before.quorum if before is not None else 1,
    }
    write_private(home.trust, json.dumps(trust, indent=2) + "\n")


def _start_miners(home: Home, gateway: Gateway, keys: Keys, stack: ExitStack) -> None:
    stop = threading.Event()
    stores = [EmbeddedStore(home.miner_store(number)) for number in range(1, len(keys.miners) + 1)]
    for store in stores:
        stack.callback(store.close)
    peers = {key.address: StorePeer(store) for key, store in zip(keys.miners, stores, strict=True)}
    for number, (signer, store) in enumerate(zip(keys.miners, stores, strict=True), 1):
        source = LocalSource(gateway.pool, gateway.store)
        node = MinerNode(gateway.contracts, signer, store, source, peers=peers)
        thread = threading.Thread(target=node.run, args=(stop,), name=f"miner-{number}", daemon=True)
        thread.start()
        stack.callback(thread.join, 30)
    stack.callback(stop.set)


def _refuse_open_development(settings: Settings) -> None:
    if not is_loopback(settings.api.host):
        raise Conflict(
            f"`up` uses development keys without a passphrase and must not listen on {settings.api.host}",
            hint="use --host 127.0.0.1, or build a real network: docs/network.md",
        )


def shown_host(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
