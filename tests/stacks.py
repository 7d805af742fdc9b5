"""Whole installations that share no backend, for the one suite that runs on all of them.

- `embedded`: `twinledger up`, one process for everything;
- `anvil`: one node, two Kubo daemons, a gateway on SQLite and one on PostgreSQL, three miners;
- `network`: three proof-of-authority sealers, two Kubo daemons, two gateways that share pool, projection
  and store, three miners; each organisation talks to a sealer of its own.

`shared` is the `network` on one node, for the tests of faults: its settings and processes are at hand.

The people have the same keys everywhere, so what they sign is the same everywhere.
"""

import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pytest
from places import APART, GATEWAYS, MINERS, SETTINGS, TOGETHER, Plan
from processes import Done, Process, engines, free_ports, fund, keep_key, running

from registry.chain.encoding import encode_call
from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.cli.app import run
from registry.core.ids import Role, keccak
from registry.core.signing import KeySigner
from registry.sdk import Client

# Who they are of, and what they may do; the member, who is the council too, may do everything.
PEOPLE = {
    "bo": ("beta", ["submitter", "auditor", "device", "host"]),
    "cy": ("gamma", ["device", "validator"]),
}
_PATIENCE_S = 240


@dataclass(frozen=True)
class Stack:
    """One installation: where its member submits, and where readers read."""

    name: str
    home: Path
    submits: str
    reads: str
    servers: tuple[Path, ...]
    rpc: str | None = None
    processes: dict[str, Process] = field(default_factory=dict)

    def do(self, *arguments: object, key: str = "development") -> Any:
        """One command at the gateway that is submitted to, which must succeed."""
        return self._run(self.submits, key, arguments)

    def read(self, *arguments: object, key: str = "development") -> Any:
        """One command at the gateway that is read from, which must succeed."""
        return self._run(self.reads, key, arguments)

    def _run(self, url: str, key: str, arguments: Sequence[object]) -> Any:
        done = command(*arguments, "--url", url, "--key", key, home=self.home)
        assert done.code == 0, f"{arguments}: {done.err}{done.out}"
        return done.json

    def client(self, name: str = "development") -> Client:
        """Somebody's own client, at the gateway that is submitted to."""
        return Client(self.submits, signer(name), home=self.home)

    def eventually(self, holds: Callable[[], bool]) -> None:
        """The limit only keeps a broken stack from hanging the run."""
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.3)


def signer(name: str) -> KeySigner:
    """Whose secret follows from the name, on every stack."""
    return KeySigner(keccak(label(name).encode()))


def label(name: str) -> str:
    return f"stacks: {name}"


def command(*arguments: object, home: Path) -> Done:
    """One command with --json, in this process: a process of its own would spend most on imports."""
    out, err = io.StringIO(), io.StringIO()
    # What names the engines of a whole run (TWINLEDGER_KUBO_API …) would be settings here.
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith("TWINLEDGER_")]:
            patch.delenv(name)
        code = run([*map(str, arguments), "--json", "--home", str(home)])
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def embedded(folder: Path) -> Iterator[Stack]:
    """One process for everything."""
    home = _home(folder)
    for name in ("gateway", *MINERS):
        keep_key(home, name, label(name))
    with running("up", "--port", 0, home=home) as up:
        url = up.wait_for(r"is up at (http\S+)")
        stack = Stack("embedded", home, url, url, (home,))
        _admit(stack, dict.fromkeys(MINERS, ("local", ["miner", "validator"])) | PEOPLE)
        yield stack


@contextmanager
def anvil(folder: Path) -> Iterator[Stack]:
    """One node; each gateway has a database of its own."""
    with engines(*_ONE_NODE) as found:
        nodes, dsns = (found["TWINLEDGER_ANVIL"],) * 3, {"gateway-2": found["TWINLEDGER_POSTGRES"]}
        yield from _processes(folder, Plan("anvil", APART, nodes, _daemons(found), dsns))


@contextmanager
def network(folder: Path) -> Iterator[Stack]:
    """Three sealers; both gateways are of one organisation and share everything but key and log."""
    with ExitStack() as stack:
        found = stack.enter_context(engines("kubo", "postgres"))
        sealers = stack.enter_context(_sealers())
        dsns = dict.fromkeys(GATEWAYS, found["TWINLEDGER_POSTGRES"])
        yield from _processes(folder, Plan("network", TOGETHER, sealers, _daemons(found), dsns))


@contextmanager
def shared(folder: Path, settings: str) -> Iterator[Stack]:
    """One node; both gateways share everything but key and log."""
    with engines(*_ONE_NODE) as found:
        nodes = (found["TWINLEDGER_ANVIL"],) * 3
        dsns = dict.fromkeys(GATEWAYS, found["TWINLEDGER_POSTGRES"])
        yield from _processes(folder, Plan("shared", TOGETHER, nodes, _daemons(found), dsns, settings))


_ONE_NODE = ("anvil --args=--block-time=1", "kubo", "postgres")
STACKS = {"embedded": embedded, "anvil": anvil, "network": network}


def _daemons(found: dict[str, str]) -> list[str]:
    return found["TWINLEDGER_KUBO_API"].split(",")


def _home(folder: Path, settings: str = SETTINGS) -> Path:
    """The member's home, with everybody's key."""
    home = folder / "home"
    for name in ("development", *PEOPLE):
        keep_key(home, name, label(name))
    (home / "twinledger.toml").write_text(settings)
    return home


@contextmanager
def _sealers() -> Iterator[tuple[str, ...]]:
    """Sealers that can lock each other at their start on a busy machine (EIP-225) are thrown away."""
    for attempt in range(3):
        with engines("geth") as found:
            urls = tuple(found[f"TWINLEDGER_GETH{suffix}"] for suffix in ("", "_2", "_3"))
            link = RpcChain(urls[:1], confirmations=0)
            height = link.wait_head(8, 40).number
            link.close()
            if height > 8 or attempt == 2:
                yield urls
                return


def _processes(folder: Path, plan: Plan) -> Iterator[Stack]:
    home = _home(folder, plan.settings)
    _fund(plan.nodes[0], ["development", *GATEWAYS, *MINERS, *PEOPLE])
    deployed = command("deploy", "--rpc", plan.nodes[0], "--key", "development", home=home)
    assert deployed.code == 0, deployed.err
    deployment = (home / "deployment.json").read_bytes()
    homes = {place: plan.make_home(folder, place, label(place), deployment) for place in plan.organisations}
    with ExitStack() as stack:
        gateways = [stack.enter_context(running("serve", "--port", 0, home=homes[one])) for one in GATEWAYS]
        urls = [gateway.wait_for(r"serves at (http\S+)") for gateway in gateways]
        processes = dict(zip(GATEWAYS, gateways, strict=True))
        servers = tuple(homes[one] for one in GATEWAYS)
        made = Stack(plan.name, home, urls[0], urls[1], servers, plan.nodes[0], processes)
        _found(made, plan)
        ports = dict(zip(MINERS, free_ports(len(MINERS)), strict=True))
        miners = [stack.enter_context(_mining(homes[one], one, urls, ports)) for one in MINERS]
        for miner in miners:
            miner.wait_for(r"mining as (0x\S+),")
        processes.update(zip(MINERS, miners, strict=True))
        try:
            yield made
        finally:
            # All at once: each ends what it is doing first, and none of them needs another for that.
            for process in processes.values():
                process.child.terminate()


def _mining(
    home: Path, name: str, gateways: Sequence[str], ports: dict[str, int]
) -> AbstractContextManager[Process]:
    """A miner that serves both gateways and audits the two others."""
    peers = [f"{signer(one).address}=http://127.0.0.1:{ports[one]}" for one in MINERS if one != name]
    lines = [
        f"[miner]\ngateways = {json.dumps(gateways)}\npeers = {json.dumps(peers)}\nport = {ports[name]}\n"
    ]
    with (home / "twinledger.toml").open("a") as file:
        file.writelines(lines)
    return running("miner", "run", home=home)


def _fund(rpc: str, names: Sequence[str]) -> None:
    """Coin for gas, all of it in few blocks."""
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: fund(rpc, signer(name).address, 10**19), names))


def _found(stack: Stack, plan: Plan) -> None:
    """Admit everybody, pay in and set the miners' prices; all but the first in few blocks."""
    assert stack.rpc is not None
    contracts = json.loads((stack.home / "deployment.json").read_text())["contracts"]
    places = {
        place: (plan.namespace(place), [place.partition("-")[0], *also])
        for names, also in ((GATEWAYS, ()), (MINERS, ("validator",)))
        for place in names
    }
    link = RpcChain([stack.rpc], confirmations=0)
    council = Sender(link, signer("development"))

    def propose(contract: str, function: str, *values: object) -> None:
        place = "".join(f"_{c.lower()}" if c.isupper() else c for c in contract).removeprefix("_")
        call = encode_call(contract, function, values)
        payload = encode_call("Consortium", "propose", [contracts[place]["address"], call, "the first ones"])
        council.send(contracts["consortium"]["address"], payload)

    def admit(name: str, namespace: str, roles: Sequence[str]) -> None:
        bits = reduce(or_, (Role[role.upper()] for role in roles))
        propose("Consortium", "admit", signer(name).address, namespace, int(bits))

    def pay_in(name: str) -> None:
        payload = encode_call("TwinRegistry", "deposit", [signer(name).address])
        council.send(contracts["twin_registry"]["address"], payload, 10**18)

    # The first namespace has the number 1 on every stack, which is part of what is signed in it.
    admit("development", "local", ["submitter", "sponsor", "aggregator"])
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(admit, name, *given) for name, given in (places | PEOPLE).items()]
        done.append(pool.submit(pay_in, "development"))
        for one in done:
            one.result()
        addresses = [signer(name).address for name in MINERS]
        done = [pool.submit(propose, "StorageMarket", "setPrices", addresses, [10] * len(MINERS))]
        done.append(pool.submit(pay_in, "bo"))
        for one in done:
            one.result()
    link.close()
    stack.do("key", "register")


def _admit(stack: Stack, people: dict[str, tuple[str, list[str]]]) -> None:
    with stack.client() as council:
        for name, (namespace, roles) in people.items():
            escrow = 10**18 if "submitter" in roles else 0
            council.members.add(signer(name).address, namespace, roles, grant=escrow)
