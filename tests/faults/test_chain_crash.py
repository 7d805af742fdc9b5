"""The embedded chain under kill -9, a full disk and a second process: real processes, real signals."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from registry.chain.blocks import Genesis
from registry.chain.embedded import EmbeddedChain
from registry.core.signing import KeySigner
from registry.errors import Conflict

CHILD = Path(__file__).parent / "chain_child.py"
ROOT = Path(__file__).parents[2]
KEY = KeySigner(b"\x01" * 32)
GENESIS = Genesis(1337, ((KEY.address, 10**24),))
BLOCKS = 400


def child(folder: Path, what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", CHILD, folder, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def lines(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate()
    # A killed process may leave half a line; what was acknowledged is what was written whole.
    return [line.strip() for line in out.splitlines(keepends=True) if line.endswith("\n")]


def block_hash(folder: Path, number: int) -> bytes:
    chain = EmbeddedChain(folder, GENESIS)
    found = chain.block(number).hash
    chain.close()
    return found


def head_number(folder: Path) -> int:
    chain = EmbeddedChain(folder, GENESIS)
    number = chain.head().number
    chain.close()
    return number


def test_kill_dash_nine_loses_nothing_acknowledged_and_leaves_the_uninterrupted_chain(tmp_path: Path) -> None:
    control = child(tmp_path / "control", str(BLOCKS))
    expected = lines(control)[-1]
    dice = random.Random(20261122)
    killed = 0
    while killed < 4:
        victim = child(tmp_path / "victim", str(BLOCKS))
        assert victim.stdout is not None
        first = victim.stdout.readline()  # it has started to send
        time.sleep(dice.random() * 0.25)
        victim.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in [first, *lines(victim)] if line[:1].isdigit()]
        assert victim.returncode == -signal.SIGKILL, "the child finished before it was killed: raise BLOCKS"
        head = head_number(tmp_path / "victim")
        assert head - acknowledged[-1] in (0, 1)
        assert block_hash(tmp_path / "victim", head) == block_hash(tmp_path / "control", head)
        killed += 1
    assert lines(child(tmp_path / "victim", str(BLOCKS)))[-1] == expected


def test_a_full_disk_is_chain_unavailable_and_heals_without_a_restart(tmp_path: Path) -> None:
    said = lines(child(tmp_path, "starve"))
    full = next(line for line in said if line.startswith("full"))
    healed = next(line for line in said if line.startswith("healed"))
    assert int(healed.split()[1]) > int(full.split()[1])
    assert head_number(tmp_path) == int(healed.split()[1])


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    holder = child(tmp_path, "hold")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Conflict, match=f"process {holder.pid}"):
        EmbeddedChain(tmp_path, GENESIS)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    EmbeddedChain(tmp_path, GENESIS).close()
