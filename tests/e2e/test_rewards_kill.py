"""kill -9 of the whole installation after every step of a task: nothing is lost, nothing is paid twice."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from nursery import Child, nursery

sys.path.append(str(Path(__file__).parent))

from rewards_world import EVALUATION, Cast, cast, plan, train, wait_until  # after the path that finds it

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


def test_three_tasks_survive_kills_between_all_their_steps(installation):
    """One of each mechanism, side by side; the auction's root is challenged and stands."""
    people = cast(installation, "killed", devices=2)
    sponsor, devices = people.sponsor.tasks, [device.tasks for device in people.devices]
    before = coins(people)
    menu = {"rewards": (10, 16), "costs": ((10, 20), (6, 12))}
    lasting = {"bids_s": 25, "reveals_s": 15, "deadline_s": 160}
    tasks = {
        "stackelberg": sponsor.create(plan(people, **lasting)),
        "auction": sponsor.create(
            plan(people, "auction", unit=50, capacity=2, seats=2, **lasting | {"window_s": 20})
        ),
        "contract": sponsor.create(plan(people, "contract", **lasting, **menu)),
    }
    stackelberg, auction, contract = (one.task for one in tasks.values())
    installation.again()
    assert {n: sponsor.show(t.task).escrow for n, t in tasks.items()} == {
        n: t.escrow for n, t in tasks.items()
    }
    bids = [[(10, 40, 1)], [(11, 40, 1)]]
    for kind, (device, own) in enumerate(zip(devices, bids, strict=True)):
        device.bid(auction, own)
        device.choose(contract, kind)
    installation.again()
    people.wait_past(tasks["auction"].bids_until)
    for device, own in zip(devices, bids, strict=True):
        device.reveal(auction, own)
    installation.again()
    people.wait_past(max(task.reveals_until for task in tasks.values()))
    for task in tasks.values():
        sponsor.begin(task.task, 0, EVALUATION)
    installation.again()
    for task in tasks.values():
        train(people, task, [200_000, 500_000])
    installation.again()
    for task in tasks.values():
        entries = sponsor.contributions(task.task, 0)
        assert [len(e.measurements) for e in entries] == [3, 3]
        assert all(e.aggregator_signature for e in entries)
    for task in (contract, stackelberg, auction):
        sponsor.settle(task, 0)
    account = str(people.devices[0].address)
    sponsor.challenge(auction, 0, "it bid less than it says", account=account)
    installation.again()
    assert sponsor.show(auction).progress[0].state == "frozen"
    sponsor.decide(auction, 0, upheld=False, reason="it is what was revealed")
    installation.again()
    people.wait_past(max(sponsor.show(task.task).progress[0].claimable_at for task in tasks.values()))
    held = [int(device.account.show().coin) for device in people.devices]
    for task in tasks.values():
        devices[0].claim(task.task)
    installation.again()
    for device in devices:
        for task in tasks.values():
            device.claim(task.task)
    gained = [int(d.account.show().coin) - h for d, h in zip(people.devices, held, strict=True)]
    # Accuracies of 0.8 and 0.5 at the unit; winners without a rival at their value; the items of the menu.
    assert gained == [8 * 10**11 + 40 + 10, 5 * 10**11 + 40 + 16]
    for task in tasks.values():
        devices[1].recompute(task.task, 0)
    people.wait_past(max(task.deadline for task in tasks.values()))
    sponsor.refund(stackelberg)
    installation.again()
    for task in (auction, contract):
        sponsor.refund(task)
    assert coins(people) == before, "what was put in was paid, given back, or is lost"
    people.close()


def coins(people: Cast) -> int:
    """What everybody in the task holds together; gas costs nothing on the embedded chain."""
    return sum(int(client.account.show().coin) for client in people.clients)
