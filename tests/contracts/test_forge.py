"""The fuzz and invariant tests of contracts/test; `scripts/devnet/anvil install` brings forge."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORGE = Path(__file__).parents[2] / "scripts" / "devnet" / "forge"
NOT_INSTALLED = 3
# Read before the fixture that gives each test a home of its own: the tools lie in the real one.
ENVIRONMENT = dict(os.environ)


def test_fuzz_and_invariants_hold():
    done = subprocess.run(
        [sys.executable, FORGE, "test"], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    if done.returncode == NOT_INSTALLED and os.environ.get("CI") != "true":
        pytest.skip(f"forge: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
