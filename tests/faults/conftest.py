"""Real nodes for the fault tests: started in a folder of their own, stopped whatever happens."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry.chain.rpc import RpcChain

ROOT = Path(__file__).parents[2]
# As it was before any test gave itself another HOME: the engines' cache lies in the real one.
ENVIRONMENT = dict(os.environ)


@dataclass
class Engine:
    """One engine of scripts/devnet in a folder of its own."""

    name: str
    folder: Path

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [ROOT / "scripts/devnet" / self.name, command, "--dir", self.folder, *options]
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=ENVIRONMENT)

    def start(self, *options: str) -> dict[str, str]:
        done = self.run("start", *options)
        if done.returncode == 3 and os.environ.get("CI") != "true":
            pytest.skip(f"rpc:{self.name}: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        pairs = (line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
        return {key: value.strip("'") for key, value in pairs}

    def pid(self, node: str) -> int:
        return int((self.folder / f"{node}.pid").read_text().split()[0])


@pytest.fixture
def engine() -> Iterator[Callable[[str], Engine]]:
    base = Path(tempfile.mkdtemp(prefix="twinledger-nodes-", dir="/var/tmp"))
    base.chmod(0o755)  # PostgreSQL runs as another user
    made: list[Engine] = []

    def make(name: str) -> Engine:
        made.append(Engine(name, base / f"{name}{len(made)}"))
        return made[-1]

    yield make
    for one in made:
        one.run("stop")
    shutil.rmtree(base)


@pytest.fixture
def connect() -> Iterator[Callable[..., RpcChain]]:
    opened: list[RpcChain] = []

    def open_chain(*urls: str, **options: Any) -> RpcChain:
        opened.append(RpcChain(urls, confirmations=0, timeout_s=options.pop("timeout_s", 2.0), **options))
        return opened[-1]

    yield open_chain
    for link in opened:
        link.close()
