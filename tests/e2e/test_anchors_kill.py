"""kill -9 of an installation while it anchors: before the transaction, after it, and after it was noted."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import write_weights
from processes import twinledger

from registry.config import Home
from registry.sdk import Client

sys.path.append(str(Path(__file__).parent))

from test_anchors import eventually, installation, latest  # after the path that finds it

# An installation that kills itself at one step of its first anchor.
DYING = """
    import os, signal, sys
    from pathlib import Path
    from registry.audit.gatewaylog import GatewayLog
    from registry.chain.sender import Sender
    from registry.config import Home, load_settings
    from registry.wiring import anchoring
    from registry.wiring.up import running

    def dying(act):
        def acts_and_dies(*args, **given):
            act(*args, **given)
            os.kill(os.getpid(), signal.SIGKILL)
        return acts_and_dies

    step, home = sys.argv[1], Home(Path(sys.argv[2]))
    if step == "noted":
        GatewayLog.anchored = dying(GatewayLog.anchored)
    else:
        send = dying(Sender.send if step == "sent" else lambda *_: None)
        anchoring.Sender = type("Anchoring", (Sender,), {"send": send})
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0, "log.anchor_slots": 1})
    with running(home, settings.settings):
        signal.pause()
"""


@pytest.mark.parametrize("step", ["before", "sent", "noted"])
def test_killed_while_it_anchors_it_goes_on_and_all_agrees(tmp_path: Path, step: str) -> None:
    home = Home(tmp_path / "home").make()
    with installation(home, log__anchor_slots=1 << 20), Client(home=home.root) as client:
        client.submit("local/anchored", [write_weights(tmp_path / "w.safetensors", 1)], {})
    command = [sys.executable, "-c", textwrap.dedent(DYING), step, str(home.root)]
    assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL
    found = twinledger("doctor", home=home.root)
    assert found.code == 0, found.out
    with installation(home, log__anchor_slots=1) as live:
        was = latest(live, "gateway")
        assert (was > 0) == (step != "before")
        live.running.gateway.anchors.check()
        eventually(lambda: latest(live, "gateway") > was and latest(live, "chain") > 0)
    found = twinledger("doctor", home=home.root)
    assert found.code == 0, found.out
