"""Every bad input gets its own error with a hint, and harms no later honest attempt."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Live, write_weights
from hostile import Answer, ask, changed, post, sign

from registry.core.canonical import canonical
from registry.core.cid import Cid
from registry.core.ids import sha256
from registry.core.signing import KeySigner
from registry.core.version import Domain
from registry.errors import Conflict, Malformed, NotAuthorized, RegistryError
from registry.sdk import Client, Receipt
from registry.sdk.submitting import Prepared, Work
from registry.storage.unixfs import import_file
from registry.wire import submission_of

Send = Callable[..., Answer]


@pytest.fixture
def prepared(client: Client, weights: Path, request: pytest.FixtureRequest) -> Prepared:
    """An honest submission whose content is uploaded and that nobody has sent yet."""
    name = request.node.name.replace("_", "-").split("[")[0][:60].rstrip("-")
    made = client._submitter.prepare(Work(f"local/{name}", [weights], {}))
    client._submitter._upload(made)
    return made


@pytest.fixture
def domain(live: Live) -> Domain:
    return live.running.gateway.contracts.domain


@pytest.fixture
def send(live: Live, prepared: Prepared, domain: Domain) -> Send:
    """Send the submission with some fields changed, signed by the member or another key."""

    def act(signer: Any = None, **changes: Any) -> Answer:
        body = changed(prepared, signer or live.running.keys.member, domain, **changes)
        return post(live.url, "/v1/submissions", body)

    return act


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["hint"]
    assert answer.body["detail"]


def still_works(client: Client, prepared: Prepared) -> None:
    """The honest submission is taken and sealed after all that."""
    client._submitter.send(prepared)
    assert client.wait(prepared.version_id).version_id == prepared.version_id


def test_a_missing_signature_is_malformed(live: Live, client: Client, prepared: Prepared) -> None:
    refused(
        post(live.url, "/v1/submissions", {"submission": prepared.signed.submission.model_dump()}),
        400,
        "malformed",
    )
    still_works(client, prepared)


def test_a_strangers_signature_is_unauthenticated(send: Send, client: Client, prepared: Prepared) -> None:
    refused(send(signer=KeySigner(b"\7" * 32)), 401, "unauthenticated")
    still_works(client, prepared)


def test_a_high_s_signature_is_unauthenticated(live: Live, prepared: Prepared) -> None:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    body = prepared.signed.model_dump(mode="json")
    raw = bytes.fromhex(body["signature"][2:])
    twisted = (
        raw[:32] + (order - int.from_bytes(raw[32:64], "big")).to_bytes(32, "big") + bytes([55 - raw[64]])
    )
    refused(
        post(live.url, "/v1/submissions", body | {"signature": "0x" + twisted.hex()}), 401, "unauthenticated"
    )


def test_another_domain_is_unauthenticated(live: Live, prepared: Prepared, domain: Domain) -> None:
    elsewhere = Domain(domain.chain_id + 1, domain.contract)
    body = sign(submission_of(prepared.signed.submission), live.running.keys.member, elsewhere)
    refused(post(live.url, "/v1/submissions", body), 401, "unauthenticated")


def test_a_non_member_is_not_authorized(live: Live, prepared: Prepared, domain: Domain) -> None:
    stranger = KeySigner(b"\11" * 32)
    body = changed(prepared, stranger, domain, submitter=stranger.address)
    refused(post(live.url, "/v1/submissions", body), 403, "not_authorized")


def test_a_foreign_namespace_is_not_authorized(send: Send, client: Client, weights: Path) -> None:
    refused(send(namespace_id=99), 403, "not_authorized")
    with pytest.raises(NotAuthorized, match="member add"):
        raise_with_hint(lambda: client.submit("elsewhere/x", [weights], {}))


def raise_with_hint(act: Callable[[], object]) -> None:
    try:
        act()
    except RegistryError as e:
        raise type(e)(f"{e.message} {e.hint}") from e


def test_a_past_deadline_is_expired(send: Send) -> None:
    now = int(time.time())
    refused(send(issued_at=now - 7200, deadline=now - 3600), 410, "expired")


def test_a_deadline_beyond_a_day_is_expired(send: Send) -> None:
    now = int(time.time())
    refused(send(issued_at=now, deadline=now + 86_401), 410, "expired")


def test_an_issue_date_in_the_future_is_expired(send: Send) -> None:
    now = int(time.time())
    refused(send(issued_at=now + 5000, deadline=now + 6000), 410, "expired")


def test_an_unknown_parent_is_refused(client: Client, weights: Path) -> None:
    with pytest.raises(Conflict, match="parent"):
        client.submit("local/orphan", [weights], {}, parents=["0x" + "ab" * 32])


def test_content_that_is_not_held_is_named(live: Live, client: Client, weights: Path) -> None:
    made = client._submitter.prepare(Work("local/not-held", [weights], {"description": "never uploaded"}))
    answer = post(live.url, "/v1/submissions", made.signed.model_dump(mode="json"))
    refused(answer, 409, "conflict")
    assert "PUT /v1/content/" in answer.body["hint"]


def test_a_wrong_size_is_refused(send: Send, client: Client, prepared: Prepared) -> None:
    refused(send(size=prepared.manifest.size + 1), 422, "invalid_manifest")
    still_works(client, prepared)


def test_a_directory_that_differs_from_weights_root_is_refused(send: Send) -> None:
    refused(send(weights_root=b"\1" * 32), 422, "verification_failed")


def test_a_price_below_the_menu_is_too_low(send: Send) -> None:
    refused(send(max_price=1), 402, "fee_too_low")


def test_an_empty_escrow_is_too_low(send: Send) -> None:
    refused(send(max_price=(1 << 128) - 1), 402, "fee_too_low")


def test_bytes_that_differ_from_their_cid_are_refused(live: Live, client: Client) -> None:
    cid = import_file([b"these bytes"]).cid
    refused(ask(live.url, "PUT", f"/v1/content/{cid}", b"other bytes"), 422, "verification_failed")
    assert ask(live.url, "PUT", f"/v1/content/{cid}", b"these bytes").status == 200
    assert ask(live.url, "GET", f"/v1/content/{cid}").body == b"these bytes"


@pytest.mark.parametrize(
    "cid", ["Qmabc", "bafy", "BAFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU", "x" * 300]
)
def test_a_cid_of_another_form_is_malformed(live: Live, cid: str) -> None:
    refused(ask(live.url, "PUT", f"/v1/content/{cid}", b"x"), 400, "malformed")


def test_a_manifest_over_1_mib_is_refused(client: Client, weights: Path) -> None:
    with pytest.raises(RegistryError, match="1048576"):
        client.submit("local/huge", [weights], {"x": {"filler": "a" * (1 << 20)}})


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', '{"metrics":{"x":NaN}}', '{"metrics":{"x":1e999}}', "{", '{"x":"\\ud800"}', ""],
)
def test_json_that_is_not_strict_is_malformed(live: Live, text: str) -> None:
    answer = ask(live.url, "POST", "/v1/submissions", text.encode(), content_type="application/json")
    refused(answer, 400, "malformed")


def with_manifest(live: Live, prepared: Prepared, domain: Domain, **members: Any) -> Answer:
    """Submit with a manifest that no honest client would build."""
    value = json.loads(prepared.manifest.bytes) | members
    raw = canonical(value)
    cid = import_file([raw]).cid
    assert ask(live.url, "PUT", f"/v1/content/{cid}", raw).status == 200
    size = sum(file["size"] for file in value["files"]) + len(raw)
    body = changed(prepared, live.running.keys.member, domain, manifest=sha256(raw), size=size)
    return post(live.url, "/v1/submissions", body)


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../b", "a\\b", "", "a//b", "c:/x"])
def test_a_path_that_leaves_the_folder_is_refused(
    live: Live, prepared: Prepared, domain: Domain, path: str
) -> None:
    files = json.loads(prepared.manifest.bytes)["files"]
    answer = with_manifest(live, prepared, domain, files=[files[0] | {"path": path}])
    refused(answer, 422, "invalid_manifest")


def test_duplicate_file_names_are_refused(live: Live, prepared: Prepared, domain: Domain) -> None:
    files = json.loads(prepared.manifest.bytes)["files"]
    refused(with_manifest(live, prepared, domain, files=files * 2), 422, "invalid_manifest")


def test_an_unknown_manifest_key_is_refused(live: Live, prepared: Prepared, domain: Domain) -> None:
    refused(with_manifest(live, prepared, domain, surprise=1), 422, "invalid_manifest")


def test_a_sha256_that_is_not_the_files_is_refused(live: Live, prepared: Prepared, domain: Domain) -> None:
    files = json.loads(prepared.manifest.bytes)["files"]
    answer = with_manifest(live, prepared, domain, files=[files[0] | {"sha256": "0x" + "00" * 32}])
    refused(answer, 422, "verification_failed")


def test_manifest_bytes_that_are_not_canonical_are_refused(
    live: Live, prepared: Prepared, domain: Domain
) -> None:
    raw = json.dumps(json.loads(prepared.manifest.bytes), indent=1).encode()
    ask(live.url, "PUT", f"/v1/content/{import_file([raw]).cid}", raw)
    size = prepared.manifest.size - len(prepared.manifest.bytes) + len(raw)
    body = changed(prepared, live.running.keys.member, domain, manifest=sha256(raw), size=size)
    refused(post(live.url, "/v1/submissions", body), 422, "invalid_manifest")


def test_a_pickle_is_refused_by_content(client: Client, tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps({"w": [1.0]}))
    with pytest.raises(RegistryError):
        client.submit("local/pickled", [path], {})


def test_a_truncated_upload_leaves_nothing(live: Live) -> None:
    import socket

    cid = import_file([b"a" * 1000]).cid
    host, port = live.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(
            f"PUT /v1/content/{cid} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n".encode() + b"a" * 500
        )
    time.sleep(0.3)
    assert ask(live.url, "GET", f"/v1/content/{cid}").status == 404
    assert ask(live.url, "PUT", f"/v1/content/{cid}", b"a" * 1000).status == 200


def test_a_replayed_submission_is_answered_and_charged_once(
    live: Live, client: Client, prepared: Prepared
) -> None:
    still_works(client, prepared)
    before = client.account.show().balance
    for _ in range(3):
        answer = post(live.url, "/v1/submissions", prepared.signed.model_dump(mode="json"))
        assert answer.status == 202
        assert answer.body["state"] in {"sealed", "final"}
    assert client.account.show().balance == before


def test_a_replayed_signed_request_is_unauthenticated(live: Live, client: Client) -> None:
    target = "/v1/models"
    headers = client.http._signed("GET", target, b"")
    assert ask(live.url, "GET", target, **headers).status == 200
    refused(ask(live.url, "GET", target, **headers), 401, "unauthenticated")


def test_a_signature_over_another_target_is_unauthenticated(live: Live, client: Client) -> None:
    headers = client.http._signed("GET", "/v1/models", b"")
    refused(ask(live.url, "GET", "/v1/members", **headers), 401, "unauthenticated")


def test_an_idempotency_key_with_another_body_is_a_conflict(live: Live) -> None:
    def quote(size: int) -> Answer:
        body = json.dumps({"size": size}).encode()
        return ask(live.url, "POST", "/v1/fees/quote", body, idempotency_key="quote-1")

    first = quote(10)
    assert first.status == 200
    assert quote(10).body == first.body
    refused(quote(11), 409, "conflict")


def test_each_item_of_an_array_has_its_own_result(live: Live, client: Client, prepared: Prepared) -> None:
    good = prepared.signed.model_dump(mode="json")
    forged = good | {"signature": "0x" + "11" * 65}
    answer = post(live.url, "/v1/submissions", [forged, good, {"nonsense": 1}])
    assert answer.status == 202
    codes = [item.get("code") for item in answer.body]
    assert codes == ["unauthenticated", None, "malformed"]
    assert client.wait(prepared.version_id).version_id == prepared.version_id


def test_an_array_over_200_is_too_large(live: Live) -> None:
    refused(post(live.url, "/v1/submissions", [{}] * 201), 413, "too_large")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/search?limit=0",
        "/v1/search?limit=x",
        "/v1/search?unknown=1",
        "/v1/search?near=abc",
        *(f"/v1/search?near={place}" for place in ("91,0", "0,-181", "nan,0", "1e400,2")),
        *(f"/v1/search?carrier_hz={span}" for span in ("5..1", "..5", "nan..5", "1..inf")),
        *(f"/v1/search?metric={metric}" for metric in ("x", "x%3Cnan", "x%3Cinf")),
        *("/v1/search?q=a&q=b", "/v1/search?carrier_hz=1..2&carrier_hz=3..4"),
        *("/v1/audit/probing?since=9&until=1", "/v1/audit/probing?kind=odd"),
        *("/v1/audit/events?since=1&since=2", "/v1/audit/impact/0x12345678?since=1"),
        *("/v1/audit/checkpoints?since=1", "/v1/audit/consistency?old=1&new=2"),
        "/v1/audit/complete?key=kind:registered&until=3",
        "/v1/search?cursor=zzz",
        "/v1/models?limit=5000",
        "/v1/submissions?state=odd",
        "/v1/versions/0x12",
    ],
)
def test_a_query_that_makes_no_sense_is_malformed(live: Live, target: str) -> None:
    refused(ask(live.url, "GET", target), 400, "malformed")


def test_what_is_not_there_is_not_found(live: Live) -> None:
    cid = Cid(0x55, b"\3" * 32)
    for target in (
        "/v1/versions/local/nothing",
        "/v1/nothing",
        f"/v1/content/{cid}",
        "/v1/submissions/0x" + "00" * 32,
    ):
        refused(ask(live.url, "GET", target), 404, "not_found")


def test_what_is_not_there_is_looked_for_where_it_would_be(live: Live) -> None:
    for target, verb in (
        ("/v1/submissions/0x" + "ab" * 32, "twinledger submission list"),
        ("/v1/fees/epochs/99999999", "twinledger fees epochs"),
    ):
        answer = ask(live.url, "GET", target)
        refused(answer, 404, "not_found")
        assert verb in answer.body["hint"]


def test_a_manifest_that_is_no_json_is_named(client: Client, weights: Path, tmp_path: Path) -> None:
    broken = tmp_path / "manifest.json"
    broken.write_text("{nope")
    with pytest.raises(Malformed, match=r"manifest\.json"):
        client.submit("local/broken", [weights], broken)


@pytest.mark.parametrize("wei", [-1, 1 << 128])
def test_an_amount_that_no_escrow_can_hold_is_malformed(client: Client, wei: int) -> None:
    with pytest.raises(Malformed, match="cannot be in escrow"):
        client.account.withdraw(wei)


def test_two_processes_on_one_home_are_a_conflict(live: Live) -> None:
    command = [sys.executable, "-m", "registry.cli", "up", "--home", str(live.home.root), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert "hint:" in done.stderr


def test_a_port_in_use_is_a_conflict(live: Live, tmp_path: Path) -> None:
    port = live.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "registry.cli", "up", "--home", str(tmp_path / "h"), "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert "--port" in done.stderr


def test_after_all_this_an_honest_submission_is_sealed(client: Client, tmp_path: Path) -> None:
    receipt = client.submit("local/honest", [write_weights(tmp_path / "w.safetensors", 1)], {})
    assert isinstance(receipt, Receipt)
