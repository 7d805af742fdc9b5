"""The chains and stores that the conformance suites run on: embedded always, real engines where they are."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from nodes import RICH, create_probe
from sqlalchemy import Engine, text

from registry.chain.base import ChainLink, Receipt
from registry.chain.sender import Sender
from registry.chain.signed import Draft, sign_draft
from registry.core.ids import Address
from registry.core.signing import KeySigner
from registry.database import open_database, sqlite_url

ROOT = Path(__file__).parents[2]
BACKENDS = ("embedded", "rpc:anvil", "rpc:geth")


@pytest.fixture
def the_daemon() -> Iterator[None]:
    """The Kubo daemon of the whole run, for one test at a time: each unpins and collects what others left."""
    with FileLock(Path(tempfile.gettempdir()) / "twinledger-conformance-kubo.lock"):
        yield


def embedded(folder: Path) -> Iterator[ChainLink]:
    from registry.chain.blocks import Genesis
    from registry.chain.embedded import EmbeddedChain

    link = EmbeddedChain(folder, Genesis(1337, ((RICH.address, 10**24),)))
    yield link
    link.close()


def engine_variables(name: str, folder: Path) -> dict[str, str]:
    """Where an engine is: as the environment says, else started in the folder, else the test is skipped."""
    if f"TWINLEDGER_{name.upper()}" in os.environ:
        return dict(os.environ)
    argv = [ROOT / "scripts/devnet" / name, "start", "--dir", folder]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode == 3 and os.environ.get("CI") != "true":
        pytest.skip(f"{name}: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    pairs = (line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    return {key: value.strip("'") for key, value in pairs}


def stop_engine(name: str, folder: Path) -> None:
    """Stop what was started in the folder."""
    if (folder / "layout.json").exists():
        subprocess.run([ROOT / "scripts/devnet" / name, "stop", "--dir", folder], check=True)


def engine_urls(name: str, folder: Path) -> tuple[str, ...]:
    """The node's HTTP URLs."""
    variable, given = f"TWINLEDGER_{name.upper()}", engine_variables(name, folder)
    return tuple(given[v] for v in (variable, f"{variable}_2", f"{variable}_3") if v in given)


def over_rpc(name: str, folder: Path) -> Iterator[ChainLink]:
    from registry.chain.rpc import RpcChain

    # Three proof-of-authority sealers can lock each other at their start on a busy machine: each signed a
    # block of its own and waits for another's (EIP-225). A network that makes no blocks is thrown away.
    for attempt in range(3):
        place = folder / str(attempt)
        link = RpcChain(engine_urls(name, place)[:1], confirmations=0)
        if name != "geth" or link.wait_head(8, 40).number > 8:
            break
        link.close()
        stop_engine(name, place)
    yield link
    link.close()
    stop_engine(name, place)


@pytest.fixture(scope="session", params=BACKENDS)
def link(request: pytest.FixtureRequest) -> Iterator[ChainLink]:
    folder = Path(tempfile.mkdtemp(prefix="twinledger-chain-", dir="/var/tmp"))
    kind, _, engine = request.param.partition(":")
    yield from over_rpc(engine, folder / engine) if kind == "rpc" else embedded(folder)
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Rig:
    """A chain, and the address that can pay for everything on it."""

    link: ChainLink
    rich: Sender
    key: KeySigner = RICH

    def newcomer(self, wei: int = 10**18) -> KeySigner:
        key = KeySigner(secrets.token_bytes(32))
        if wei:
            self.rich.send(key.address, b"", wei)
        return key

    def sign(self, key: KeySigner, to: Address | None, data: bytes, value: int = 0, **changed: int) -> bytes:
        fields = {"chain_id": self.link.chain_id, "nonce": self.link.nonce(key.address), "gas": 200_000}
        fields |= changed
        fee = self.link.fee_policy()
        return sign_draft(Draft(fee=fee, to=to, value=value, payload=data, **fields), key)

    def mined(self, tx_hash: bytes) -> Receipt:
        while (receipt := self.link.receipt(tx_hash)) is None:
            self.link.wait_head(self.link.head().number, 1)
        return receipt


@pytest.fixture(scope="session")
def rig(link: ChainLink) -> Rig:
    return Rig(link, Sender(link, RICH))


@pytest.fixture(scope="session")
def probe(rig: Rig) -> Address:
    return create_probe(rig.rich)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_server(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of a PostgreSQL server, or None for SQLite files."""
    if request.param == "sqlite":
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="twinledger-database-", dir="/var/tmp"))
    folder.chmod(0o755)  # the server runs as another user
    yield engine_variables("postgres", folder / "postgres")["TWINLEDGER_POSTGRES"]
    stop_engine("postgres", folder / "postgres")
    shutil.rmtree(folder)


@pytest.fixture
def open_engine(database_server: str | None, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Opens one and the same database, empty at the start of the test, as often as it is called."""
    schema = f"test_{secrets.token_hex(6)}"
    with ExitStack() as stack:

        def make() -> Engine:
            engine = (
                open_database(sqlite_url(tmp_path / "test.db"))
                if database_server is None
                else open_database(database_server, schema=schema)
            )
            stack.callback(engine.dispose)
            return engine

        yield make
        if database_server is not None:
            with make().begin() as connection:
                connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
