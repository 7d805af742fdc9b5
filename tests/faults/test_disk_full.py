"""The disk under one part of a gateway is full: pool, projection, each log, openings, chain, store, in turn.

Each part lies on a small file system of its own, as an operator would give it one; filling that one is the
fault. Whoever asks is told so with a hint, `/readyz` names the folder, nothing acknowledged is lost, and
with room again the gateway goes on by itself. The tiles of a log are read from its database: they have no
files.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import write_weights
from load import sealed_once_and_charged_once
from processes import Process, command, surroundings

from registry.errors import StoreUnavailable
from registry.sdk import Client

PARTS = {
    "pool": "pool.db",
    "projection": "index.db",
    "chain-log": "log/chain.db",
    "gateway-log": "log/gateway.db",
    "openings": "log/openings.db",
    "chain": "chain/chain.sqlite",
    "store": "store",
}
# Of these nothing is written before a submission is acknowledged: it waits for its seal instead.
BEHIND_THE_ANSWER = {"projection", "chain-log", "chain"}
_PATIENCE_S = 120


@dataclass(frozen=True)
class Way:
    """A way to mount: `mounting` runs what mounts, `entering` whoever is to see it, if not everybody does."""

    mounting: tuple[str, ...]
    entering: tuple[str, ...] = ()

    def is_open(self, folder: Path) -> bool:
        probe = 'mount -t tmpfs -o size=1m none "$0" && umount "$0"'
        argv = [*self.mounting, "sh", "-c", probe, str(folder)]
        return (
            shutil.which(argv[0]) is not None
            and subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode
            == 0
        )


# In a namespace of a user, in one of root, and, where a machine gives out none, for all to see.
WAYS = (
    Way(("unshare", "-Urm"), ("nsenter", "-U", "-m", "--preserve-credentials")),
    Way(("unshare", "-m"), ("nsenter", "-m")),
    Way(()),
    Way(("sudo", "-n")),
)


@dataclass
class Disks:
    """Every part of a home on a small file system; `holder` keeps the namespace in which they are mounted."""

    folder: Path
    way: Way
    mounts: Sequence[str]
    holder: "subprocess.Popen[bytes]" = field(init=False)
    home: Path = field(init=False)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        stay = ["exec sleep 3600"] if self.way.entering else []
        script = " && ".join([*self.mounts, "echo mounted", *stay])
        self.holder = subprocess.Popen([*self.way.mounting, "sh", "-c", script], stdout=subprocess.PIPE)
        assert self.holder.stdout is not None and self.holder.stdout.readline() == b"mounted\n"

    def close(self) -> None:
        """A namespace ends with its last process; what all see is unmounted, whoever still runs there."""
        if not self.way.entering:
            for part in PARTS:
                subprocess.run([*self.way.mounting, "umount", "-l", self.place(part)], check=True)
        self.holder.terminate()
        self.holder.wait()
        assert self.holder.stdout is not None
        self.holder.stdout.close()

    def start(self, *arguments: object) -> Process:
        said = self.folder / "said"
        with said.open("w") as stderr:
            popen = subprocess.Popen(
                self._argv(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=surroundings(self.home, {}),
                cwd=self.folder,
            )
        return Process(popen, said)

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        argv, environment = self._argv(arguments), surroundings(self.home, {})
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)

    def _argv(self, arguments: Sequence[object]) -> list[str]:
        inside = [*self.way.entering, "-t", str(self.holder.pid)] if self.way.entering else []
        return [*inside, sys.executable, "-m", "registry.cli", *command(*arguments, home=self.home)]

    def fill(self, part: str) -> None:
        with self._filler(part).open("wb", buffering=0) as out, suppress(OSError):
            while True:
                out.write(bytes(1 << 12))

    def empty(self, part: str) -> None:
        self._filler(part).unlink()

    def _filler(self, part: str) -> Path:
        seen_from = f"/proc/{self.holder.pid}/root" if self.way.entering else ""
        return Path(f"{seen_from}{self.place(part)}/filler")

    def place(self, part: str) -> Path:
        return self.folder / "disks" / part


@dataclass
class Gateway:
    """`twinledger up` on those disks, and what it acknowledged."""

    disks: Disks
    process: Process
    url: str
    acknowledged: set[str] = field(default_factory=set)

    def client(self) -> Client:
        return Client(home=self.disks.home)

    def submit(self, label: str) -> str:
        weights = write_weights(self.disks.folder / f"{label}.safetensors", sum(map(ord, label)))
        with self.client() as client:
            version_id = client.submit(f"local/{label}", [weights], {}, wait=False).version_id
        self.acknowledged.add(version_id)
        return version_id

    def causes(self) -> list[str]:
        status, answer = self._ask("/readyz")
        assert status == (503 if answer["causes"] else 200)
        return list(answer["causes"])

    def is_alive(self) -> bool:
        return self._ask("/healthz")[0] == 200

    def _ask(self, path: str) -> tuple[int, dict[str, list[str]]]:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        connection.request("GET", path)
        response = connection.getresponse()
        found = response.status, json.loads(response.read())
        connection.close()
        return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("full")
    home = folder / "home"
    mounts = []
    for part, path in PARTS.items():
        place, link = folder / "disks" / part, home / path
        place.mkdir(parents=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place if part == "store" else place / link.name)
        mounts.append(f'mount -t tmpfs -o size={32 if part == "store" else 12}m none "{place}"')
    way = next((way for way in WAYS if way.is_open(folder)), None)
    if way is None:
        why = "full disk: this machine lets nobody mount a small one (unshare -Urm, unshare -m, mount, sudo)"
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)
    disks = Disks(folder, way, mounts)
    try:
        process = disks.start("up", "--port", 0)
        try:
            yield Gateway(disks, process, process.wait_for(r"is up at (http\S+)"))
        finally:
            process.stop()
    finally:
        disks.close()


def eventually(holds: Callable[[], bool]) -> None:
    """The limit only keeps a broken run from hanging."""
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)


@pytest.mark.parametrize("part", PARTS)
def test_a_full_disk_is_told_and_nothing_acknowledged_is_lost(gateway: Gateway, part: str) -> None:
    disks = gateway.disks
    gateway.submit(f"before-{part}")
    disks.fill(part)
    assert any(f"the disk of {disks.place(part)} is full" in cause for cause in gateway.causes())
    assert gateway.is_alive()
    if part in BEHIND_THE_ANSWER:
        gateway.submit(f"while-{part}")
    else:
        with pytest.raises(StoreUnavailable) as refused:
            for number in range(1000):  # what has room in a file as it stands is still taken
                gateway.submit(f"while-{part}-{number}")
        assert "free disk space" in refused.value.hint
    disks.empty(part)
    eventually(lambda: gateway.causes() == [])
    gateway.submit(f"after-{part}")
    with gateway.client() as client:
        for version_id in gateway.acknowledged:
            client.wait(version_id, _PATIENCE_S)
        sealed_once_and_charged_once(client, gateway.acknowledged)


@pytest.mark.parametrize("part", ["gateway-log", "openings"])
def test_what_cannot_be_promised_is_not_served(gateway: Gateway, tmp_path: Path, part: str) -> None:
    version_id = gateway.submit("kept")
    out = tmp_path / "out"
    with gateway.client() as client:
        client.wait(version_id)
        gateway.disks.fill(part)
        try:
            with pytest.raises(StoreUnavailable, match=r"the log|the openings"):
                for _ in range(1000):
                    client.retrieve(version_id, tmp_path / "served")
                    shutil.rmtree(tmp_path / "served")
        finally:
            gateway.disks.empty(part)
        eventually(lambda: gateway.causes() == [])
        client.retrieve(version_id, out)
    assert list(out.iterdir()) != []


def test_afterwards_every_part_agrees_with_every_other(gateway: Gateway) -> None:
    assert "Exception in" not in "".join(gateway.process.said)
    assert gateway.process.stop() == 0
    for check in (("doctor",), ("audit", "fsck")):
        done = gateway.disks.run(*check)
        assert done.returncode == 0, done.stdout + done.stderr
