"""The settings: every key, its type, its default and what it is for.

These dataclasses are the only list: the loader, `twinledger config` and docs/settings.md come from them.
"""

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

Mode = Literal["auto", "open", "members"]


@dataclass(frozen=True, slots=True)
class About:
    """What a setting is for and, for numbers, its limits."""

    doc: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedChain:
    """`chain = "embedded"`: py-evm in this process, kept in HOME/chain."""

    chain_id: Annotated[int, About("chain id of a new embedded chain", low=1, high=2**53 - 1)] = 842_001


@dataclass(frozen=True, slots=True)
class RpcChain:
    """`chain = "rpc"`: an Ethereum JSON-RPC node."""

    url: Annotated[
        str,
        About("HTTP addresses of nodes, comma-separated: one stands in for another; ws:// ones only wake"),
    ] = "http://127.0.0.1:8545"
    deployment_file: Annotated[Path | None, About("deployment.json, if it is not HOME's")] = None
    confirmations: Annotated[
        int, About("blocks above a block before it is final; 0 on QBFT", low=0, high=10_000)
    ] = 0
    poll_s: Annotated[float, About("seconds between looks at the head", low=0.05, high=3_600)] = 1.0
    timeout_s: Annotated[float, About("seconds before an unanswered call is given up", low=1, high=3_600)] = (
        30.0
    )


@dataclass(frozen=True, slots=True)
class EmbeddedStore:
    """`store = "embedded"`: packs in HOME/store; nothing to set."""


@dataclass(frozen=True, slots=True)
class KuboStore:
    """`store = "kubo"`: the RPC API of real IPFS daemons."""

    api: Annotated[
        tuple[str, ...],
        About("multiaddresses of the daemons' RPC APIs: the first is written, the others follow"),
    ] = ("/ip4/127.0.0.1/tcp/5001/http",)
    token_file: Annotated[Path | None, About("file with the token of `API.Authorizations`")] = None
    timeout_s: Annotated[
        float, About("seconds before an unanswered call is given up", low=1, high=86_400)
    ] = 60.0


@dataclass(frozen=True, slots=True)
class Sqlite:
    """`database = "sqlite"`: HOME/index.db and HOME/pool.db; nothing to set."""


@dataclass(frozen=True, slots=True)
class Postgresql:
    """`database = "postgresql"`: one server, two schemas."""

    dsn_file: Annotated[Path | None, About("file with the connection string; needed")] = None
    index_schema: Annotated[str, About("schema of the projection")] = "twinledger_index"
    pool_schema: Annotated[str, About("schema of the primary data")] = "twinledger_pool"


@dataclass(frozen=True, slots=True)
class Api:
    """The HTTP server."""

    host: Annotated[str, About("address to listen on")] = "127.0.0.1"
    port: Annotated[int, About("port to listen on; 0 takes a free one", low=0, high=65_535)] = 8420
    public_url: Annotated[str, About("address under which clients reach the API, if it is another one")] = ""
    tls_certificate_file: Annotated[Path | None, About("PEM file with the certificate chain")] = None
    tls_key_file: Annotated[Path | None, About("PEM file with the certificate's key")] = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read: `open` to anyone, `members` who sign, or `auto`: open on loopback, else members."""

    content: Annotated[Mode, About("content by CID, uploads included, and /ipfs")] = "auto"
    submissions: Annotated[Mode, About("submissions and their states")] = "auto"
    models: Annotated[Mode, About("search, models, versions, manifests, files, lineage")] = "auto"
    members: Annotated[Mode, About("members, cells, grants, proposals")] = "auto"
    accounts: Annotated[Mode, About("accounts and statements")] = "auto"
    fees: Annotated[Mode, About("menu, quotes, epochs, miners, deployment")] = "auto"
    tasks: Annotated[Mode, About("tasks and payouts")] = "auto"
    services: Annotated[Mode, About("offers, awards and payments of other services")] = "auto"
    audit: Annotated[Mode, About("events, proofs, timelines, evidence")] = "auto"
    log: Annotated[Mode, About("log tiles and checkpoints")] = "auto"
    metrics: Annotated[Mode, About("/metrics")] = "auto"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for."""

    file_bytes: Annotated[int, About("largest file of an upload", low=1)] = 4 << 30
    item_bytes: Annotated[int, About("largest version that is admitted, manifest included", low=1)] = 4 << 30
    body_bytes: Annotated[int, About("largest JSON body", low=1 << 10)] = 8 << 20
    requests_per_s: Annotated[float, About("requests of one caller per second, on average", low=0.1)] = (
        1_000.0
    )
    request_burst: Annotated[int, About("requests of one caller at once", low=1)] = 5_000


@dataclass(frozen=True, slots=True)
class Quotas:
    """What callers may leave with the gateway before a submission names it."""

    anonymous_bytes: Annotated[int, About("unnamed bytes of all unsigned uploads", low=0)] = 1 << 30
    caller_bytes: Annotated[int, About("unnamed bytes of one member", low=0)] = 16 << 30
    all_bytes: Annotated[int, About("unnamed bytes in all", low=0)] = 64 << 30
    unnamed_s: Annotated[int, About("seconds after which unnamed bytes are collected", low=1)] = 3_600
    pending_per_member: Annotated[int, About("pending submissions of one member", low=1)] = 10_000
    pending_in_all: Annotated[int, About("pending submissions in all", low=1)] = 100_000


@dataclass(frozen=True, slots=True)
class Fees:
    """Constructor values of TwinRegistry, read by `deploy` and by the first `up`; fixed from then on."""

    slots_per_epoch: Annotated[int, About("K: slots of an epoch", low=1, high=128)] = 64
    slot_s: Annotated[
        int, About("seconds of a slot; elsewhere than embedded the block period", low=1, high=86_400)
    ] = 1
    eta: Annotated[int, About("shift of the moving average of the waiting tax", low=0, high=32)] = 6
    run_cap: Annotated[int, About("longest backlog run that counts, in slots", low=1, high=2**32 - 1)] = 128
    eps: Annotated[int, About("price step between the classes, wei per byte", low=1, high=2**53 - 1)] = 1
    g_h: Annotated[int, About("waiting cost of class H, wei per byte and slot", low=0, high=2**53 - 1)] = 20
    g_l: Annotated[int, About("waiting cost of class L, wei per byte and slot", low=0, high=2**53 - 1)] = 5
    tau0_h: Annotated[
        int, About("waiting tax of class H at the start, wei per byte", low=0, high=2**53 - 1)
    ] = 0
    tau0_l: Annotated[
        int, About("waiting tax of class L at the start, wei per byte", low=0, high=2**53 - 1)
    ] = 0
    slot_bytes: Annotated[
        int, About("bytes that a slot adds to the sealing budget", low=1, high=2**53 - 1)
    ] = 64 << 20
    turn_slots: Annotated[int, About("slots of one miner's turn", low=1, high=2**32 - 1)] = 4
    grace_slots: Annotated[int, About("slots of a turn that its miner has alone", low=0, high=2**32 - 1)] = 2
    post_slots: Annotated[
        int, About("slots after an epoch in which miners may post", low=0, high=2**32 - 1)
    ] = 4
    max_item_bytes: Annotated[
        int, About("largest version that the contract takes", low=1, high=2**53 - 1)
    ] = 4 << 30


@dataclass(frozen=True, slots=True)
class Storage:
    """Constructor values of StorageMarket, read like those of `fees`."""

    price: Annotated[int, About("c[m] of the first miners, wei per byte", low=0, high=2**53 - 1)] = 10
    retention_epochs: Annotated[
        int, About("epochs for which every miner keeps a version", low=1, high=2**53 - 1)
    ] = 1_350
    audit_slots: Annotated[
        int, About("slots after the beacon until an audit is closed", low=1, high=2**32 - 1)
    ] = 32


@dataclass(frozen=True, slots=True)
class Gateway:
    """Who this gateway is."""

    key_file: Annotated[
        Path | None, About("keystore of the gateway's account, if it is not HOME/keys/gateway.json")
    ] = None
    password_file: Annotated[Path | None, About("file with its passphrase")] = None
    peers: Annotated[
        tuple[str, ...],
        About("gateways and miners from whose /ipfs the content of sealed versions is fetched"),
    ] = ()
    log_key_file: Annotated[
        Path | None, About("file with the log's Ed25519 key; made in HOME/keys if absent")
    ] = None


@dataclass(frozen=True, slots=True)
class Log:
    """The transparency logs."""

    origin: Annotated[str, About("origin of the gateway log; from the registry's address if empty")] = ""
    witnesses: Annotated[
        tuple[str, ...], About("witnesses asked to co-sign the gateway log, each `VERIFIER_KEY URL`")
    ] = ()
    cosigned: Annotated[
        tuple[str, ...], About("gateway logs of others to co-sign here, each `VERIFIER_KEY URL`")
    ] = ()
    merge_delay_s: Annotated[
        int, About("seconds within which a promised entry is in the log", low=1, high=86_400)
    ] = 10
    checkpoint_s: Annotated[float, About("seconds between checkpoints", low=0.05, high=3_600)] = 1.0
    anchor_slots: Annotated[int, About("slots between anchors on chain", low=1, high=2**32 - 1)] = 64
    openings_days: Annotated[
        int, About("days for which openings of commitments are kept", low=0, high=36_500)
    ] = 90


@dataclass(frozen=True, slots=True)
class Miner:
    """`twinledger miner run`; its content lies in HOME/store, or where `store` says."""

    key_file: Annotated[
        Path | None, About("keystore of the miner's account, if it is not HOME/keys/miner.json")
    ] = None
    password_file: Annotated[Path | None, About("file with its passphrase")] = None
    gateways: Annotated[tuple[str, ...], About("addresses of the gateways whose pools are served")] = ()
    peers: Annotated[
        tuple[str, ...], About("other miners as ADDRESS=URL, whose content this one audits")
    ] = ()
    host: Annotated[str, About("address on which /ipfs/{cid} is served")] = "127.0.0.1"
    port: Annotated[int, About("its port; 0 takes a free one", low=0, high=65_535)] = 0
    pin_timeout_s: Annotated[
        float, About("seconds after which pinning one item is given up for now", low=0.1)
    ] = 60.0
    poll_s: Annotated[float, About("seconds between looks at the pools", low=0.01, high=3_600)] = 0.5


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What services write on stderr."""

    format: Annotated[Literal["text", "json"], About("lines for a person, or one JSON object per line")] = (
        "text"
    )
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        About("least important lines that are written; each request is an `info`"),
    ] = "warning"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    chain: EmbeddedChain | RpcChain = field(default_factory=EmbeddedChain)
    store: EmbeddedStore | KuboStore = field(default_factory=EmbeddedStore)
    database: Sqlite | Postgresql = field(default_factory=Sqlite)
    api: Api = field(default_factory=Api)
    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    quotas: Quotas = field(default_factory=Quotas)
    fees: Fees = field(default_factory=Fees)
    storage: Storage = field(default_factory=Storage)
    gateway: Gateway = field(default_factory=Gateway)
    log: Log = field(default_factory=Log)
    miner: Miner = field(default_factory=Miner)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)

    def is_open(self, group: str) -> bool:
        """Whether unsigned requests of this route group (a field of `Access`) are served."""
        mode: Mode = getattr(self.access, group)
        return mode == "open" or (mode == "auto" and is_loopback(self.api.host))


@lru_cache  # every unsigned request asks it of the same address
def is_loopback(host: str) -> bool:
    """Whether a server bound to this host can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
