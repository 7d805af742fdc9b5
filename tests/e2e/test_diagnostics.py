"""What services say on stderr: JSON lines with the id of the request, and never a secret."""

import http.client
import json
import time
from pathlib import Path
from typing import Any

from processes import Process, running

SECRET = "s3cr3t-of-another-service"


def ask(url: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    response = connection.getresponse()
    response.read()
    found = response.status, {name.lower(): text for name, text in response.getheaders()}
    connection.close()
    return found


def told(process: Process, request: str) -> dict[str, Any]:
    """The JSON line about a request, once it is written."""
    for _ in range(200):
        for line in process.said:
            if line.startswith("{") and (found := json.loads(line)).get("request_id") == request:
                return dict(found)
        time.sleep(0.05)
    raise AssertionError(f"{request} is in none of {process.said}")


def test_each_request_is_one_line_of_json_under_its_id_and_nothing_secret_is_said(tmp_path: Path) -> None:
    home = tmp_path / "home"
    given = {"TWINLEDGER_DIAGNOSTICS_FORMAT": "json", "TWINLEDGER_DIAGNOSTICS_LEVEL": "debug"}
    with running("up", "--port", 0, home=home, **given) as up:
        url = up.wait_for(r"is up at (http\S+)")
        status, headers = ask(url, f"/v1/models?q={SECRET}", x_request_id="case-17")
        assert (status, headers["x-request-id"]) == (200, "case-17")
        line = told(up, "case-17")
        assert line["message"] == "GET /v1/models 200"
        assert (line["status"], line["level"], line["logger"]) == (200, "info", "registry.requests")
        assert line["milliseconds"] >= 0 and line["time"].endswith("+00:00")
        status, headers = ask(url, "/v1/cells", authorization=f"Bearer {SECRET}", x_request_id="no good id!")
        assert status == 401
        made = headers["x-request-id"]
        assert made != "no good id!" and told(up, made)["status"] == 401
        assert up.stop() == 0
        said = up.said
    told_in_all = "".join(said)
    assert SECRET not in told_in_all
    # What is no JSON is what `up` itself announces to a person.
    assert [line for line in said if not line.startswith("{")] == [
        line for line in said if "TwinLedger is up at" in line
    ]
    secrets = [json.loads(path.read_text()).get("address", "") for path in (home / "keys").glob("*.json")]
    assert secrets
    assert (home / "keys" / "log.ed25519").read_text().strip() not in told_in_all
