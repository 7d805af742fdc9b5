"""A chain that takes back what a gateway projected: fee market, storage market and reward pool among it.

Below the confirmations it is undone, and the gateway is the same as one that never saw it; beyond them it
stops.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from nodes import RICH, ask
from processes import keep_key
from sqlalchemy import select, update

from incentives.payouts import Payout, PayoutTable, Scope
from registry.chain.deploy import FeeSettings, Settings, StorageSettings, deploy
from registry.chain.deployment import deployment_json
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts, version_tuple
from registry.chain.rpc import RpcChain
from registry.chain.seal import encode_seal
from registry.chain.sender import Sender
from registry.cli.context import Globals
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.core.ids import FeeClass, Role, hex32, keccak, name_hash
from registry.core.signing import KeySigner
from registry.core.version import NO_SALT, Submission, Version, submission_digest
from registry.database import reading, writing
from registry.errors import ChainReorganised
from registry.index.schema import CHAIN_TABLES, blocks
from registry.pool import Entry, PoolState
from registry.wiring.alone import gateway_alone
from registry.wiring.examining import examine
from registry.wiring.gateway import Gateway

ANA, BO = KeySigner(keccak(b"ana")), KeySigner(keccak(b"bo"))
DEVICES = [KeySigner(keccak(b"device %d" % n)).address for n in range(2)]
MINERS = [KeySigner(keccak(b"miner %d" % n)) for n in range(3)]
SLOT_S, EPOCH, FAILED, SHOWN = 100, 4, 1, 0b110
FEES = FeeSettings(
    slots_per_epoch=EPOCH, slot_s=SLOT_S, eta=2, eps=1, g_h=40, g_l=10, tau0_h=12, tau0_l=5,
    slot_bytes=100_000, turn_slots=2, grace_slots=0, post_slots=2, max_item_bytes=50_000,
)  # fmt: skip
STORAGE = StorageSettings(audit_slots=8, minimum_bond=1_000, penalty=600)
# What the dropped branch holds, and the other one does not.
DROPPED = {
    "BacklogPosted", "EpochClosed", "RebatePaid", "RebatesCompleted", "BeaconDrawn", "Attested",
    "VerdictReached", "Penalised", "CreditForfeited", "Registered", "VersionCancelled", "AliasSet",
    "StatusChanged", "TaskOpened", "RoundBegun", "RoundSettled", "PayoutClaimed", "Withdrawn",
}  # fmt: skip


class Town:
    """A consortium on anvil: two submitters, two devices, three miners; RICH is everybody else."""

    def __init__(self, url: str, link: RpcChain) -> None:
        self.url, self.link = url, link
        settings = Settings(fees=FEES, storage=STORAGE)
        self.deployment = deploy(link, RICH, settings, [RICH.address], 1)
        self.contracts = Contracts(link, self.deployment)
        for who, namespace, roles in (
            (RICH.address, "local", Role.SPONSOR | Role.AGGREGATOR),
            (ANA.address, "alpha", Role.SUBMITTER),
            (BO.address, "beta", Role.SUBMITTER),
            *((device, "devices", Role.DEVICE) for device in DEVICES),
            *((miner.address, f"mine{n}", Role.MINER) for n, miner in enumerate(MINERS)),
        ):
            self.council("Consortium", "admit", who, namespace, int(roles))
        for who in (ANA, BO):
            self.send(RICH, "TwinRegistry", "deposit", who.address, value=10**12)
        for miner in MINERS:
            self.send(RICH, "StorageMarket", "bond", miner.address, value=STORAGE.minimum_bond)
        self.council("StorageMarket", "setPrices", [m.address for m in MINERS], [7, 5, 9])
        self.start = int(self.contracts.read("TwinRegistry", "start"))

    def send(self, who: KeySigner, contract: str, function: str, *args: object, value: int = 0) -> int:
        """Answers the block that it is in."""
        payload = encode_call(contract, function, args)
        receipt = Sender(self.link, who).send(self.contracts.address(contract), payload, value, gas=5_000_000)
        assert receipt.succeeded, (contract, function)
        return receipt.block_number

    def council(self, target: str, function: str, *args: object) -> None:
        call = encode_call(target, function, args)
        self.send(RICH, "Consortium", "propose", self.contracts.address(target), call, "because")

    @property
    def now(self) -> int:
        return self.link.head().time

    def wait_until(self, moment: int) -> None:
        if moment > self.now:
            ask(self.url, "evm_setNextBlockTimestamp", moment)
            ask(self.url, "evm_mine")

    def next_epoch(self) -> int:
        """Let the present epoch end; answers its number."""
        epoch = self.contracts.slot_at(self.now) // EPOCH
        self.wait_until(self.start + (epoch + 1) * EPOCH * SLOT_S)
        return epoch

    def mine(self, count: int) -> None:
        ask(self.url, "anvil_mine", hex(count))

    def entry(self, who: KeySigner, label: str, *, high: bool = False) -> Entry:
        namespace = self.contracts.account(who.address).namespace_id
        digest = keccak(label.encode())
        version = Version(namespace, name_hash(label), digest, digest, (), 1_000, NO_SALT, who.address)
        fee_class = FeeClass.PRIORITY if high else FeeClass.STANDARD
        submission = Submission(version, fee_class, 10**6, self.now, self.now + 80_000)
        signature = who.sign_hash(submission_digest(self.contracts.domain, submission))
        return Entry(submission, signature, f"ns/{label}", submission.reserve, self.now)

    def seal(self, miner: KeySigner, *entries: Entry) -> None:
        payload = encode_seal([e.submission for e in entries], [e.signature for e in entries])
        registry = self.contracts.address("TwinRegistry")
        assert Sender(self.link, miner).send(registry, payload, gas=5_000_000).succeeded

    def close(self, epoch: int, *, high: int, every: int) -> None:
        """All miners post, anybody closes and pays the rebates."""
        for miner in MINERS:
            self.send(miner, "TwinRegistry", "post", epoch, high, every)
        self.send(BO, "TwinRegistry", "close", epoch)
        self.send(BO, "TwinRegistry", "payRebates", epoch, 10)

    def reward(self, thetas: tuple[int, ...]) -> None:
        """A task, opened, begun, settled and claimed by one of its devices."""
        pool, rate = "RewardPool", 10**12
        opened = self.now
        terms = (0, 1, 4, 0, rate, 100, opened + 50, opened + 100, opened + 10_000, RICH.address, 1_000)
        given = (keccak(b"model"), (*terms, keccak(b"parameters")), [], [])
        self.send(RICH, pool, "openTask", *given, value=4 * rate)
        self.wait_until(opened + 101)
        self.send(RICH, pool, "beginRound", 1, 0, keccak(b"evaluation"))
        payouts = [
            Payout(d, rate * (10**6 - t) // 10**6, (rate, t)) for d, t in zip(DEVICES, thetas, strict=True)
        ]
        scope = Scope(self.contracts.domain.chain_id, self.contracts.address(pool), 1, 0)
        table = PayoutTable(scope, payouts)
        file = b"\x01\x55\x12\x20" + keccak(b"file")
        settled = (1, 0, table.root, table.total, len(payouts), file)
        self.send(RICH, pool, "settle", *settled, value=1_000)
        self.wait_until(self.now + 101)
        one = table.payout(DEVICES[0])
        leaf = (one.account, one.amount, one.detail_bytes, list(table.proof(DEVICES[0])))
        self.send(BO, pool, "claim", 1, 0, [leaf])


@pytest.fixture
def town(engine: Callable[[str], Any], connect: Callable[..., RpcChain]) -> Town:
    url = engine("anvil").start()["TWINLEDGER_ANVIL"]
    return Town(url, connect(url, timeout_s=60.0))


def home_of(town: Town, folder: Path, confirmations: int) -> Home:
    home = Home(folder).make()
    keep_key(home.root, "gateway", folder.name)
    (home.root / "deployment.json").write_text(json.dumps(deployment_json(town.deployment)))
    chain = f'[rpc]\nurl = "{town.url}"\npoll_s = 0.05\nconfirmations = {confirmations}\n'
    (home.root / "twinledger.toml").write_text(f'chain = "rpc"\n{chain}')
    return home


@contextmanager
def serving(home: Home) -> Iterator[tuple[Gateway, str]]:
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    with ExitStack() as stack:
        gateway, listener, url = stack.enter_context(gateway_alone(home, settings))
        stack.enter_context(in_background(gateway.service, settings, listener))
        yield gateway, url


def wait_until(holds: Callable[[], bool]) -> None:
    """The limit only keeps a broken test from hanging the run."""
    end = time.monotonic() + 240
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)


def is_at_head(gateway: Gateway, town: Town) -> bool:
    tip, head = gateway.service.index.tip(), town.link.head()
    return tip is not None and (tip.number, tip.hash) == (head.number, head.hash)


def state_of(gateway: Gateway, entry: Entry) -> PoolState | None:
    held = gateway.pool.get(entry.version_id)
    return None if held is None else held.state


def names(gateway: Gateway) -> set[str]:
    with reading(gateway.databases.index) as connection:
        return set(connection.execute(select(CHAIN_TABLES[0].c.name)).scalars())


def contents(gateway: Gateway) -> dict[str, object]:
    """Everything that follows from the chain: projection, chain log, account statements."""
    found: dict[str, object] = {}
    with reading(gateway.databases.index) as connection:
        for table in CHAIN_TABLES:
            rows = connection.execute(select(table).order_by(*table.c))
            found[table.name] = [tuple(row) for row in rows]
        busy = select(CHAIN_TABLES[0].c.block)
        marks = select(blocks).where(blocks.c.number.in_(busy)).order_by(blocks.c.number)
        found["blocks"] = [tuple(row) for row in connection.execute(marks)]
    log = gateway.logs.chain
    found["chain log"] = [record.raw for record in log.entries(0, len(log))]
    for who in (ANA.address, BO.address, *(miner.address for miner in MINERS), *DEVICES):
        page = gateway.service.statements.of(who, cursor=None, limit=1_000)
        found[f"statement of {who}"] = page.items
    return found


def check_same(town: Town, gateway: Gateway, fresh: Home) -> None:
    """What a gateway that saw only this chain holds, and statements that end in the chain's balances."""
    with serving(fresh) as (other, _url):
        wait_until(lambda: is_at_head(gateway, town) and is_at_head(other, town))
        other.keeper.feed()
        gateway.keeper.feed()
        mine, wanted = contents(gateway), contents(other)
    for name in wanted:
        assert mine[name] == wanted[name], name
    for who in (ANA, BO):
        items = gateway.service.statements.of(who.address, cursor=None, limit=1_000).items
        assert sum(item.amount for item in items) == town.contracts.account(who.address).balance


def doomed(town: Town, sealed: Entry) -> None:
    """The branch that will be dropped: an epoch with everything that can be in one, and a task."""
    cancelled = town.entry(ANA, "cancelled")
    town.send(ANA, "TwinRegistry", "cancel", version_tuple(cancelled.submission.version))
    town.seal(MINERS[0], sealed, town.entry(BO, "hurried", high=True))
    version = version_tuple(sealed.submission.version)
    town.send(ANA, "TwinRegistry", "setAlias", version, "champion")
    town.send(ANA, "TwinRegistry", "setStatus", version, 2, "old")
    town.send(ANA, "TwinRegistry", "withdraw", 5_000)
    epoch = town.next_epoch()
    town.close(epoch, high=0b0010, every=0b0110)
    for peer in MINERS[1:]:
        town.send(peer, "StorageMarket", "attest", epoch, MINERS[0].address, FAILED, SHOWN)
    town.reward((400_000, 200_000))


def other_branch(town: Town) -> None:
    """What happened instead: other versions, an epoch with another backlog, a task with other payouts."""
    town.seal(MINERS[1], town.entry(BO, "instead"), town.entry(ANA, "too", high=True))
    town.close(town.next_epoch(), high=0, every=0)
    town.reward((300_000, 700_000))
    town.seal(MINERS[2], town.entry(ANA, "later"))


def test_a_reorganisation_below_the_confirmations_leaves_no_trace(town: Town, tmp_path: Path) -> None:
    home = home_of(town, tmp_path / "one", confirmations=80)
    with serving(home) as (gateway, _url):
        before = town.link.head().number
        first = town.entry(ANA, "first")
        gateway.pool.add([first])
        doomed(town, first)
        wait_until(lambda: is_at_head(gateway, town))
        assert names(gateway) >= DROPPED, DROPPED - names(gateway)
        assert state_of(gateway, first) == PoolState.SEALED
        depth = town.link.head().number - before
        assert depth <= 80
        ask(town.url, "anvil_reorg", depth, [])
        wait_until(lambda: is_at_head(gateway, town))
        assert state_of(gateway, first) == PoolState.PENDING
        assert not names(gateway) & {"EpochClosed", "TaskOpened", "Penalised", "Registered"}
        other_branch(town)
        town.mine(81)
        check_same(town, gateway, home_of(town, tmp_path / "two", confirmations=80))
        assert state_of(gateway, first) == PoolState.PENDING


def test_a_gateway_that_has_just_caught_up_knows_how_deep_a_reorganisation_is(
    town: Town, tmp_path: Path
) -> None:
    town.mine(50)
    home = home_of(town, tmp_path / "one", confirmations=3)
    with serving(home) as (gateway, _url):
        wait_until(lambda: is_at_head(gateway, town))
        ask(town.url, "anvil_reorg", 3, [])
        wait_until(lambda: is_at_head(gateway, town))
        assert gateway.service.follower.end is None


def wrong_in(home: Home) -> set[str]:
    settings = load_settings(home, {}, folder=home.root).settings
    return {finding.part for finding in examine(home, settings, Globals()) if finding.is_wrong}


def test_the_doctor_compares_the_projection_of_a_gateway_at_work(town: Town, tmp_path: Path) -> None:
    home = home_of(town, tmp_path / "one", confirmations=3)
    with serving(home) as (gateway, _url):
        wait_until(lambda: is_at_head(gateway, town))
        gateway.keeper.feed()
        assert wrong_in(home) == set()
        with writing(gateway.databases.index) as connection:
            connection.execute(update(blocks).values(time=blocks.c.time + 1))
        assert wrong_in(home) == {"projection"}


def status_of(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_a_reorganisation_beyond_the_confirmations_stops_the_gateway_until_a_new_origin(
    town: Town, tmp_path: Path
) -> None:
    home = home_of(town, tmp_path / "one", confirmations=3)
    with serving(home) as (gateway, url):
        before = town.link.head()
        doomed(town, town.entry(ANA, "first"))
        wait_until(lambda: is_at_head(gateway, town))
        gateway.keeper.feed()
        old = contents(gateway)
        lost = town.link.block(before.number + 1).hash
        ask(town.url, "anvil_reorg", town.link.head().number - before.number, [])
        other_branch(town)
        wait_until(lambda: gateway.service.follower.end is not None)
        code, body = status_of(f"{url}/v1/fees/menu")
        assert (code, json.loads(body)["code"]) == (503, "chain_reorganised")
        assert status_of(f"{url}/healthz")[0] == 200
        code, body = status_of(f"{url}/readyz")
        assert code == 503 and "chain_reorganised" in body
        with pytest.raises(ChainReorganised):
            gateway.keeper.feed()
        assert contents(gateway) == old, "what was final stands as it was, and grows no further"
        own = gateway.logs.gateway.log
        wait_until(lambda: own.entry(len(own) - 1).entry.kind == "reorganised")
        said = dict(own.entry(len(own) - 1).entry.details)
        assert said == {
            "block": before.number + 1,
            "old_hash": hex32(lost),
            "new_hash": hex32(town.link.block(before.number + 1).hash),
        }
        origin, size = own.origin, len(own)
    with pytest.raises(ChainReorganised), serving(home):
        pass
    # As docs/operations.md says.
    for name in ("index.db", "log/chain.db"):
        for file in home.root.glob(f"{name}*"):
            file.unlink()
    with (home.root / "twinledger.toml").open("a") as file:
        file.write('[log]\norigin = "gateway/after"\n')
    town.mine(4)
    with serving(home) as (gateway, _url):
        begun = gateway.logs.gateway.log.entry(0).entry
        assert begun.kind == "origin_continued"
        assert begun.details["origin"] == origin
        assert int(str(begun.details["size"])) > size, "it ended with what the restart saw, and a stop"
        check_same(town, gateway, home_of(town, tmp_path / "two", confirmations=3))
