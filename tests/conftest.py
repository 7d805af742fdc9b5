"""A whole installation for tests: chain, store, miners, API over a real socket, in this process."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from safetensors.numpy import save_file

from registry.cli.serving import in_background
from registry.config import Home, Settings, load_settings
from registry.sdk import Client
from registry.wiring.up import Running, running

# Before any test imports ipfshttpclient, as registry/storage/kubo_rpc.py does: it would warn of urllib3 3.
os.environ.setdefault("PY_IPFS_HTTP_CLIENT_PATCH_REQUESTS", "no")
# Files are given to workers in this order: one that lasts minutes must not begin when all others have ended.
LONGEST_FIRST = (
    "tests/e2e/test_stacks.py",
    "tests/contracts/test_ledger_equality.py",
    "tests/e2e/test_operations.py",
    "tests/e2e/test_rewards_kill.py",
    "tests/e2e/test_rewards_tasks.py",
    "tests/faults/test_service_kill.py",
    "tests/faults/test_processes_lost.py",
    "tests/forensics/test_tamper_trials.py",
    "tests/faults/test_store_kubo.py",
    "tests/e2e/test_rewards_updates.py",
    "tests/conformance/test_chain_link.py",
    "tests/e2e/test_operator_cli.py",
    "tests/e2e/test_rewards_mechanisms.py",
    "tests/e2e/test_audit.py",
    "tests/e2e/test_rewards_demo.py",
    "tests/faults/test_every_write.py",
    "tests/faults/test_chain_crash.py",
    "tests/contracts/test_block_gas.py",
    "tests/faults/test_store_kill.py",
    "tests/faults/test_chain_nodes.py",
    "tests/network/test_network_init.py",
    "tests/e2e/test_anchors.py",
    "tests/network/test_devnet_geth.py",
    "tests/contracts/test_gas.py",
    "tests/faults/test_fwt_market.py",
    "tests/contracts/test_recount.py",
    "tests/unit/demo/test_demo_ns3.py",
    "tests/network/test_devnet_kubo.py",
    "tests/faults/test_chain_reorganised.py",
    "tests/faults/test_store_disk.py",
    "tests/faults/test_database_restart.py",
    "tests/docs/test_readme.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, all others as they were found."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@dataclass(frozen=True)
class Live:
    """A running installation and how to talk to it."""

    home: Home
    settings: Settings
    running: Running

    @property
    def url(self) -> str:
        return self.running.url

    def client(self, cell: str | None = None) -> Client:
        return Client(home=self.home.root, cell=cell)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the person who runs the tests has set must not change what they find."""
    for name in ("TWINLEDGER_HOME", "TWINLEDGER_URL", "TWINLEDGER_KEY", "TWINLEDGER_PASSWORD_FILE"):
        monkeypatch.delenv(name, raising=False)
    # Engines are built once per machine: their cache stays where it is.
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One installation for the whole session."""
    home = Home(tmp_path_factory.mktemp("live") / "home").make()
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        yield Live(home, settings, found)


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    """The development member."""
    with live.client() as found:
        yield found


def write_weights(path: Path, seed: int, shape: tuple[int, ...] = (8, 8)) -> Path:
    """A small safetensors file whose content follows from the seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"weights": np.random.default_rng(seed).normal(size=shape).astype("float32")}, path)
    return path


@pytest.fixture
def weights(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Weights that no other test submits."""
    return write_weights(tmp_path / "twin.safetensors", crc32(request.node.nodeid.encode()))
