"""PostgreSQL restarted under a gateway in the middle of its transactions: crashed, and shut down in order.

Index and pool lie in it. The gateway is never restarted: it says why it is not ready, goes on by itself, and
what it had acknowledged is sealed once.
"""

import http.client
import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from load import Load, sealed_once_and_charged_once
from processes import running, succeed

from registry.sdk import Client


def readiness(url: str) -> tuple[int, list[str]]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, json.loads(response.read())["causes"]
    finally:
        connection.close()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_gateway_outlives_crash_and_restart_of_its_database(
    engine: Callable[[str], Any], tmp_path: Path
) -> None:
    postgres = engine("postgres")
    home = tmp_path / "home"
    home.mkdir()
    (home / "dsn").write_text(postgres.start()["TWINLEDGER_POSTGRES"])
    (home / "twinledger.toml").write_text('database = "postgresql"\n[postgresql]\ndsn_file = "dsn"\n')
    with running("up", "--port", 0, home=home) as up:
        url = up.wait_for(r"is up at (http\S+)")
        load = Load(home, tmp_path)
        with load.running():
            # What `pg_ctl -m immediate` and `pg_ctl -m fast` send.
            for how in (signal.SIGQUIT, signal.SIGINT):
                load.goes_on()
                pid = postgres.pid("postgres")
                os.kill(pid, how)
                load.meets_the_fault()
                load.eventually(partial(is_gone, pid))
                status, causes = readiness(url)
                assert status == 503
                assert any("store_unavailable: the database" in cause for cause in causes), causes
                if how == signal.SIGQUIT:
                    up.wait_for("(the housekeeping waits)")  # so that each part has met the fault
                postgres.start()
                load.eventually(lambda: readiness(url) == (200, []))
                load.goes_on()
        refused = [error for error in load.unavailable if error.code == "store_unavailable"]
        assert refused and all("start the database" in error.hint for error in refused)
        with Client(home=home) as client:
            for version_id in load.acknowledged:
                client.wait(version_id)
            sealed_once_and_charged_once(client, set(load.acknowledged))
        said = "".join(up.said)
        assert "Exception in" not in said, said
        assert succeed("doctor", home=home)
        assert up.stop() == 0
    succeed("doctor", home=home)
    succeed("audit", "fsck", home=home)
