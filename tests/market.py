"""A fee market under a clock that the test turns: real contracts, stores, pool; miners stepped by hand."""

import atexit
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from typing import Any

from incentives.backlog import DelayCosts
from incentives.ledger import Rules
from incentives.market_events import MarketEvent
from incentives.recount import Recount
from miners.node import LocalSource, MinerNode, Peer, StorePeer
from registry.chain.base import Receipt
from registry.chain.blocks import Genesis
from registry.chain.deploy import FeeSettings, Settings, StorageSettings, deploy
from registry.chain.deployment import deployment_json, parse_deployment
from registry.chain.embedded import EmbeddedChain
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts, version_tuple
from registry.chain.seal import encode_seal
from registry.chain.sender import Sender
from registry.core.cid import Cid
from registry.core.ids import Address, FeeClass, Role, VersionId, keccak, name_hash
from registry.core.manifest import FileEntry, build_manifest
from registry.core.signing import KeySigner
from registry.core.version import NO_SALT, Submission, Version, submission_digest
from registry.database import open_database, sqlite_url
from registry.errors import Unavailable
from registry.pool import Entry, Pool, PoolState
from registry.storage.embedded import EmbeddedStore

SLOT_S = 100
START = 1_900_000_000
RICH = 10**24
FEES = FeeSettings(
    slots_per_epoch=4,
    slot_s=SLOT_S,
    eta=2,
    run_cap=64,
    eps=1,
    g_h=40,
    g_l=10,
    tau0_h=12,
    tau0_l=5,
    slot_bytes=100_000,
    turn_slots=2,
    grace_slots=1,
    post_slots=2,
    max_item_bytes=50_000,
)
STORAGE = StorageSettings(audit_slots=8, retention_epochs=1 << 20, minimum_bond=1_000, penalty=600)


_MADE: dict[tuple[FeeSettings, StorageSettings], Path] = {}


def made(folder: Path, *, fees: FeeSettings = FEES, storage: StorageSettings = STORAGE) -> "Market":
    """A market as it was just founded; the second one with the same terms is a copy of the first."""
    first = _MADE.get((fees, storage))
    if first is None:
        first = _MADE[fees, storage] = Path(mkdtemp(prefix="market-"))
        atexit.register(rmtree, first, ignore_errors=True)
        Market(first, fees, storage).close()
    copytree(first, folder, dirs_exist_ok=True)
    return Market(folder, fees, storage)


def key(name: str) -> KeySigner:
    return KeySigner(keccak(name.encode()))


COUNCIL, ANA, BO, CY = (key(name) for name in ("council", "ana", "bo", "cy"))
MINERS = tuple(key(f"miner {n}") for n in range(3))


class Clock:
    """Time stands until the test moves it."""

    def __init__(self) -> None:
        self.at = float(START)

    def __call__(self) -> float:
        return self.at


@dataclass
class Line:
    """A peer whose line can be cut."""

    peer: Peer
    is_cut: bool = False

    def block(self, cid: Cid) -> bytes:
        if self.is_cut:
            raise Unavailable("the line is cut")
        return self.peer.block(cid)


@dataclass
class Market:
    """One consortium: ANA in alpha, BO in beta, CY in gamma, three miners at 7, 5 and 9 wei per byte."""

    folder: Path
    fees: FeeSettings = FEES
    storage: StorageSettings = STORAGE
    clock: Clock = field(default_factory=Clock)
    gone: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        people = (COUNCIL, ANA, BO, CY, *MINERS)
        genesis = Genesis(4711, tuple((who.address, RICH) for who in people))
        self.link = EmbeddedChain(self.folder / "chain", genesis, clock=self.clock)
        kept = self.folder / "deployment.json"
        is_new = not kept.exists()
        if is_new:
            settings = Settings(fees=self.fees, storage=self.storage)
            made = deploy(self.link, COUNCIL, settings, [COUNCIL.address], 1)
            kept.write_text(json.dumps(deployment_json(made)))
        self.contracts = Contracts(self.link, parse_deployment(json.loads(kept.read_text())))
        self.start = int(self.contracts.read("TwinRegistry", "start"))
        self.pool = Pool(open_database(sqlite_url(self.folder / "pool.db")))
        self.store = EmbeddedStore(self.folder / "store")
        self.stores = [EmbeddedStore(self.folder / f"miner{n}") for n in range(len(MINERS))]
        self.lines = {m.address: Line(StorePeer(s)) for m, s in zip(MINERS, self.stores, strict=True)}
        if is_new:
            self._populate()
        self.nodes = [self.node(n) for n in range(len(MINERS))]
        self._followed = 0

    def node(self, number: int) -> MinerNode:
        """A miner's process; made again after it died, it finds its store as it was."""
        source = LocalSource(self.pool, self.store)
        return MinerNode(self.contracts, MINERS[number], self.stores[number], source, peers=dict(self.lines))

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        for store in (self.store, *self.stores):
            store.close()
        self.link.close()

    # ------------------------------------------------------------------ doing

    def send(self, who: KeySigner, contract: str, function: str, *args: object, value: int = 0) -> Receipt:
        payload = encode_call(contract, function, args)
        return Sender(self.link, who).send(self.contracts.address(contract), payload, value)

    def council(self, target: str, function: str, *args: object) -> Receipt:
        call = encode_call(target, function, args)
        return self.send(COUNCIL, "Consortium", "propose", self.contracts.address(target), call, "because")

    def deposit(self, who: KeySigner, wei: int) -> None:
        self.send(COUNCIL, "TwinRegistry", "deposit", who.address, value=wei)

    def version(
        self, who: KeySigner, label: str, size: int = 2_000, parents: Sequence[VersionId] = ()
    ) -> Version:
        """A version whose content the gateway holds."""
        namespace_id = self.contracts.account(who.address).namespace_id
        content = (label.encode() * (size // len(label) + 1))[:size]
        stored = self.store.put([content])
        root = self.store.put_directory({"w.safetensors": stored})
        file = FileEntry("w.safetensors", stored.cid, stored.sha256, stored.size, "safetensors")
        manifest = build_manifest("ns", label, [file], tuple(parents), {"description": label})
        self.store.put([manifest.bytes])
        return Version(
            namespace_id=namespace_id,
            name_hash=name_hash(label),
            weights_root=root.cid.digest,
            manifest=manifest.digest,
            parents=tuple(parents),
            size=manifest.size,
            salt=NO_SALT,
            submitter=who.address,
        )

    def submit(
        self, who: KeySigner, label: str, *, high: bool = False, max_price: int = 10**6, **given: Any
    ) -> Version:
        """Put a signed submission into the pool, past every check of a gateway."""
        version = self.version(who, label, **given)
        now = self.link.pending_time()
        fee_class = FeeClass.PRIORITY if high else FeeClass.STANDARD
        submission = Submission(version, fee_class, max_price, now, now + 80_000)
        signature = who.sign_hash(submission_digest(self.contracts.domain, submission))
        self.pool.add([Entry(submission, signature, f"ns/{label}", submission.reserve, now)])
        return version

    def seal(self, miner: KeySigner, *versions: Version) -> Receipt:
        """One miner seals these, past its own node."""
        entries = [self.entry(version) for version in versions]
        payload = encode_seal([e.submission for e in entries], [e.signature for e in entries])
        return Sender(self.link, miner).send(self.contracts.address("TwinRegistry"), payload, gas=5_000_000)

    def entry(self, version: Version) -> Entry:
        found = self.pool.get(version.id)
        assert found is not None
        return found

    # ------------------------------------------------------------------ time

    @property
    def slot(self) -> int:
        return self.contracts.slot_at(self.link.pending_time())

    @property
    def epoch(self) -> int:
        return self.slot // self.fees.slots_per_epoch

    def go(self, slot: int) -> None:
        """Let the next block be in this slot."""
        self.clock.at = max(self.clock.at, float(self.start + slot * SLOT_S))

    def tick(self, slots: int = 1) -> None:
        """Pass slots one by one; in each every miner that is there looks twice."""
        for _ in range(slots):
            self.look()
            self.go(self.slot + 1)

    def look(self) -> None:
        """Every miner looks in the present slot: once to fetch, once to act on what it holds."""
        for number, node in enumerate(self.nodes):
            if number not in self.gone:
                node.step()
                node.settle(10)
        for number, node in enumerate(self.nodes):
            if number not in self.gone:
                node.step()
        self.follow()

    def follow(self) -> None:
        """What a gateway's follower does for its pool."""
        head = self.link.head().number
        events = self.contracts.events(self._followed + 1, head)
        self._followed = head
        sealed = [event.args["versionId"] for event in events if event.name == "Registered"]
        self.pool.mark([VersionId(version_id) for version_id in sealed], PoolState.SEALED)
        self.pool.expire(self.link.head().time)

    # ------------------------------------------------------------------ looking

    def events(self, *names: str) -> list[Any]:
        found = self.contracts.events(self.contracts.deployment.start_block, self.link.head().number)
        return [event for event in found if event.name in names or not names]

    def is_sealed(self, version: Version) -> bool:
        return self.contracts.record(version.id) is not None

    def balance(self, who: KeySigner) -> int:
        return self.contracts.account(who.address).balance

    def credits(self, who: KeySigner) -> int:
        """Earned and not collected."""
        open_epoch = self.contracts.open_epoch().epoch
        return sum(
            self.contracts.read("TwinRegistry", "creditOf", who.address, epoch)
            for epoch in {e.args["epoch"] for e in self.events("BatchSealed")}
            if epoch <= open_epoch
        )

    def recount(self) -> Recount:
        """The reference ledger after every event of this chain."""
        fees = self.fees
        rules = Rules(
            DelayCosts(high=fees.g_h, low=fees.g_l, run_cap=fees.run_cap),
            eps=fees.eps,
            eta=fees.eta,
            tau0=(fees.tau0_h, fees.tau0_l),
        )
        counted = Recount(rules, slots_per_epoch=fees.slots_per_epoch)
        counted.take_all(
            MarketEvent(f"{e.log.block_number}:{e.log.index}", e.contract, e.name, e.args)
            for e in self.events()
        )
        return counted

    def check_money(self) -> None:
        """Every wei of the contracts is somebody's, and the reference ledger agrees to the wei."""
        everyone = (COUNCIL, ANA, BO, CY, *MINERS)
        registry, storage = (self.contracts.address(name) for name in ("TwinRegistry", "StorageMarket"))
        held = sum(self.balance(who) + self.credits(who) for who in everyone)
        pool = self.contracts.read("TwinRegistry", "pool")
        assert held + pool == self.link.balance(registry)
        bonds = sum(self.contracts.read("StorageMarket", "bondOf", m.address) for m in MINERS)
        assert bonds == self.link.balance(storage)
        counted = self.recount()
        assert counted.differences == []
        assert counted.ledger.pool == pool
        assert {w.address: counted.balance(w.address) for w in everyone} == {
            w.address: self.balance(w) for w in everyone
        }

    def _populate(self) -> None:
        for who, namespace in ((ANA, "alpha"), (BO, "beta"), (CY, "gamma")):
            self._admit(who.address, namespace, Role.SUBMITTER)
            self.deposit(who, 10**12)
        for n, miner in enumerate(MINERS):
            self._admit(miner.address, f"mine{n}", Role.MINER)
            self.send(COUNCIL, "StorageMarket", "bond", miner.address, value=self.storage.minimum_bond)
        self.council("StorageMarket", "setPrices", [m.address for m in MINERS], [7, 5, 9])

    def _admit(self, address: Address, namespace: str, roles: Role) -> None:
        self.council("Consortium", "admit", address, namespace, int(roles))


def sizes(versions: Iterable[Version]) -> int:
    return sum(version.size for version in versions)


__all__ = [
    "ANA",
    "BO",
    "COUNCIL",
    "CY",
    "FEES",
    "MINERS",
    "STORAGE",
    "Market",
    "key",
    "made",
    "sizes",
    "version_tuple",
]
