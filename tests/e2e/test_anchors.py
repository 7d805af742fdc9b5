"""Both logs anchored on chain by a running installation; a lost gateway log shows; openings end in time."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from conftest import Live, write_weights
from processes import twinledger

from registry.audit.gatewaylog import QUIET_KINDS
from registry.audit.logdb import LogDatabase
from registry.audit.logstore import LogStore
from registry.audit.query import all_rows
from registry.audit.rows import Filter
from registry.audit.trust import parse_trust
from registry.chain.gateway import Contracts
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.core.log import decode_entry
from registry.errors import VerificationFailed
from registry.sdk import Client
from registry.wiring.backends import find_deployment, open_chain
from registry.wiring.up import running


@contextmanager
def installation(home: Home, **options: object) -> Iterator[Live]:
    given = {"api.port": 0, "log.anchor_slots": 2, **{k.replace("__", "."): v for k, v in options.items()}}
    settings = load_settings(home, {}, folder=home.root, options=given).settings
    with running(home, settings) as found, in_background(found.gateway.service, settings, found.listener):
        yield Live(home, settings, found)


@pytest.fixture(scope="module")
def anchored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose logs were anchored, stopped again. Not to be changed: copy it."""
    home = Home(tmp_path_factory.mktemp("anchors") / "home").make()
    with installation(home) as live:
        weights = write_weights(home.root.parent / "w.safetensors", 1)
        with Client(home=home.root) as client:
            client.submit("local/anchored", [weights], {})
        eventually(lambda: all(latest(live, log) for log in ("chain", "gateway")))
        anchors = live.running.gateway.contracts.read("AuditAnchor", "latest", chain_log(live).origin)
        assert chain_log(live).root(anchors[2]) == anchors[0]
    yield home


def chain_log(live: Live):
    return live.running.gateway.logs.chain


def latest(live: Live, which: str) -> int:
    """The anchored size of one of the two logs."""
    logs = live.running.gateway.logs
    log = logs.chain if which == "chain" else logs.gateway.log
    size: int = live.running.gateway.contracts.read("AuditAnchor", "latest", log.origin)[2]
    return size


def newest_news(log: LogStore) -> int:
    """The number of the newest entry that is no anchor."""
    return max(record.index for record in log.entries(0, len(log)) if record.entry.kind not in QUIET_KINDS)


def eventually(holds) -> None:
    """The limit only keeps a broken run from hanging."""
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_both_logs_are_anchored_and_what_was_anchored_is_still_in_them(
    anchored: Home, tmp_path: Path
) -> None:
    home = Home(Path(shutil.copytree(anchored.root, tmp_path / "home")))
    with installation(home, log__anchor_slots=1 << 20) as live:
        assert latest(live, "chain") > 0
        assert latest(live, "gateway") > 0


# An installation that kills itself at one step of its first anchor.
DYING = """
    import os, signal, sys
    from pathlib import Path
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
    send = dying(Sender.send if step == "sent" else lambda *_: None)
    anchoring.Sender = type("Anchoring", (Sender,), {"send": send})
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0, "log.anchor_slots": 1})
    with running(home, settings.settings):
        signal.pause()
"""


@pytest.mark.parametrize("step", ["before", "sent"])
def test_killed_while_it_anchors_it_goes_on_and_all_agrees(anchored: Home, tmp_path: Path, step: str) -> None:
    home = Home(Path(shutil.copytree(anchored.root, tmp_path / "home")))
    command = [sys.executable, "-c", textwrap.dedent(DYING), step, str(home.root)]
    assert subprocess.run(command, check=False, timeout=300).returncode == -signal.SIGKILL
    found = twinledger("doctor", home=home.root)
    assert found.code == 0, found.out
    was, noted = at_rest(home)
    assert (was > max(noted)) == (step == "sent"), "it died before it was written down"
    with installation(home, log__anchor_slots=1) as live:
        live.running.gateway.anchors.check()
        eventually(lambda: latest(live, "gateway") > was)


def at_rest(home: Home) -> tuple[int, set[int]]:
    """Of a home that was stopped: the size of its own log that is on the chain, and those it noted."""
    settings = load_settings(home, {}, folder=home.root).settings
    deployment = find_deployment(settings, home)
    link = open_chain(settings, home, deployment)
    origin = parse_trust(home.trust.read_bytes()).logs[-1][0]
    database = LogDatabase(home.log / "gateway.db", origin)
    entries = [decode_entry(raw) for _, raw in database.bodies(0, 1 << 60)]
    notes = [e.details for e in entries if e.kind == "anchored" and e.details["origin"] == origin]
    anchored: int = Contracts(link, deployment).read("AuditAnchor", "latest", origin)[2]
    database.close()
    link.close()
    return anchored, {int(str(one["size"])) for one in notes}


def test_anchors_alone_cause_no_further_anchor(anchored: Home, tmp_path: Path) -> None:
    home = Home(Path(shutil.copytree(anchored.root, tmp_path / "home")))
    with installation(home, log__anchor_slots=1) as live:
        gateway = live.running.gateway
        # The start is news; its anchor is not, nor that of the chain log, which may be entered after it.
        eventually(lambda: latest(live, "gateway") > newest_news(gateway.logs.gateway.log))
        before = gateway.contracts.link.head().number
        seen = latest(live, "gateway")
        time.sleep(5)
        assert latest(live, "gateway") == seen
        after = gateway.contracts.events(before + 1, gateway.contracts.link.head().number)
        assert len([event for event in after if event.name == "Anchored"]) <= 1


def test_a_gateway_log_that_was_lost_is_refused_at_the_start(anchored: Home, tmp_path: Path) -> None:
    home = Home(Path(shutil.copytree(anchored.root, tmp_path / "home")))
    for file in home.log.glob("gateway.db*"):
        file.unlink()
    with pytest.raises(VerificationFailed, match="were anchored"), installation(home):
        pass


def test_openings_are_deleted_when_their_time_is_over_and_the_log_says_so(
    anchored: Home, tmp_path: Path
) -> None:
    home = Home(Path(shutil.copytree(anchored.root, tmp_path / "home")))
    with installation(home, log__openings_days=0) as live:
        gateway = live.running.gateway
        openings = gateway.logs.gateway.openings
        gateway.anchors.forget()
        assert openings.oldest() is not None, "younger than a day are kept together until then"
        openings._db.execute("UPDATE openings SET time = time - 200000")
        eventually(lambda: openings.oldest() is None)
        log = gateway.logs.gateway.log
        kinds = [record.entry.kind for record in log.entries(0, len(log))]
        assert kinds.count("openings_deleted") == 1
        before = log.entry(kinds.index("openings_deleted")).entry.details["before"]
        rows = all_rows(log, "gateway", Filter(), openings=openings)
        assert not [row.name for row in rows if row.time < before and row.opened]


def test_openings_of_an_earlier_origin_end_in_time_too(anchored: Home, tmp_path: Path) -> None:
    home = Home(Path(shutil.copytree(anchored.root, tmp_path / "home")))
    with installation(home, log__origin="gateway/second") as live:
        (aside,) = live.running.gateway.logs.openings_aside
    with closing(sqlite3.connect(aside)) as db:
        db.execute("UPDATE openings SET time = time - 200000")
        (count,) = db.execute("SELECT COUNT(*) FROM openings").fetchone()
        db.commit()
    assert count > 0
    with installation(home, log__origin="gateway/second", log__openings_days=0) as live:
        live.running.gateway.anchors.forget()
        log = live.running.gateway.logs.gateway.log
        (said,) = (e for n in range(len(log)) if (e := log.entry(n).entry).kind == "openings_deleted")
        assert said.details["count"] == count
    with closing(sqlite3.connect(aside)) as db:
        assert db.execute("SELECT COUNT(*) FROM openings").fetchone() == (0,)
    raw = b"".join(path.read_bytes() for path in aside.parent.glob("openings.db*"))
    assert b"127.0.0.1" not in raw
