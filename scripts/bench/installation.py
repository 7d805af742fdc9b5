"""A whole installation as processes of its own, embedded or on anvil, for what is measured over a socket."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import Request, urlopen

from kit import ROOT

from registry.chain.rpc import RpcChain
from registry.config import Home, load_settings
from registry.core.signing import KeySigner
from registry.sdk import Client
from registry.wiring.consortium import create_consortium, make_keys

# The first account of anvil's well-known mnemonic.
RICH = KeySigner(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
_PATIENCE_S = 120


@dataclass(frozen=True, slots=True)
class Installation:
    """Where it lives, where it answers, and the process that serves."""

    home: Home
    url: str
    process: int
    miners: tuple[int, ...] = ()

    @property
    def processes(self) -> dict[str, int]:
        """Every process, by what it is."""
        return {"service": self.process} | {f"miner {n}": pid for n, pid in enumerate(self.miners, 1)}

    def client(self) -> Client:
        """The development member."""
        return Client(self.url, "development", home=self.home.root)

    def memory(self) -> int:
        """Resident bytes of the serving process."""
        status = Path(f"/proc/{self.process}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0


@contextmanager
def installation(folder: Path, settings: str = "") -> Iterator[Installation]:
    """`twinledger up`, with these settings."""
    home = Home(folder / "home").make()
    (home.root / "twinledger.toml").write_text(settings)
    with _command(["up", "--port", "0"], home.root) as (process, log):
        yield Installation(home, _said(log, r"is up at (http\S+)"), process)


@contextmanager
def on_anvil(folder: Path, rpc: str, miners: int, settings: str = "") -> Iterator[Installation]:
    """A gateway with these settings and its miners, a process each; the consortium is deployed and peopled.

    The gateway keeps to one core, as docs/operations.md says.
    """
    home = Home(folder / "home").make()
    _write_settings(home.root, rpc, settings)
    loaded = load_settings(home, {}, folder=home.root).settings
    link = RpcChain([rpc], confirmations=0)
    made = make_keys(home)
    # Only those that run are enrolled: the turns of miners that are gone would be waited for.
    keys = replace(made, miners=made.miners[:miners])
    try:
        for address in keys.addresses:
            _make_rich(rpc, address)
        create_consortium(home, loaded, link, keys)
    finally:
        link.close()
    with ExitStack() as stack:
        serving = stack.enter_context(_command(["serve", "--port", "0"], home.root, _on_one_core()))
        url = _said(serving[1], r"serves at (http\S+)")
        pids = []
        for number in range(1, miners + 1):
            place = _miner_home(folder, home, number, rpc, url)
            mining = stack.enter_context(_command(["miner", "run"], place))
            _said(mining[1], r"mining as (0x\S+)")
            pids.append(mining[0])
        yield Installation(home, url, serving[0], tuple(pids))


@contextmanager
def engine(name: str, folder: Path) -> Iterator[Mapping[str, str]]:
    """A real engine of scripts/devnet in a folder, and the variables that say where it is."""
    command = str(ROOT / "scripts" / "devnet" / name)
    subprocess.run([command, "start", "--dir", str(folder)], check=True, capture_output=True)
    try:
        done = subprocess.run(
            [command, "env", "--dir", str(folder)], check=True, capture_output=True, text=True
        )
        yield dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    finally:
        subprocess.run([command, "stop", "--dir", str(folder)], check=True, capture_output=True)


def ask_node(rpc: str, method: str, *parameters: object) -> object:
    """One JSON-RPC call."""
    if not rpc.startswith("http"):
        raise ValueError(f"{rpc} is no HTTP address")
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    request = Request(rpc, json.dumps(call).encode(), {"content-type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=60) as response:  # noqa: S310
        return json.load(response).get("result")


def _make_rich(rpc: str, address: str) -> None:
    ask_node(rpc, "anvil_setBalance", address, hex(10**27))


def _miner_home(folder: Path, home: Home, number: int, rpc: str, url: str) -> Path:
    place = Home(folder / f"miner-{number}").make()
    place.deployment.write_bytes(home.deployment.read_bytes())
    place.keys.mkdir(exist_ok=True)
    key = place.keys / "miner.json"
    key.write_bytes((home.keys / f"miner-{number}.json").read_bytes())
    key.chmod(0o600)
    _write_settings(place.root, rpc, f'[miner]\ngateways = ["{url}"]\n')
    return place.root


def _write_settings(home: Path, rpc: str, more: str = "") -> None:
    # The node's WebSocket wakes who waits for a block, as an operator would have it: nobody polls.
    wake = rpc.replace("http", "ws", 1)
    (home / "twinledger.toml").write_text(
        f'chain = "rpc"\n[rpc]\nurl = "{rpc},{wake}"\npoll_s = 1\n[limits]\nrequests_per_s = 100000\n'
        f"request_burst = 100000\n[quotas]\npending_per_member = 100000\n{more}"
    )


@contextmanager
def _command(arguments: Sequence[str], home: Path, within: Sequence[str] = ()) -> Iterator[tuple[int, Path]]:
    log = home / f"{arguments[0]}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*within, sys.executable, "-m", "registry.cli", *arguments, "--home", str(home)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_surroundings(home),
            cwd=home,
        )
    try:
        yield process.pid, log
    finally:
        process.terminate()
        process.wait(60)


def _on_one_core() -> Sequence[str]:
    return ("taskset", "--cpu-list", str(max(os.sched_getaffinity(0))))


def _surroundings(home: Path) -> Mapping[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("TWINLEDGER_")}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _said(log: Path, pattern: str) -> str:
    """Wait for a line of a process's output."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        found = re.search(pattern, log.read_text())
        if found:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"{pattern} was never said:\n{log.read_text()[-2000:]}")
