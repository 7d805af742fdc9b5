"""Epochs, miners and statements over REST and the command line, on a running installation."""

import json
from pathlib import Path

import pytest
from conftest import Live

from registry.cli.app import run
from registry.sdk import Client, Receipt

MANIFEST = {"description": "a twin"}


@pytest.fixture
def sealed(client: Client, weights: Path) -> Receipt:
    receipt = client.submit(f"local/{weights.parent.name[:40].lower()}", [weights], MANIFEST, fee="priority")
    assert isinstance(receipt, Receipt)
    return receipt


def test_every_debit_and_credit_sums_to_the_balance(client: Client, sealed: Receipt) -> None:
    found = list(client.account.statement())
    assert sum(int(entry.amount) for entry in found) == int(client.account.show().balance)
    running = 0
    for entry in found:
        running += int(entry.amount)
        assert int(entry.balance) == running
    assert next(e.reason for e in found if e.subject == sealed.version_id) == "fee"
    assert found[0].reason == "deposit"


def test_a_recount_of_the_live_chain_differs_in_nothing(client: Client, sealed: Receipt) -> None:
    counted = client.fees.recompute()
    assert counted.differences == []
    assert counted.balance(client.address) == int(client.account.show().balance)


def test_miners_hold_what_they_earned_until_it_is_audited(client: Client, sealed: Receipt) -> None:
    found = client.fees.miners()
    assert len(found) == 3
    size = sum(miner.sealed_bytes for miner in found)
    assert all(miner.stored_bytes == size and miner.enrolled for miner in found)
    assert all(
        int(m.earned) == int(m.held) + int(m.collected) + int(m.forfeited) and int(m.earned) > 0
        for m in found
    )
    assert sum(miner.sealed for miner in found) >= 1
    assert client.fees.miner(found[0].address) == client.fees.miners()[0]


def test_the_running_epoch_shows_what_it_rests_on(client: Client, sealed: Receipt) -> None:
    closed = list(client.fees.epochs())
    number = closed[-1].last + 1 if closed else 0
    detail = client.fees.epoch(number)
    assert detail.params.slots_per_epoch == 64
    assert detail.first == number


def test_the_commands_answer_in_json(live: Live, sealed: Receipt, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(live.home.root)
    for line, key in (
        (["fees", "epochs"], None),
        (["fees", "recompute"], "differences"),
        (["fees", "quote", "1000"], "priority"),
        (["account", "statement"], None),
        (["miner", "list"], None),
    ):
        assert run([*line, "--home", home, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert key is None or key in document
        assert run([*line, "--home", home]) == 0
        capsys.readouterr()
