"""The fuzz and invariant tests of contracts/test; `scripts/devnet/anvil install` brings forge.

`scripts/soak forge` runs them for long: it sets what forge reads, and is told how many calls there were.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from contracts import artifact

FORGE = Path(__file__).parents[2] / "scripts" / "devnet" / "forge"
NOT_INSTALLED = 3
# Read before the fixture that gives each test a home of its own: the tools lie in the real one.
ENVIRONMENT = dict(os.environ)
CONTRACTS = ("Consortium", "TwinRegistry", "StorageMarket", "RewardPool", "AuditAnchor")


def test_fuzz_and_invariants_hold():
    done = subprocess.run(
        [sys.executable, FORGE, "test"], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    if done.returncode == NOT_INSTALLED and os.environ.get("CI") != "true":
        pytest.skip(f"forge: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
    assert not_called(done.stdout) == set()
    if told := ENVIRONMENT.get("TWINLEDGER_TEST_COUNTS"):
        Path(told).write_text(json.dumps(calls(done.stdout)))


def not_called(report: str) -> set[tuple[str, str]]:
    """The functions that no invariant test called: the outsiders call every one of every contract."""
    called = {
        (contract, function)
        for contract, function, count in re.findall(r"\| (\w+) +\| (\w+) +\| (\d+) ", report)
        if int(count)
    }
    return {
        (name, entry["name"])
        for name in CONTRACTS
        for entry in artifact(name).abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    } - called


def calls(report: str) -> Counter[str]:
    """How many calls the invariants lived through, and how many inputs the fuzz tests had."""
    found: Counter[str] = Counter()
    for kind, pattern in (("calls", r"calls: (\d+)"), ("fuzzed inputs", r"testFuzz\w+\(.*runs: (\d+)")):
        found[kind] = sum(map(int, re.findall(pattern, report)))
    return found
