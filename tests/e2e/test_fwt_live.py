"""The whole market over a real socket under a clock that the test turns: waits, taxes, rebates, pay."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import write_weights
from sqlalchemy import text

from miners.node import LocalSource, MinerNode, StorePeer
from registry.chain.blocks import Genesis
from registry.chain.embedded import EmbeddedChain
from registry.cli.app import run
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.core.ids import keccak
from registry.core.signing import KeySigner
from registry.database import writing
from registry.sdk import Client
from registry.sdk.submitting import Work
from registry.storage.embedded import EmbeddedStore
from registry.wiring.backends import funded
from registry.wiring.consortium import create_consortium, make_keys
from registry.wiring.gateway import Gateway, open_gateway
from registry.wiring.up import bind, write_client

SLOTS, SLOT_S = 4, 100
BO = KeySigner(keccak(b"bo of beta"))


class Clock:
    at = 1_900_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Installation:
    home: Home
    gateway: Gateway
    clock: Clock
    nodes: list[MinerNode]
    ana: Client
    bo: Client

    def tick(self, slots: int = 1) -> None:
        """Pass slots; every miner looks twice in each, and the gateway follows."""
        contracts = self.gateway.contracts
        for _ in range(slots):
            for node in self.nodes:
                node.step()
                node.settle(10)
            for node in self.nodes:
                node.step()
            assert self.gateway.service.follower.wait_for(contracts.link.head().number, 30)
            start = int(contracts.read("TwinRegistry", "start"))
            slot = contracts.slot_at(contracts.link.pending_time())
            self.clock.at = max(self.clock.at, float(start + (slot + 1) * SLOT_S))


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    home = Home(tmp_path_factory.mktemp("market") / "home").make()
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    fees = replace(
        settings.fees,
        slots_per_epoch=SLOTS,
        slot_s=SLOT_S,
        eta=1,
        slot_bytes=1_500,
        turn_slots=2,
        grace_slots=1,
        post_slots=2,
    )
    settings = replace(settings, fees=fees, storage=replace(settings.storage, audit_slots=4))
    clock = Clock()
    with ExitStack() as stack:
        listener = stack.enter_context(bind("127.0.0.1", 0))
        keys = make_keys(home)
        alloc = tuple((address, 1 << 96) for address in (*funded(home), BO.address))
        link = EmbeddedChain(home.chain, Genesis(settings.chain.chain_id, alloc), clock=clock)
        stack.callback(link.close)
        deployment = create_consortium(home, settings, link, keys)
        gateway = open_gateway(home, settings, link, deployment, keys.gateway)
        stack.callback(gateway.close)
        gateway.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        write_client(home, deployment, url)
        stack.enter_context(in_background(gateway.service, settings, listener))
        ana = stack.enter_context(Client(home=home.root))
        ana.members.add(BO.address, "beta", ["submitter"], grant=10**15)
        bo = stack.enter_context(Client(url, BO))
        stores = [EmbeddedStore(home.miner_store(n)) for n in (1, 2, 3)]
        peers = {key.address: StorePeer(s) for key, s in zip(keys.miners, stores, strict=True)}
        nodes = []
        for key, store in zip(keys.miners, stores, strict=True):
            source = LocalSource(gateway.pool, gateway.store)
            nodes.append(MinerNode(gateway.contracts, key, store, source, peers=peers))
            stack.callback(store.close)
            stack.callback(nodes[-1].close)
        yield Installation(home, gateway, clock, nodes, ana, bo)


def publish(client: Client, namespace: str, first: int, count: int, folder: Path) -> list[str]:
    works = [
        Work(
            f"{namespace}/m{seed}",
            [write_weights(folder / f"{namespace}{seed}" / "w.safetensors", seed)],
            {"description": f"number {seed}"},
            fee="priority" if seed % 3 == 0 else "standard",
            max_price=100_000,
        )
        for seed in range(first, first + count)
    ]
    sent = client.submit_many(works, wait=False)
    assert [s.state for s in sent] == ["pending"] * count
    return [s.version_id for s in sent]


@pytest.fixture(scope="module")
def story(market: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """More than the slots take, twice; then everything that follows from it."""
    folder = tmp_path_factory.mktemp("files")
    publish(market.ana, "local", 0, 8, folder)
    market.tick(9)
    publish(market.bo, "beta", 100, 6, folder)
    market.tick(16)
    return market


def test_waiting_made_a_tax_that_was_paid_and_given_back(story: Installation) -> None:
    epochs = list(story.ana.fees.epochs())
    taxes = [int(e.menu.standard.tax) for e in epochs if e.menu]
    assert taxes[0] == 0 and max(taxes) > 0
    charged = sum(int(e.tax) for e in epochs)
    back = sum(int(e.rebates.paid) for e in epochs if e.rebates)
    carry = story.gateway.contracts.read("TwinRegistry", "pool")
    assert charged > 0 and charged == back + carry


def test_who_paid_the_tax_does_not_get_his_own_back(story: Installation) -> None:
    sums: dict[str, int] = {}
    for entry in story.bo.account.statement():
        sums[entry.reason] = sums.get(entry.reason, 0) + int(entry.amount)
    assert sum(sums.values()) == int(story.bo.account.show().balance)
    assert sums["waiting_tax"] < 0
    others = [e for e in story.ana.account.statement() if e.reason == "rebate"]
    assert sum(int(e.amount) for e in others) > 0


def test_miners_were_audited_and_paid_into_their_coin(story: Installation) -> None:
    found = story.ana.fees.miners()
    assert all(m.audited > 0 and m.failed == m.absent == 0 for m in found)
    assert all(int(m.collected) > 0 for m in found)
    for miner in found:
        amounts = [int(e.amount) for e in story.ana.account.statement(miner.address)]
        assert sum(amounts) == int(story.ana.account.show(miner.address).balance)


def test_an_epoch_names_everything_it_follows_from(story: Installation) -> None:
    busiest = max(story.ana.fees.epochs(), key=lambda e: e.items)
    detail = story.ana.fees.epoch(busiest.first)
    names = [event.name for event in detail.events]
    assert names[0] == "MenuSet" or busiest.first == 0
    assert names.count("Registered") == detail.items
    assert names.count("BacklogPosted") == 3
    assert "EpochClosed" in names


def test_the_quote_says_how_long_both_classes_wait(story: Installation) -> None:
    high, low = (story.ana.quote(1_000, fee) for fee in ("priority", "standard"))
    assert int(high.total) > int(low.total)
    assert high.expected_wait_s is not None and low.expected_wait_s is not None
    assert 0 <= high.expected_wait_s <= low.expected_wait_s


def test_a_page_of_a_statement_goes_on_where_the_last_one_ended(story: Installation) -> None:
    path = f"/v1/accounts/{story.ana.address}/statement"
    whole = story.ana.http.get(path, {"limit": 1000})["items"]
    paged, cursor = [], None
    while True:
        page = story.ana.http.get(path, {"limit": 3, "cursor": cursor})
        paged += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole and len(whole) > 6


def test_recompute_reads_the_chain_and_believes_no_gateway(
    story: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--home", str(story.home.root), "--json"]
    chain, gateway = ["fees", "recompute", *at], ["fees", "recompute", "--gateway", *at]
    told = []
    for line in (chain, gateway):
        assert run(line) == 0
        told.append(json.loads(capsys.readouterr().out))
        assert told[-1]["differences"] == [] and told[-1]["epochs"] >= 3
    assert told[0]["rests_on"].startswith("the blocks in") and told[0]["block"] > 0
    assert told[1]["rests_on"].startswith("the word of the gateway") and told[1]["block"] is None
    change = text("UPDATE events SET args = replace(args, :old, :new) WHERE name = 'EpochClosed'")
    plain, changed = '"tauL":', '"tauL": 1'
    engine = story.gateway.databases.index
    with writing(engine) as connection:
        connection.execute(change, {"old": plain, "new": changed})
    try:
        assert run(gateway) == 5
        assert json.loads(capsys.readouterr().out)["differences"]
        assert run(chain) == 0
        assert json.loads(capsys.readouterr().out) == told[0]
    finally:
        with writing(engine) as connection:
            connection.execute(change, {"old": changed, "new": plain})


def test_recompute_refuses_another_chain_than_the_deployments(
    story: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(story.home.deployment.read_text())
    held = document["contracts"]["twin_registry"]
    (tmp_path / "chain").symlink_to(story.home.chain)
    other = {**document["contracts"], "twin_registry": {**held, "code_hash": "0x" + "2" * 64}}
    for change, code in (({"genesis_hash": "0x" + "1" * 64}, 6), ({"contracts": other}, 5)):
        (tmp_path / "deployment.json").write_text(json.dumps({**document, **change}))
        assert run(["fees", "recompute", "--home", str(tmp_path), "--json"]) == code
    (tmp_path / "chain").unlink()
    assert run(["fees", "recompute", "--home", str(tmp_path), "--json"]) == 3
    assert "--gateway" in capsys.readouterr().err
    assert run(["fees", "recompute", "--rpc", "http://127.0.0.1:9", "--gateway", "--json"]) == 4
    capsys.readouterr()
