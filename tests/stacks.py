"""Whole installations that share no backend: everything embedded, and real engines in many processes.

The real ones have two gateways and three miners, each a process with a home of its own. On anvil all of them
belong to one organisation; on the geth network there are three, each with a sealer that it talks to.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Done, engines, fund, keep_key, running

from registry.chain.rpc import RpcChain
from registry.cli.app import run
from registry.core.ids import Address, keccak
from registry.core.signing import KeySigner
from registry.sdk import Client

# A slot carries few bytes, so that an item can be made to wait; an epoch ends while the suite runs.
FEES = "[fees]\nslot_bytes = 4096\nslots_per_epoch = 32\n"
PLACES = ("gateway-1", "gateway-2", "miner-1", "miner-2", "miner-3")
_PATIENCE_S = 180


@dataclass(frozen=True)
class Stack:
    """One installation: where its member submits, and where readers read."""

    name: str
    home: Path
    submits: str
    reads: str
    servers: tuple[Path, ...]
    keys: dict[str, KeySigner] = field(default_factory=dict)
    rpc: str | None = None

    def do(self, *arguments: object) -> Any:
        return self._run(self.submits, *arguments)

    def read(self, *arguments: object) -> Any:
        return self._run(self.reads, *arguments)

    def _run(self, url: str, *arguments: object) -> Any:
        done = command(*arguments, "--url", url, "--key", "development", home=self.home)
        assert done.code == 0, f"{arguments}: {done.err}{done.out}"
        return done.json

    def client(self, url: str | None = None, key: str | KeySigner = "development") -> Client:
        """The SDK at the gateway that is submitted to, or at another."""
        return Client(url or self.submits, key, home=self.home)

    def reads_as_far_as(self, receipt: Any) -> None:
        """Wait until the other gateway holds this version with its content."""
        self.eventually(lambda: receipt["model"] in {item["model"] for item in self.read("ls")})

    def eventually(self, holds: Callable[[], bool]) -> None:
        """The limit only keeps a broken stack from hanging the run."""
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < end, "it never came to hold"
            time.sleep(0.5)

    def fund(self, *addresses: Address) -> None:
        """Coin for gas, where gas costs any."""
        if self.name == "geth network":
            assert self.rpc is not None
            for address in addresses:
                fund(self.rpc, address, 10**18)


def command(*arguments: object, home: Path) -> Done:
    """One command with --json, in this process: a process of its own would spend most on imports."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([*map(str, arguments), "--json", "--home", str(home)])
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def embedded(folder: Path) -> Iterator[Stack]:
    """One process for everything."""
    home = folder / "home"
    keep_key(home, "development", "two stacks: member")
    (home / "twinledger.toml").write_text(FEES)
    with running("up", "--port", 0, home=home) as up:
        url = up.wait_for(r"is up at (http\S+)")
        yield Stack("embedded", home, url, url, (home,))


@contextmanager
def on_anvil(folder: Path) -> Iterator[Stack]:
    """anvil, two Kubo daemons, one gateway on SQLite and one on PostgreSQL."""
    with engines("anvil --args=--block-time=1", "kubo", "postgres") as found:
        dsns = {"gateway-2": found["TWINLEDGER_POSTGRES"]}
        with _network("anvil and kubo", folder, (found["TWINLEDGER_ANVIL"],) * 3, found, dsns) as stack:
            yield stack


@contextmanager
def on_geth(folder: Path) -> Iterator[Stack]:
    """Three proof-of-authority sealers, two Kubo daemons, and both gateways on PostgreSQL."""
    with ExitStack() as stack:
        found = stack.enter_context(engines("kubo", "postgres"))
        sealers = stack.enter_context(_sealers())
        dsns = dict.fromkeys(PLACES[:2], found["TWINLEDGER_POSTGRES"])
        yield stack.enter_context(_network("geth network", folder, sealers, found, dsns))


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


@contextmanager
def _network(
    name: str, folder: Path, nodes: Sequence[str], found: dict[str, str], dsns: dict[str, str]
) -> Iterator[Stack]:
    daemons = found["TWINLEDGER_KUBO_API"].split(",")
    home = folder / "home"
    member = keep_key(home, "development", "two stacks: member")
    fund(nodes[0], member, 10**21)
    (home / "twinledger.toml").write_text(FEES)
    deployed = command("deploy", "--rpc", nodes[0], "--key", "development", home=home)
    assert deployed.code == 0, deployed.err
    homes = {place: folder / place for place in PLACES}
    for place in homes.values():
        place.mkdir()
        (place / "deployment.json").write_bytes((home / "deployment.json").read_bytes())
    keys = {place: KeySigner(keccak(place.encode())) for place in PLACES}
    # A lone sealer's block is final; of several sealers' blocks the newest may still change.
    confirmations = 0 if len(set(nodes)) == 1 else 3
    with ExitStack() as stack:
        gateways = []
        for place, daemon in zip(PLACES[:2], daemons, strict=True):
            at = organisation(place) - 1
            keep_key(homes[place], "gateway", place)
            configure(homes[place], nodes[at], daemon, confirmations, place=place, dsn=dsns.get(place))
            process = stack.enter_context(running("serve", "--port", 0, home=homes[place]))
            gateways.append(process.wait_for(r"serves at (http\S+)"))
        made = Stack(name, home, *gateways, (homes["gateway-1"], homes["gateway-2"]), keys, nodes[0])
        made.fund(*(key.address for key in keys.values()))
        found_consortium(made, member)
        for place, miners_daemon in zip(PLACES[2:], (*daemons, None), strict=True):
            at = organisation(place) - 1
            keep_key(homes[place], "miner", place)
            configure(homes[place], nodes[at], miners_daemon, confirmations, place=place, gateways=gateways)
            process = stack.enter_context(running("miner", "run", home=homes[place]))
            process.wait_for(r"mining as (0x\S+),")
        yield made


def organisation(place: str) -> int:
    """Which organisation runs it: gateway-2 and miner-2 are of the second."""
    return int(place.rpartition("-")[2])


def configure(
    home: Path,
    rpc: str,
    daemon: str | None,
    confirmations: int,
    *,
    place: str,
    gateways: Sequence[str] = (),
    dsn: str | None = None,
) -> None:
    """Write the settings of one process."""
    lines = [
        'chain = "rpc"',
        *(['store = "kubo"'] if daemon else []),
        *(['database = "postgresql"'] if dsn else []),
    ]
    lines += ["[rpc]", f'url = "{rpc}"', "poll_s = 0.2", f"confirmations = {confirmations}"]
    lines += ["[kubo]", f'api = ["{daemon}"]'] if daemon else []
    if dsn:
        (home / "dsn").write_text(dsn)
        schema = place.replace("-", "_")
        lines += ["[postgresql]", 'dsn_file = "dsn"']
        lines += [f'index_schema = "{schema}_index"', f'pool_schema = "{schema}_pool"']
    lines += ["[miner]", f"gateways = {json.dumps(list(gateways))}"] if gateways else []
    (home / "twinledger.toml").write_text("\n".join(lines) + "\n")


def found_consortium(stack: Stack, member: str) -> None:
    """Admit everybody, set the prices and pay in."""
    with stack.client() as council:
        council.members.add(member, "local", ["submitter"])
        for place, key in stack.keys.items():
            role = place.partition("-")[0]
            namespace = f"org-{organisation(place)}" if stack.name == "geth network" else "local"
            council.members.add(key.address, namespace, [role])
    miners = ",".join(key.address for place, key in stack.keys.items() if place.startswith("miner"))
    call = ["StorageMarket.setPrices", miners, "10,10,10", "--reason", "first prices"]
    stack.do("council", "propose", *call)
    stack.do("account", "deposit", 10**18)
