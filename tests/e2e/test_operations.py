"""What docs/operations.md tells an operator to do to a running consortium, done to one: every step."""

import http.client
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from conftest import write_weights
from stacks import command

from registry.chain.base import FeePolicy
from registry.chain.embedded import EmbeddedChain
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.core.ids import keccak
from registry.core.signing import KeySigner
from registry.errors import Malformed, NotAuthorized
from registry.sdk import Client
from registry.wiring.up import Running, running

# Short epochs: a miner leaves and comes back at the end of one.
SETTINGS = "[api]\nport = 0\n[fees]\nslots_per_epoch = 12\npost_slots = 5\n[storage]\naudit_slots = 8\n"


@dataclass(frozen=True)
class Site:
    """A consortium that runs in this process, and its operator's command line."""

    home: Home
    found: Running

    def do(self, *arguments: object) -> Any:
        done = command(*arguments, "--url", self.found.url, "--key", "development", home=self.home.root)
        assert done.code == 0, f"{arguments}: {done.err}{done.out}"
        return done.json

    def client(self, key: KeySigner | str = "development") -> Client:
        return Client(self.found.url, key, home=self.home.root)

    def public(self, path: str) -> Any:
        """What anyone gets who signs nothing."""
        connection = http.client.HTTPConnection(self.found.url.removeprefix("http://"), timeout=60)
        connection.request("GET", path)
        document = json.loads(connection.getresponse().read())
        connection.close()
        return document


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = Home(tmp_path_factory.mktemp("operations") / "home").make()
    home.settings.write_text(SETTINGS)
    settings = load_settings(home, {}, folder=home.root).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        yield Site(home, found)


def person(name: str) -> KeySigner:
    return KeySigner(keccak(f"operations: {name}".encode()))


def roles(site: Site, signer: KeySigner) -> list[str]:
    return next((m["roles"] for m in site.do("member", "list") if m["address"] == signer.address), [])


def submits(site: Site, signer: KeySigner, model: str, path: Path, seed: int) -> Any:
    with site.client(signer) as client:
        return client.submit(model, [write_weights(path / f"{seed}.safetensors", seed)], {})


def test_a_member_is_added_and_removed(site: Site, tmp_path: Path) -> None:
    bo = person("bo")
    site.do("member", "add", bo.address, "--namespace", "beta", "--role", "submitter", "--grant", 10**15)
    assert submits(site, bo, "beta/twin", tmp_path, 1).number == 1
    site.do("member", "remove", bo.address)
    assert roles(site, bo) == []
    with pytest.raises(NotAuthorized):
        submits(site, bo, "beta/twin", tmp_path, 2)
    assert [item["model"] for item in site.do("ls")].count("beta/twin") == 1, "what it sealed stays"


def test_a_member_s_key_is_rotated_and_the_model_goes_on_under_the_new_one(
    site: Site, tmp_path: Path
) -> None:
    old, new = person("cy before"), person("cy after")
    site.do("member", "add", old.address, "--namespace", "gamma", "--role", "submitter", "--grant", 10**15)
    submits(site, old, "gamma/twin", tmp_path, 3)
    site.do("member", "add", new.address, "--namespace", "gamma", "--role", "submitter", "--grant", 10**15)
    site.do("member", "remove", old.address)
    assert submits(site, new, "gamma/twin", tmp_path, 4).number == 2
    with pytest.raises(NotAuthorized):
        submits(site, old, "gamma/twin", tmp_path, 5)
    with site.client(old) as client:
        left = int(client.account.show().balance)
        client.account.withdraw(left)
        assert int(client.account.show().balance) == 0, "money leaves with its owner"


def test_where_transactions_cost_something_a_grant_pays_the_first_ones(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    newcomer, price, grant = person("with no coin"), 3, 10**9
    monkeypatch.setattr(EmbeddedChain, "fee_policy", lambda _chain: FeePolicy(price, None))
    site.do(
        "member", "add", newcomer.address, "--namespace", "epsilon", "--role", "submitter", "--grant", grant
    )
    with site.client(newcomer) as client:
        funded = client.account.show()
        assert int(funded.coin) == 10 * 3_000_000 * price, "ten transactions of the client's gas"
        assert int(funded.coin) + int(funded.balance) == grant
        client.account.withdraw(int(funded.balance))
        left = client.account.show()
    assert int(left.balance) == 0
    assert grant - 3_000_000 * price <= int(left.coin) < grant, "the grant without what one transaction cost"
    small = person("with little coin")
    site.do("member", "add", small.address, "--namespace", "zeta", "--role", "submitter", "--grant", 5)
    with site.client(small) as client:
        assert (int(client.account.show().coin), int(client.account.show().balance)) == (5, 0)


def test_a_miner_leaves_the_roster_and_comes_back(site: Site, tmp_path: Path) -> None:
    miners, seeds = [str(key.address) for key in site.found.keys.miners], count(100)

    def roster() -> set[str]:
        return {m["address"] for m in site.do("miner", "list") if m["enrolled"]}

    def becomes(wanted: list[str]) -> None:
        """A roster that has sealed stays until its epoch ends, and none ends without something to seal."""
        until = time.monotonic() + 60
        while roster() != set(wanted) and time.monotonic() < until:
            submits(site, site.found.keys.member, "local/busy", tmp_path, next(seeds))
        assert roster() == set(wanted)

    becomes(miners)
    site.do("council", "propose", "StorageMarket.retire", miners[2], "--reason", "the third leaves")
    becomes(miners[:2])
    site.do("council", "propose", "StorageMarket.setPrices", miners[2], "10", "--reason", "and is back")
    becomes(miners)


def test_a_council_of_two_acts_only_together_and_anyone_sees_what_is_proposed(site: Site) -> None:
    second, newcomer = person("second seat"), person("newcomer")
    member = site.found.keys.member
    seats = f"{member.address},{second.address}"
    site.do("council", "propose", "Consortium.setCouncil", seats, "2", "--reason", "two of two")
    site.do("member", "add", newcomer.address, "--namespace", "delta", "--role", "auditor")
    shown = site.do("council", "list")[0]
    assert (shown["approvals"], shown["threshold"], shown["executed"]) == (1, 2, False)
    assert newcomer.address in shown["call"] and shown["call"].startswith("Consortium.admit")
    assert shown["proposer"] == member.address
    assert site.public("/v1/proposals")["items"][0] == shown
    with site.client(newcomer) as client:
        assert client.members.proposals()[0].model_dump() == shown
    assert roles(site, newcomer) == []
    refused = command(
        "council",
        "execute",
        shown["id"],
        "--url",
        site.found.url,
        "--key",
        "development",
        home=site.home.root,
    )
    assert refused.code == 4, "one of two is not enough"
    with site.client(second) as other:
        other.members.approve(shown["id"])
        assert roles(site, newcomer) == ["auditor"]
        other.members.propose("Consortium", "setCouncil", [str(member.address), "1"], "one again")
    site.do("council", "approve", site.do("council", "list")[0]["id"])
    site.do("member", "remove", newcomer.address)
    assert roles(site, newcomer) == []


def test_a_backup_of_the_live_service_survives_the_loss_of_its_machine(site: Site, tmp_path: Path) -> None:
    archive, lost = tmp_path / "backup.tar", tmp_path / "elsewhere"
    model = submits(site, site.found.keys.member, "local/kept", tmp_path, 20).model
    site.do("backup", archive)
    command("restore", archive, home=lost)
    home = Home(lost)
    settings = load_settings(home, {}, folder=home.root).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        again = Site(home, found)
        assert model in [item["model"] for item in again.do("ls")]
        out = tmp_path / "out"
        again.do("retrieve", model, "-o", out)
        assert (out / "20.safetensors").read_bytes() == (tmp_path / "20.safetensors").read_bytes()
        submits(again, found.keys.member, "local/goes-on", tmp_path, 21)


def test_a_lost_projection_is_rebuilt_from_the_chain(site: Site, tmp_path: Path) -> None:
    archive, lost = tmp_path / "backup.tar", tmp_path / "elsewhere"
    site.do("backup", archive)
    command("restore", archive, home=lost)
    home = Home(lost)
    assert not home.index.exists(), "the archive holds no projection"
    settings = load_settings(home, {}, folder=home.root).settings
    with running(home, settings) as found:
        rebuilt = found.gateway.service.index
        mine = site.found.gateway.service.index
        tip = rebuilt.tip()
        assert tip is not None
        assert rebuilt.events_until(tip.number) == mine.events_until(tip.number)


def test_a_successor_on_the_same_chain_names_its_predecessor_and_serves_beside_its_records(
    tmp_path: Path,
) -> None:
    home, second = Home(tmp_path / "home").make(), tmp_path / "successor.json"
    home.settings.write_text(SETTINGS)
    settings = load_settings(home, {}, folder=home.root).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        submits(Site(home, found), found.keys.member, "local/before", tmp_path, 30)
    former = Path(shutil.copy(home.deployment, tmp_path / "former.json"))
    options = ("--predecessor", former, "--out", second, "--key", "development")
    made = command("deploy", *options, home=home.root)
    assert made.code == 0, made.err
    shutil.copy(second, home.deployment)
    # A home of its own for the successor's projection, pool and chain log; the old ones are kept as they are.
    for path in (home.index, home.pool, home.log / "chain.db"):
        for part in path.parent.glob(path.name + "*"):
            part.rename(tmp_path / part.name)
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        new = Site(home, found)
        contracts = found.gateway.contracts
        before = json.loads(former.read_text())["contracts"]
        assert contracts.read("Consortium", "predecessor") == before["consortium"]["address"]
        assert contracts.read("TwinRegistry", "predecessor") == before["twin_registry"]["address"]
        assert new.do("ls") == []
        assert submits(new, found.keys.member, "local/after", tmp_path, 31).number == 1


def test_a_log_s_key_is_rotated_under_a_new_origin_and_what_it_promised_stays_proved(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").make()
    home.settings.write_text(SETTINGS)
    settings = load_settings(home, {}, folder=home.root).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        submits(Site(home, found), found.keys.member, "local/before", tmp_path, 40)
        old = found.gateway.logs.gateway.log.origin
    changed = f'[gateway]\nlog_key_file = "{tmp_path / "log.key"}"\n[log]\norigin = "second"\n'
    home.settings.write_text(SETTINGS + changed)
    settings = load_settings(home, {}, folder=home.root).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        site = Site(home, found)
        submits(site, found.keys.member, "local/after", tmp_path, 41)
        entry = found.gateway.logs.gateway.log.entry(0).entry
        assert (entry.kind, entry.details["origin"]) == ("origin_continued", old)
    named = [log["origin"] for log in json.loads(home.trust.read_text())["logs"]]
    assert named[1:] == ["second", old], "the chain's, its own, and that of the promises before"
    done = command("doctor", home=home.root)
    assert done.code == 0, done.out
    home.trust.write_text("{")
    with pytest.raises(Malformed, match=r"trust\.json"), running(home, settings):
        pass
