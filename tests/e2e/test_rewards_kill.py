"""kill -9 of the whole installation after every step of a task: nothing is lost, nothing is paid twice."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from nursery import Child, nursery

sys.path.append(str(Path(__file__).parent))

from rewards_world import EVALUATION, cast, plan, train, wait_until  # after the path that finds it

from registry.config import Home
from registry.errors import RegistryError
from registry.sdk import Client


@dataclass
class Installation:
    """`twinledger up` as a process that can be killed; the port stays, so that clients stay valid."""

    home: Home
    process: Child | None = None
    url: str = ""

    def up(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        before = self.home.client.stat().st_mtime_ns if self.home.client.exists() else 0
        words = ("up", "--home", self.home.root, "--port", port)
        self.process = nursery().start(*words, folder=self.home.root.parent, environment=os.environ)
        wait_until(lambda: self.home.client.exists() and self.home.client.stat().st_mtime_ns != before, 120)
        wait_until(self._ready, 60)
        with self.client() as found:
            self.url = found.http.url

    def _ready(self) -> bool:
        try:
            with self.client() as found:
                return bool(found.http.get("/readyz"))
        except RegistryError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def again(self) -> None:
        """Killed without warning, and started again."""
        self.kill()
        self.up()

    def client(self) -> Client:
        return Client(home=self.home.root)


@pytest.fixture
def installation(tmp_path):
    found = Installation(Home(tmp_path / "home").make())
    found.up()
    yield found
    found.kill()


def test_a_task_survives_kills_between_all_its_steps(installation):
    people = cast(installation, "killed", devices=2)
    task = people.sponsor.tasks.create(plan(people, bids_s=6))
    installation.again()
    assert people.sponsor.tasks.show(task.task).escrow == task.escrow
    people.wait_past(task.reveals_until)
    people.sponsor.tasks.begin(task.task, 0, EVALUATION)
    installation.again()
    train(people, task, [200_000, 500_000])
    installation.again()
    entries = people.sponsor.tasks.contributions(task.task, 0)
    assert [len(e.measurements) for e in entries] == [3, 3]
    assert all(e.aggregator_signature for e in entries)
    people.sponsor.tasks.settle(task.task, 0)
    installation.again()
    (round_,) = people.sponsor.tasks.show(task.task).progress
    people.wait_past(round_.claimable_at)
    before = int(people.devices[0].account.show().coin)
    people.devices[0].tasks.claim(task.task)
    installation.again()
    people.devices[0].tasks.claim(task.task)
    assert int(people.devices[0].account.show().coin) - before == 8 * 10**11
    people.devices[1].tasks.recompute(task.task, 0)
    people.close()
