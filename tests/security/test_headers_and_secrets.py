"""What a browser may do with an answer, and what never reaches a log, an error or an answer."""

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from callers import STRANGER, Ask, second_app, signed
from conftest import Live, write_weights
from eth_keyfile.keyfile import extract_key_from_keyfile
from hostile import Answer

from registry.api.app import create_app
from registry.api.guard import HEADERS, SEALED, Guard
from registry.cli.app import run
from registry.keystore import open_keystore
from registry.sdk import Client

PASSPHRASE = "correct horse battery staple 7f3a"


def header(answer: Answer, name: str) -> str | None:
    return next((value for key, value in answer.headers.items() if key.lower() == name), None)


@pytest.mark.parametrize(
    "target", ["/v1/models", "/healthz", "/v1/nothing", "/log/chain/checkpoint", "/v1/content/x"]
)
def test_every_answer_forbids_sniffing_framing_and_scripts(live: Live, target: str) -> None:
    answer = Ask("GET", target).send(live.url)
    for name, value in HEADERS.items():
        assert header(answer, name) == value
    assert header(answer, "content-security-policy") == SEALED


def test_no_other_origin_is_let_in(live: Live) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = Ask(method, "/v1/models").send(
            live.url, origin="https://elsewhere.example", access_control_request_method="POST"
        )
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_answers_to_signed_requests_stay_out_of_shared_caches(live: Live) -> None:
    domain = live.running.gateway.contracts.domain
    for target in ("/v1/models", "/log/chain/checkpoint"):
        request = Ask("GET", target)
        answer = request.send(live.url, signed(request, live.running.keys.member, domain))
        assert header(answer, "cache-control") == "private, no-store"


def test_the_page_of_the_documentation_may_run_its_scripts_and_is_not_framed(live: Live) -> None:
    assert header(Ask("GET", "/docs").send(live.url), "content-security-policy") == "frame-ancestors 'none'"


def test_tls_is_remembered_by_browsers_only_where_it_is_on(live: Live, tmp_path: Path) -> None:
    assert header(Ask("GET", "/healthz").send(live.url), "strict-transport-security") is None
    secure = replace(live.settings, api=replace(live.settings.api, tls_certificate_file=tmp_path / "c.pem"))
    guard = next(
        m for m in create_app(live.running.gateway.service, secure).user_middleware if m.cls is Guard
    )
    assert guard.kwargs == {"tls": True}


def test_metrics_are_for_members_where_the_group_is(live: Live) -> None:
    with second_app(live, "members") as url:
        assert Ask("GET", "/metrics").send(url).code == "unauthenticated"
    assert Ask("GET", "/metrics").send(live.url).status == 200


def test_a_secret_meant_for_another_service_is_not_written_down(live: Live) -> None:
    secret = "s3cr3t-of-another-service"
    for value in (f"Bearer {secret}", f"TwinLedger address={secret}", f"TwinLedger password={secret}"):
        assert Ask("GET", "/v1/cells").send(live.url, value).code == "unauthenticated"
    assert secret not in json.dumps(refusals(live, "/v1/cells", at_least=3))
    assert not [path for path in written(live) if secret.encode() in path.read_bytes()]


def test_a_signer_who_is_refused_is_named_and_a_forger_names_nobody(live: Live) -> None:
    request = Ask("GET", "/v1/audit/trace?device=nobody-in-particular")
    domain = live.running.gateway.contracts.domain
    with second_app(live, "members") as url:
        honest = signed(request, STRANGER, domain)
        assert request.send(url, honest).code == "not_authorized"
        assert request.send(url, honest[:-2] + "00").code == "unauthenticated"
    told = [(row["actor"], row["claimed"]) for row in refusals(live, "/v1/audit/trace", at_least=2)]
    assert (STRANGER.address, None) in told
    assert (None, STRANGER.address) in told


def test_no_key_or_passphrase_is_in_anything_that_is_written_or_said(
    live: Live,
    client: Client,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(PASSPHRASE)
    wrong.write_text(PASSPHRASE[::-1])
    home = ["--home", str(tmp_path / "home")]
    keystore = tmp_path / "home" / "keys" / "mine.json"
    member = ["--url", live.url, "--key", str(keystore), "--password-file"]
    codes = [
        run([*home, "key", "new", "mine", "--password-file", str(right)]),
        run([*home, "key", "show", "mine"]),
        run([*home, "config", "show"]),
        run([*home, *member, str(wrong), "account", "show"]),
        run([*home, *member, str(right), "account", "show"]),
    ]
    assert codes[:4] == [0, 0, 0, 4]
    client.submit("local/secretive", [write_weights(tmp_path / "w.safetensors", 5)], {})
    keys = (
        open_keystore(keystore, right),
        live.running.keys.member,
        live.running.keys.gateway,
        *live.running.keys.miners,
    )
    answers = [Ask("GET", target).send(live.url).body for target in ("/v1/members", "/metrics", "/readyz")]
    out, err = capfd.readouterr()
    told = "\n".join([caplog.text, out, err, repr(answers), *map(repr, keys), *map(str, keys)]).lower()
    files = written(live)
    assert files
    secrets = {
        secret_of(keystore, PASSPHRASE),
        *(secret_of(path, "") for path in live.home.keys.glob("*.json")),
    }
    assert len(secrets) > len(live.running.keys.miners) + 1
    for secret in (PASSPHRASE, PASSPHRASE[::-1], *secrets):
        assert secret not in told
        assert not [path for path in files if secret.encode() in path.read_bytes().lower()]


def refusals(live: Live, target: str, at_least: int) -> list[dict[str, Any]]:
    """The refusals of a target in the gateway's log, once a checkpoint covers that many."""
    for _ in range(100):
        rows: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = Ask("GET", f"/v1/audit/events?log=gateway&kind=refusal&limit=1000{cursor}").send(live.url)
            rows += [row for row in page.body["items"] if row["details"]["target"] == target]
            cursor = f"&cursor={page.body['next']}" if page.body["next"] else None
        if len(rows) >= at_least:
            return rows
        time.sleep(0.1)
    raise AssertionError(f"{target} was refused {len(rows)} times")


def secret_of(keystore: Path, passphrase: str) -> str:
    """The secret scalar as hex."""
    return extract_key_from_keyfile(str(keystore), passphrase.encode()).hex()


def written(live: Live) -> list[Path]:
    """Every file of the home but the keystores, which hold secrets under their passphrase."""
    return [
        path
        for path in live.home.root.rglob("*")
        if path.is_file() and path.parent != live.home.keys and path.stat().st_size < 32 << 20
    ]
