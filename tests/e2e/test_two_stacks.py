"""The main job on two stacks that share no backend: everything embedded, and real engines in many processes.

The second is anvil, two Kubo daemons, two gateways (one on PostgreSQL) and three miners; what one gateway
took is retrieved through the other. The same keys and salts give the same VersionIds on both.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import engines, fund, keep_key, running, succeed, twinledger
from safetensors.numpy import save_file

SALT = {"root": "0x" + "11" * 32, "child": "0x" + "22" * 32, "late": "0x" + "33" * 32}
# Struct hashes: content, provenance, submitter and salt, and nothing of the stack.
KNOWN = {
    "root": "0x336bc8d5b332c4a61a178021de8ec32c34fc98db850a9310504811e893722da2",
    "child": "0x667ebee951419411d7b642d8329b112b5da71d77a28e5f1bdd42e8c5271c161d",
}


# A slot carries few bytes, so that an item can be made to wait.
FEES = "[fees]\nslot_bytes = 4096\n"


@dataclass(frozen=True)
class Stack:
    """One installation: where its member submits, and where readers read."""

    name: str
    home: Path
    submits: str
    reads: str
    servers: tuple[Path, ...]

    def do(self, *arguments: object) -> Any:
        return self._run(self.submits, *arguments)

    def read(self, *arguments: object) -> Any:
        return self._run(self.reads, *arguments)

    def _run(self, url: str, *arguments: object) -> Any:
        return succeed(*arguments, home=self.home, TWINLEDGER_URL=url, TWINLEDGER_KEY="development")

    def reads_as_far_as(self, receipt: Any) -> None:
        """Wait until the other gateway holds this version with its content."""
        self.eventually(lambda: receipt["model"] in {item["model"] for item in self.read("ls")})

    def eventually(self, holds: Callable[[], bool]) -> None:
        """The limit only keeps a broken stack from hanging the run."""
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.5)


@contextmanager
def embedded(folder: Path) -> Iterator[Stack]:
    home = folder / "home"
    keep_key(home, "development", "two stacks: member")
    (home / "twinledger.toml").write_text(FEES)
    with running("up", "--port", 0, home=home) as up:
        url = up.wait_for(r"is up at (http\S+)")
        yield Stack("embedded", home, url, url, (home,))


@contextmanager
def real(folder: Path) -> Iterator[Stack]:
    with ExitStack() as stack:
        found = stack.enter_context(engines("anvil --args=--block-time=1", "kubo", "postgres"))
        rpc, daemons = found["TWINLEDGER_ANVIL"], found["TWINLEDGER_KUBO_API"].split(",")
        home = folder / "home"
        member = keep_key(home, "development", "two stacks: member")
        fund(rpc, member, 10**21)
        (home / "twinledger.toml").write_text(FEES)
        succeed("deploy", "--rpc", rpc, home=home, TWINLEDGER_KEY="development")
        places = {name: folder / name for name in ("gateway-1", "gateway-2", "miner-1", "miner-2", "miner-3")}
        for place in places.values():
            place.mkdir()
            (place / "deployment.json").write_bytes((home / "deployment.json").read_bytes())
        gateways = []
        addresses = {}
        for name, daemon in zip(("gateway-1", "gateway-2"), daemons, strict=True):
            addresses[name] = keep_key(places[name], "gateway", name)
            dsn = found["TWINLEDGER_POSTGRES"] if name == "gateway-2" else None
            configure(places[name], rpc, daemon, dsn=dsn)
            process = stack.enter_context(running("serve", "--port", 0, home=places[name]))
            gateways.append(process.wait_for(r"serves at (http\S+)"))
        made = Stack("anvil and kubo", home, *gateways, (places["gateway-1"], places["gateway-2"]))
        for name, daemon in zip(("miner-1", "miner-2", "miner-3"), (*daemons, None), strict=True):
            addresses[name] = keep_key(places[name], "miner", name)
            configure(places[name], rpc, daemon, gateways)
        found_consortium(made, member, addresses)
        for name in ("miner-1", "miner-2", "miner-3"):
            process = stack.enter_context(running("miner", "run", home=places[name]))
            process.wait_for(r"mining as (0x\S+),")
        yield made


def configure(
    home: Path, rpc: str, daemon: str | None, gateways: Sequence[str] = (), dsn: str | None = None
) -> None:
    lines = [
        'chain = "rpc"',
        *(['store = "kubo"'] if daemon else []),
        *(['database = "postgresql"'] if dsn else []),
    ]
    lines += ["[rpc]", f'url = "{rpc}"', "poll_s = 0.2"]
    lines += ["[kubo]", f'api = ["{daemon}"]'] if daemon else []
    if dsn:
        (home / "dsn").write_text(dsn)
        lines += ["[postgresql]", 'dsn_file = "dsn"']
    lines += ["[miner]", f"gateways = {json.dumps(list(gateways))}"] if gateways else []
    (home / "twinledger.toml").write_text("\n".join(lines) + "\n")


def found_consortium(stack: Stack, member: str, addresses: dict[str, str]) -> None:
    stack.do("member", "add", member, "--namespace", "local", "--role", "submitter")
    for name, address in addresses.items():
        role = name.partition("-")[0]
        stack.do("member", "add", address, "--namespace", "local", "--role", role)
    miners = ",".join(address for name, address in addresses.items() if name.startswith("miner"))
    call = ["StorageMarket.setPrices", miners, "10,10,10", "--reason", "first prices"]
    stack.do("council", "propose", *call)
    stack.do("account", "deposit", 10**18)


@pytest.fixture(scope="module", params=["embedded", "anvil and kubo"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with (embedded if request.param == "embedded" else real)(folder) as made:
        (folder / "manifest.json").write_text(
            json.dumps({"description": "a twin of two stacks", "tags": ["two-stacks"]})
        )
        for seed in range(3):
            weights = np.random.default_rng(seed).normal(size=(64, 64)).astype("float32")
            save_file({"w": weights}, folder / f"weights-{seed}.safetensors")
        yield made


def submission(stack: Stack, model: str, seed: int, salt: str, *more: object) -> list[object]:
    folder = stack.home.parent
    weights, manifest = folder / f"weights-{seed}.safetensors", folder / "manifest.json"
    return [
        "submit",
        model,
        weights,
        "--manifest",
        manifest,
        "--salt",
        SALT[salt],
        "--key",
        "development",
        *more,
    ]


def test_submitted_through_one_gateway_sealed_by_a_miner_retrieved_through_another(stack: Stack) -> None:
    receipt = stack.do(*submission(stack, "local/twin", 0, "root"))
    assert (receipt["model"], receipt["number"]) == ("local/twin", 1)
    assert receipt["version_id"] == KNOWN["root"]
    stack.reads_as_far_as(receipt)
    out = stack.home.parent / "root"
    found = stack.read("retrieve", "local/twin", "-o", out)
    assert found["version_id"] == KNOWN["root"]
    sent = stack.home.parent / "weights-0.safetensors"
    assert (out / sent.name).read_bytes() == sent.read_bytes()


def test_the_same_act_again_is_the_same_version_and_costs_nothing(stack: Stack) -> None:
    before = stack.do("account", "show")["balance"]
    again = stack.do(*submission(stack, "local/twin", 0, "root"))
    assert (again["version_id"], again["number"]) == (KNOWN["root"], 1)
    assert stack.do("account", "show")["balance"] == before


def test_a_child_names_its_parent_and_both_gateways_know_the_lineage(stack: Stack) -> None:
    receipt = stack.do(*submission(stack, "local/child", 1, "child", "--parent", "local/twin"))
    assert receipt["version_id"] == KNOWN["child"]
    stack.reads_as_far_as(receipt)
    kin = stack.read("lineage", "local/child", "--direction", "up")
    assert [(item["model"], item["depth"]) for item in kin] == [("local/child", 0), ("local/twin", 1)]
    assert stack.read("verify", "local/child")["version"] == KNOWN["child"]


def test_an_alias_set_through_one_gateway_is_followed_by_the_other(stack: Stack) -> None:
    stack.do("alias", "local/twin", "field-tested", KNOWN["root"])
    stack.eventually(lambda: stack.read("show", KNOWN["root"])["aliases"] == ["field-tested"])
    assert stack.read("show", "local/twin@field-tested")["version_id"] == KNOWN["root"]


def test_the_manifest_is_searchable_on_both_gateways(stack: Stack) -> None:
    for ask in (stack.do, stack.read):
        assert {item["model"] for item in ask("search", "--tag", "two-stacks")} == {
            "local/twin",
            "local/child",
        }


def test_a_status_is_the_same_everywhere_and_revoked_needs_a_word_more(stack: Stack) -> None:
    stack.do("deprecate", "local/child", "--reason", "superseded")
    stack.eventually(lambda: stack.read("show", KNOWN["child"])["status"] == "deprecated")
    stack.do("revoke", KNOWN["child"], "--reason", "trained on the wrong cell")
    stack.eventually(lambda: stack.read("show", KNOWN["child"])["status"] == "revoked")
    out = stack.home.parent / "revoked"
    refused = twinledger("retrieve", KNOWN["child"], "-o", out, home=stack.home, TWINLEDGER_URL=stack.reads)
    assert refused.code in (3, 4), refused.err
    assert not out.exists()
    stack.read("retrieve", KNOWN["child"], "-o", out, "--allow-revoked")


def test_every_miner_is_on_the_roster(stack: Stack) -> None:
    members = stack.read("member", "list")
    assert sum("miner" in member["roles"] for member in members) == 3


def test_the_doctor_finds_nothing_wrong_while_everything_runs(stack: Stack) -> None:
    for home in stack.servers:
        findings = succeed("doctor", home=home)
        assert {"service", "chain"} <= {finding["part"] for finding in findings}


def test_what_is_not_sealed_yet_can_be_withdrawn(stack: Stack) -> None:
    # A large item spends the sealing budget of the next minute: what comes behind it stays pending so long.
    large = np.zeros((1 << 16,), dtype="float32")
    save_file({"w": large}, stack.home.parent / "weights-3.safetensors")
    stack.do(*submission(stack, "local/large", 3, "root"))
    pending = stack.do(*submission(stack, "local/late", 2, "late", "--no-wait"))
    assert pending["state"] == "pending"
    stack.do("submission", "cancel", pending["version_id"])
    stack.eventually(lambda: stack.do("submission", "show", pending["version_id"])["state"] == "cancelled")
    assert "local/late" not in {item["model"] for item in stack.do("ls")}
