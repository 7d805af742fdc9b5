"""`kill -9` of a whole installation at random instants of uploading, submitting and sealing.

After each restart every acknowledged submission is sealed or pending, nothing is sealed twice, the chain's
head continues, and `doctor` finds nothing. The number of trials is TWINLEDGER_TEST_KILLS (30).
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import write_weights
from nursery import Child, nursery
from processes import twinledger

from registry.errors import RegistryError
from registry.sdk import Client
from registry.sdk.submitting import Work

KILLS = int(os.environ.get("TWINLEDGER_TEST_KILLS", "30"))
SEED = int(os.environ.get("TWINLEDGER_TEST_SEED", "9"))


@dataclass
class Installation:
    """`twinledger up` as a process that may be killed."""

    folder: Path
    process: Child | None = None
    acknowledged: set[str] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def log(self) -> Path:
        return self.folder / "up.log"

    def start(self) -> None:
        """As an operator starts it."""
        known = self.home / "client.toml"
        known.unlink(missing_ok=True)
        self.process = nursery().start(
            *("up", "--home", self.home, "--port", "0"),
            folder=self.folder,
            environment=os.environ,
            stderr=self.log,
        )
        while not known.exists():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(60) == 0

    def submit_until_dead(self, seeds: Iterator[int]) -> None:
        """Submit one after the other; what was acknowledged is remembered, an error ends it."""
        try:
            with Client(home=self.home) as client:
                while True:
                    seed = next(seeds)
                    path = write_weights(self.folder / f"{seed}.safetensors", seed)
                    status = client.submit(
                        f"local/killed-{seed % 3}", [path], {"x": {"seed": seed}}, wait=False
                    )
                    self.acknowledged.add(status.version_id)
        except RegistryError:
            return


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    made.start()
    yield made
    made.kill()


def wait_for_all(client: Client, version_ids: set[str]) -> None:
    for version_id in version_ids:
        client.wait(version_id, 120)


def test_nothing_acknowledged_is_lost_by_kill_9(installation: Installation) -> None:
    dice = random.Random(SEED)
    counter = iter(range(1_000_000))
    asked: set[str] = set()
    head = -1
    for _ in range(KILLS):
        workers = [threading.Thread(target=installation.submit_until_dead, args=(counter,)) for _ in range(2)]
        for worker in workers:
            worker.start()
        # So many acknowledgements and then any moment: also on a busy machine a kill comes in mid-work.
        enough = len(installation.acknowledged) + dice.randrange(4)
        while len(installation.acknowledged) < enough:
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.6))
        installation.kill()
        for worker in workers:
            worker.join()
        installation.start()
        with Client(home=installation.home) as client:
            # All of them in one list; what this kill may have touched is asked for by name, with its receipt.
            states = {status.version_id: status.state for status in client.submissions()}
            assert installation.acknowledged <= states.keys()
            found = {states[version_id] for version_id in installation.acknowledged}
            found |= {client.submission(version_id).state for version_id in installation.acknowledged - asked}
            assert found <= {"pending", "waiting", "sealed", "final"}
            asked = set(installation.acknowledged)
            present = metric(client, "twinledger_chain_head")
            assert present >= head
            head = present
    with Client(home=installation.home) as client:
        wait_for_all(client, installation.acknowledged)
        versions = [
            version.version_id for model in client.models() for version in client.versions(model.model)
        ]
        assert len(versions) == len(set(versions))
        assert installation.acknowledged <= set(versions)
        paid = sum(int(line["size"]) for line in sizes(client))
        assert paid > 0
    assert doctor(installation) == 0
    installation.stop()
    installation.start()
    installation.stop()
    assert doctor(installation) == 0


def metric(client: Client, name: str) -> int:
    with client.http.stream("/metrics") as response:
        text = response.read().decode()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))


def sizes(client: Client) -> Iterator[dict[str, int]]:
    for model in client.models():
        for version in client.versions(model.model):
            yield {"size": version.version.size}


def doctor(installation: Installation) -> int:
    done = twinledger("doctor", "--json", home=installation.home)
    if done.code:
        print(done.out, done.err)
    return done.code


def test_a_deleted_projection_is_rebuilt_the_same(installation: Installation, tmp_path: Path) -> None:
    with Client(home=installation.home) as client:
        works = [
            Work(f"local/rebuilt-{n}", [write_weights(tmp_path / f"{n}.safetensors", n)], {"tags": ["t"]})
            for n in range(6)
        ]
        client.submit_many(works)
        client.alias("local/rebuilt-0", "champion", "local/rebuilt-0@v1")
        client.deprecate("local/rebuilt-1@v1")
    installation.stop()
    for _ in range(5):
        before, followed = dump(installation.home / "index.db"), kept(installation, tmp_path / "followed")
        installation.start()
        installation.stop()
        after = dump(installation.home / "index.db")
        if after["blocks"] == before["blocks"]:
            break
        # A miner wrote to the chain meanwhile: the projection that saw everything happen sees this too.
        put_back(installation, followed)
        installation.start()
        installation.stop()
    assert len(after["versions"]) == 6
    assert after == before


def kept(installation: Installation, folder: Path) -> Path:
    """The projection, taken out of the home."""
    folder.mkdir(exist_ok=True)
    for path in installation.home.glob("index.db*"):
        path.rename(folder / path.name)
    return folder


def put_back(installation: Installation, folder: Path) -> None:
    """In the place of the one that is there."""
    for path in installation.home.glob("index.db*"):
        path.unlink()
    for path in folder.iterdir():
        path.rename(installation.home / path.name)


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the marks of empty blocks, of which only the newest are kept."""
    import sqlite3

    connection = sqlite3.connect(path)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in names}
        with_events = {row[0] for row in connection.execute("SELECT DISTINCT block FROM events")}
        marks = connection.execute("SELECT number, hash FROM blocks").fetchall()
        return rows | {"blocks": sorted(mark for mark in marks if mark[0] in with_events)}
    finally:
        connection.close()
