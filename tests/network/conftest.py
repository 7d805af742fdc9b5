"""Real engines for these tests: started once per module in a folder of their own, stopped whatever happens.

An engine that is not installed skips its tests by name; in CI (`CI=true`) it fails them, for there nothing
may be left out. The folders lie in /var/tmp, where PostgreSQL's unprivileged user can reach them.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

DEVNET = Path(__file__).parents[2] / "scripts" / "devnet"


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine program of scripts/devnet with a folder."""

    name: str
    folder: Path

    def run(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        argv = [DEVNET / self.name, command, "--dir", self.folder, *options]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def start(self, *options: str) -> dict[str, str]:
        """Start what does not run, and answer the variables that find it."""
        done = self.run("start", *options)
        if done.returncode == 3 and os.environ.get("CI") != "true":
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        pairs = (line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
        return {name: value.strip("'") for name, value in pairs}

    def stop(self, *options: str) -> None:
        assert self.run("stop", *options).returncode == 0

    def pid(self, node: str) -> int:
        return int((self.folder / f"{node}.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def engine() -> Iterator[Callable[[str, str], Engine]]:
    """Make engines by name and folder; they are stopped, and their data removed, at the end of the module."""
    base = Path(tempfile.mkdtemp(prefix="twinledger-", dir="/var/tmp"))
    base.chmod(0o755)
    made: list[Engine] = []

    def make(name: str, folder: str) -> Engine:
        made.append(Engine(name, base / folder))
        return made[-1]

    yield make
    for one in made:
        one.run("stop")
    shutil.rmtree(base)


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds; the limit only keeps a broken engine from hanging the run."""

    def wait(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end, f"{holds} never came to hold"
            time.sleep(0.2)

    return wait
