"""`twinledger demo --rewards`, and what the home it leaves answers to its devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from registry.cli.app import run
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.wiring.up import running


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "registry.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A home in which three devices were paid by a contract's menu for one round."""
    home = tmp_path_factory.mktemp("rewards") / "home"
    done = command(
        "demo", "--home", str(home), "--rewards", "contract", "--devices", "3", "--rounds", "1", "--json"
    )
    assert done.returncode == 0, done.stderr
    return home, json.loads(done.stdout)


def test_every_wei_of_the_demo_is_paid_or_held_and_no_device_loses(played):
    _home, found = played
    paid = [int(row["paid"]) for row in found["paid"]]
    assert int(found["escrow"]) == sum(paid) + int(found["left"])
    assert all(int(row["paid"]) >= int(row["cost"]) for row in found["paid"])
    assert sum(paid) > 0


def test_the_home_answers_what_is_owed_and_the_answer_is_checked_offline(played, tmp_path, capsys):
    home_path, found = played
    home = Home(home_path)
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    account, kept = found["paid"][0]["address"], tmp_path / "owed.json"
    with running(home, settings) as up, in_background(up.gateway.service, settings, up.listener):
        at = ("--home", str(home_path), "--url", up.url)
        assert run(["task", "owed", "1", "--account", account, "-o", str(kept), *at, "--json"]) == 0
        (owed,) = json.loads(capsys.readouterr().out)
        assert owed["leaf"]["amount"] == found["paid"][0]["paid"] and owed["claimed"]
        assert run(["task", "payouts", "1", "--recompute", *at, "--json"]) == 0
        (payouts,) = json.loads(capsys.readouterr().out)
        assert len(payouts["leaves"]) == 3
        assert run(["task", "show", "1", *at]) == 0
        assert run(["task", "list", *at]) == 0
        assert run(["task", "contributions", "1", *at]) == 0
        capsys.readouterr()
        assert run(["show", found["version_id"], *at, "--json"]) == 0
        training = json.loads(capsys.readouterr().out)["manifest"]["training"]
        assert training["task"] == 1
        assert {p["member"] for p in training["participants"]} == {r["address"] for r in found["paid"]}
    assert run(["task", "owed", "--verify", str(kept), "--url", "http://127.0.0.1:9"]) == 0
    assert "lies under that root" in capsys.readouterr().out
    text = kept.read_text().replace(f'"amount": "{owed["leaf"]["amount"]}"', '"amount": "1"')
    kept.write_text(text)
    assert run(["task", "owed", "--verify", str(kept)]) == 5


def test_an_unknown_mechanism_is_refused(tmp_path):
    done = command("demo", "--home", str(tmp_path / "home"), "--rewards", "lottery", "--devices", "1")
    assert done.returncode == 4 and "no mechanism is called 'lottery'" in done.stderr
