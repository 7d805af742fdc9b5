"""A signal that comes at any moment of a start or a stop ends the process in order."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from registry.wiring.ending import ending


def test_a_signal_during_the_start_is_heard_once_somebody_listens() -> None:
    told: list[str] = []
    with ending() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert told == []
        asked.tell(lambda: told.append("stop"))
        assert told == ["stop"]


def test_a_signal_after_the_start_is_heard_at_once_and_the_old_handlers_come_back() -> None:
    told: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    with ending() as asked:
        asked.tell(lambda: told.append("stop"))
        os.kill(os.getpid(), signal.SIGTERM)
    assert told == ["stop"]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("moment", ["chain", "trust.json"])
def test_up_that_is_ended_while_it_starts_leaves_in_order(tmp_path: Path, moment: str) -> None:
    """From the first file of the home on, SIGTERM is exit 0, and a restart has nothing to mend."""
    home = tmp_path / "home"
    command = [sys.executable, "-m", "registry.cli", "up", "--home", str(home), "--port", "0"]
    with (tmp_path / "up.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    while not list(home.glob(f"{moment}*")):
        assert process.poll() is None, (tmp_path / "up.log").read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0, (tmp_path / "up.log").read_text()
