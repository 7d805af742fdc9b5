"""Opens the chain, the store and the databases that the settings name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from registry.chain.base import ChainLink
from registry.chain.deployment import Deployment, parse_deployment
from registry.chain.filecheck import CHAIN_FILE
from registry.config import (
    EmbeddedChain,
    EmbeddedStore,
    Home,
    Postgresql,
    RpcChain,
    Settings,
    read_secret,
)
from registry.core.canonical import strict_json
from registry.core.ids import Address, to_address
from registry.database import open_database, open_to_read, sqlite_url
from registry.errors import Malformed, NotFound
from registry.keystore import write_private
from registry.storage.base import ContentStore
from registry.wiring.origins import CHAIN, GATEWAY, OPENINGS

if TYPE_CHECKING:
    from registry.chain.rpc import RpcChain as Node

# 2^96 wei each: more than any use will spend, and far from every uint128.
_DEVELOPMENT_COIN = 1 << 96


@dataclass(frozen=True, slots=True)
class Databases:
    """The projection may be deleted; the primary data may not."""

    index: Engine
    primary: Engine

    def close(self) -> None:
        """Let go of every connection."""
        self.index.dispose()
        self.primary.dispose()


def open_chain(settings: Settings, home: Home, deployment: Deployment | None = None) -> ChainLink:
    """The chain of the settings; Conflict when another process holds an embedded one."""
    chosen = settings.chain
    if isinstance(chosen, EmbeddedChain):
        from registry.chain.blocks import Genesis
        from registry.chain.embedded import EmbeddedChain as Chain

        alloc = tuple((address, _DEVELOPMENT_COIN) for address in funded(home))
        return Chain(home.chain, Genesis(chosen.chain_id, alloc))
    return open_node(chosen, deployment)


def open_node(chosen: RpcChain, deployment: Deployment | None = None) -> "Node":
    """The nodes of these settings; with a deployment, one of another chain is refused before all else."""
    from registry.chain.rpc import RpcChain as Node

    addresses = [url.strip() for url in chosen.url.split(",") if url.strip()]
    return Node(
        [url for url in addresses if not url.startswith("ws")],
        confirmations=chosen.confirmations,
        chain_id=deployment.chain_id if deployment else None,
        genesis_hash=deployment.genesis_hash if deployment else None,
        websockets=[url for url in addresses if url.startswith("ws")],
        poll_s=chosen.poll_s,
        timeout_s=chosen.timeout_s,
    )


def deployment_file(settings: Settings, home: Home) -> Path:
    """Where deployment.json lies."""
    named = settings.chain.deployment_file if isinstance(settings.chain, RpcChain) else None
    return named or home.deployment


def find_deployment(settings: Settings, home: Home) -> Deployment:
    """The deployment of this home; NotFound says how to come by one."""
    return read_deployment(deployment_file(settings, home))


def read_deployment(path: Path) -> Deployment:
    """The deployment of this file; NotFound says how to come by one."""
    try:
        return parse_deployment(strict_json(path.read_bytes()))
    except OSError as e:
        raise NotFound(
            f"there is no deployment {path}: {e.strerror}",
            hint="run `twinledger deploy`, or copy the consortium's deployment.json there",
        ) from e


def open_store(settings: Settings, folder: Path, *, owner: str) -> ContentStore:
    """A content store: packs in `folder`, or Kubo daemons whose pins carry `owner`."""
    chosen = settings.store
    if isinstance(chosen, EmbeddedStore):
        from registry.storage.embedded import EmbeddedStore as Store

        return Store(folder)
    from registry.storage.replicated import open_kubo

    return open_kubo(chosen.api, token_file=chosen.token_file, timeout_s=chosen.timeout_s, owner=owner)


def open_databases(settings: Settings, home: Home) -> Databases:
    """Index and primary database, made where they are missing."""
    return Databases(*(open_database(url, schema=schema) for url, schema in _places(settings, home)))


def databases_to_read(settings: Settings, home: Home) -> Databases:
    """The same for whoever must change nothing; what is missing stays missing."""
    return Databases(*(open_to_read(url, schema=schema) for url, schema in _places(settings, home)))


def folders_written(settings: Settings, home: Home) -> list[Path]:
    """Where this gateway writes on disks of its own; a file may lie on another one than its home."""
    files = [home.log / name for name in (CHAIN, GATEWAY, OPENINGS)]
    if not isinstance(settings.database, Postgresql):
        files += [home.index, home.pool]
    if isinstance(settings.store, EmbeddedStore):
        files.append(home.store / "index.db")
    if isinstance(settings.chain, EmbeddedChain):
        files.append(home.chain / CHAIN_FILE)
    return list(dict.fromkeys(file.resolve().parent for file in files))


def _places(settings: Settings, home: Home) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    chosen = settings.database
    if not isinstance(chosen, Postgresql):
        return (sqlite_url(home.index), None), (sqlite_url(home.pool), None)
    if chosen.dsn_file is None:
        raise Malformed("database is postgresql and postgresql.dsn_file is not set")
    dsn = read_secret(chosen.dsn_file)
    return (dsn, chosen.index_schema), (dsn, chosen.pool_schema)


def funded(home: Home) -> list[Address]:
    """Who has coin in the genesis of the embedded chain of this home."""
    try:
        return [to_address(text) for text in json.loads(_alloc(home).read_text())]
    except FileNotFoundError:
        return []


def fund(home: Home, addresses: list[Address]) -> None:
    """Say, before the first block, who has coin."""
    write_private(_alloc(home), json.dumps(addresses) + "\n")


def _alloc(home: Home) -> Path:
    return home.root / "genesis.json"
