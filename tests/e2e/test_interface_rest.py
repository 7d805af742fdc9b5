"""The REST interface as another program meets it: nothing of ours on the client's side."""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak
from outsider import NOTHING, Outsider, Twin, hx, raw_cid, text_cid

VERSION = "(uint64,bytes32,bytes32,bytes32,bytes32[],uint64,bytes32,address)"


@pytest.fixture(scope="session")
def outsider(live) -> Outsider:
    return Outsider(live.home.root, live.url)


@pytest.fixture(scope="session")
def sealed(outsider: Outsider) -> Iterator[Twin]:
    twin = outsider.twin("outside-sealed", 101)
    assert outsider.seal(twin)["version_id"] == twin.id
    yield twin


def call(signature: str, *values: object) -> bytes:
    kinds = signature[signature.index("(") + 1 : -1].replace("VERSION", VERSION)
    name = signature[: signature.index("(")]
    types = [VERSION, *kinds.removeprefix(VERSION).strip(",").split(",")] if VERSION in kinds else [kinds]
    types = [kind for kind in types if kind]
    return keccak(f"{name}({kinds})".encode())[:4] + encode(types, values)


def test_a_client_that_hashes_and_signs_by_itself_gets_a_receipt(outsider, sealed):
    status = outsider.get(f"/v1/submissions/{sealed.id}")
    receipt = status["receipt"]
    assert status["state"] == "final"
    assert set(receipt) == {
        *("schema", "chain_id", "registry", "version_id", "number", "model", "block", "tx_hash"),
        *("event_index", "receipt_proof", "log", "promise"),
    }
    assert set(receipt["receipt_proof"]) == {"header", "tx_index", "nodes"}
    assert receipt["log"] is None or set(receipt["log"]) == {"origin", "index", "inclusion", "checkpoint"}
    assert hx(keccak(bytes.fromhex(receipt["receipt_proof"]["header"][2:]))) == receipt["block"]["hash"]
    assert (receipt["version_id"], receipt["model"], receipt["number"]) == (
        sealed.id,
        "local/outside-sealed",
        1,
    )
    outsider.check_promise(receipt["promise"])


def test_every_form_of_a_reference_names_the_same_version(outsider, sealed):
    name, id_ = "local/outside-sealed", sealed.id
    forms = [name, f"{name}@v1", id_, id_[:10], "0X" + id_[2:].upper(), id_[:30].upper().replace("X", "x")]
    forms += [name.replace("/", "%2F"), name.replace("/", "%2f") + "%40v1"]
    for form in forms:
        assert outsider.get(f"/v1/versions/{form}")["version_id"] == id_, form
        assert outsider.ask("GET", f"/v1/versions/{form}/manifest").body == sealed.manifest
        assert outsider.ask("GET", f"/v1/versions/{form}/files/twin.safetensors").body == sealed.weights


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        *(("local/outside-sealed@v2", 404), ("local/outside-sealed@nobody", 404), ("0xdeadbeef", 404)),
        *(("0xdeadbee", 400), ("Local/outside-sealed", 400), ("local/outside-sealed@latest", 400)),
        *(("local/outside-sealed@v0", 400), ("local/outside-sealed@v01", 400)),
        *(("0xzz", 400), ("local", 400), ("0x", 400)),
    ],
)
def test_a_reference_that_means_nothing_is_told_apart_from_one_that_is_malformed(
    outsider, sealed, reference, status
):
    reply = outsider.ask("GET", f"/v1/versions/{reference}")
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert {"code", "hint", "retryable", "status", "detail"} <= set(reply.json)


def test_an_array_answers_item_by_item(outsider, sealed):
    good = outsider.twin("outside-array", 102)
    outsider.upload(good)
    reply = outsider.post("/v1/submissions", [outsider.signed(good), {"nope": 1}, outsider.signed(sealed)])
    first, second, third = reply.json
    assert reply.status == 202
    assert set(first) == {"version_id", "state", "quote", "promise"}
    assert first["version_id"] == good.id
    outsider.check_promise(first["promise"])
    assert second["code"] == "malformed"
    assert (third["version_id"], third["state"]) == (sealed.id, "final")


def test_a_repeated_submission_is_answered_with_its_receipt(outsider, sealed):
    reply = outsider.post("/v1/submissions", outsider.signed(sealed))
    assert (reply.status, reply.json["state"]) == (202, "final")
    status = outsider.get(f"/v1/submissions/{sealed.id}")
    assert reply.json["receipt"] == status["receipt"]


def test_a_refused_submission_answers_with_the_status_of_its_problem(outsider):
    twin = outsider.twin("outside-refused", 103)
    signed = outsider.signed(twin)
    assert outsider.post("/v1/submissions", signed).status == 409, "its bytes are not held"
    outsider.upload(twin)
    stranger = outsider.signed(twin, Account.create())
    assert outsider.post("/v1/submissions", stranger).status in (401, 403)
    assert outsider.post("/v1/submissions", {**signed, "extra": 1}).status == 400
    number = {**signed, "submission": {**signed["submission"], "max_price": twin.terms["maxPrice"]}}
    assert outsider.post("/v1/submissions", number).status == 400, "wei are strings"
    cheap = replace(twin, terms={**twin.terms, "maxPrice": 1})
    assert outsider.post("/v1/submissions", outsider.signed(cheap)).status == 402


def test_content_goes_in_signed_over_its_cid_and_comes_out_in_ranges(outsider):
    data = b"content of an outsider" * 3
    target = f"/v1/content/{text_cid(raw_cid(data))}"
    assert outsider.ask("HEAD", target).status == 404
    digest = hashlib.sha256(data).digest()
    over_body = outsider.authorization("PUT", target, digest)
    assert outsider.ask("PUT", target, data, over_body).status == 401
    assert outsider.ask("PUT", target, data, outsider.authorization("PUT", target, NOTHING)).status == 200
    assert outsider.ask("PUT", target, data + b"x").status == 422
    unnamed = outsider.ask(
        "PUT", "/v1/content", data, outsider.authorization("PUT", "/v1/content", digest)
    ).json
    assert unnamed == {"cid": target.split("/")[-1], "sha256": hx(digest), "size": len(data)}
    assert outsider.ask("GET", target, headers={"Range": "bytes=3-9"}).body == data[3:10]
    part = outsider.ask("GET", target, headers={"Range": "bytes=-4"})
    assert (part.status, part.body) == (206, data[-4:])
    assert part.headers["content-range"] == f"bytes {len(data) - 4}-{len(data) - 1}/{len(data)}"
    assert outsider.ask("GET", target, headers={"Range": "bytes=9999-"}).status == 416
    tag = part.headers["etag"]
    assert outsider.ask("GET", target, headers={"Range": "bytes=3-9", "If-Range": tag}).status == 206
    assert outsider.ask("GET", target, headers={"Range": "bytes=3-9", "If-Range": '"other"'}).body == data
    known = outsider.ask("GET", target, headers={"If-None-Match": f'"other", {tag}'})
    assert (known.status, known.body, known.headers["etag"]) == (304, b"", tag)
    assert "twinledger-promise" not in known.headers, "nothing was retrieved"
    for shape in ("raw", "car"):
        served = outsider.ask("GET", f"/ipfs/{target.split('/')[-1]}?format={shape}")
        assert served.headers["content-type"].startswith(f"application/vnd.ipld.{shape}")


def test_a_directory_is_no_file_and_says_so_before_its_first_byte(outsider, sealed):
    folder = text_cid(b"\x01\x70\x12\x20" + sealed.version["weightsRoot"])
    for method, target in (("GET", "/v1/content/"), ("GET", "/ipfs/"), ("HEAD", "/ipfs/")):
        reply = outsider.ask(method, target + folder)
        assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json"), target
    assert outsider.ask("GET", f"/ipfs/{folder}?format=raw").status == 200


def test_a_car_of_a_scope_holds_what_the_scope_names(outsider, sealed):
    root = b"\x01\x70\x12\x20" + sealed.version["weightsRoot"]
    folder, block = f"/ipfs/{text_cid(root)}", outsider.ask("GET", f"/ipfs/{text_cid(root)}?format=raw").body
    header = b"\xa2\x65roots\x81\xd8\x2a\x58\x25\x00" + root + b"\x67version\x01"
    assert len(root + block) < 128
    alone = bytes([len(header)]) + header + bytes([len(root + block)]) + root + block
    whole = outsider.ask("GET", f"{folder}?format=car").body
    assert whole.startswith(alone) and len(whole) > len(alone)
    for scope, body in (("all", whole), ("entity", alone), ("block", alone)):
        reply = outsider.ask("GET", f"{folder}?format=car&dag-scope={scope}")
        assert (reply.status, reply.body) == (200, body)
        assert "twinledger-promise" in reply.headers
        head = outsider.ask("HEAD", f"{folder}?format=car&dag-scope={scope}")
        assert (head.status, head.body, head.headers["etag"]) == (200, b"", reply.headers["etag"])
    for query in ("dag-scope=most", "entity-bytes=0:9"):
        reply = outsider.ask("GET", f"{folder}?format=car&{query}")
        assert (reply.status, reply.json["code"]) == (400, "malformed")
    data = b"a file of one block"
    file = f"/ipfs/{text_cid(raw_cid(data))}?format=car"
    outsider.ask("PUT", f"/v1/content/{text_cid(raw_cid(data))}", data)
    assert outsider.ask("GET", f"{file}&dag-scope=entity").body == outsider.ask("GET", file).body


def test_what_a_hash_names_is_kept_by_its_reader_alone_who_asks_again(outsider, sealed):
    root = text_cid(b"\x01\x70\x12\x20" + sealed.version["weightsRoot"])
    folder = f"/ipfs/{root}"
    data = b"bytes that never change"
    file = f"/ipfs/{text_cid(raw_cid(data))}"
    outsider.ask("PUT", file.replace("/ipfs/", "/v1/content/"), data)
    for target in (
        f"{folder}?format=raw",
        f"{folder}?format=car",
        f"{folder}?format=car&dag-scope=block",
        file,
    ):
        for method in ("GET", "HEAD"):
            reply = outsider.ask(method, target)
            assert reply.status == 200
            assert reply.headers["cache-control"] == "private, no-cache", "a cache writes nothing down"
            assert reply.headers["vary"] == "accept"
        held = {"if-none-match": f'"other", W/{reply.headers["etag"]}'}
        again = outsider.ask("GET", target, headers=held)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", reply.headers["etag"])
        assert "twinledger-promise" not in again.headers
    for target, status in ((f"{folder}?format=tar", 400), (f"/ipfs/{text_cid(raw_cid(b'unheld'))}", 404)):
        reply = outsider.ask("GET", target)
        assert (reply.status, "cache-control" in reply.headers) == (status, False)
    signature = outsider.authorization("GET", file, hashlib.sha256(b"").digest())
    signed = outsider.ask("GET", file, headers=signature)
    assert (signed.status, signed.headers["cache-control"]) == (200, "private, no-store")


def test_a_method_that_a_route_lacks_is_told_which_it_has(outsider):
    for target in ("/v1/models", "/v1/deployment"):
        reply = outsider.ask("DELETE", target)
        assert (reply.status, reply.headers["allow"], reply.json["status"]) == (405, "GET", 405)


def test_a_car_of_many_blocks_goes_in_at_once(outsider):
    blocks = [f"block {number}".encode() for number in range(3)]
    cids = [raw_cid(block) for block in blocks]
    roots = bytes([0x80 | len(cids)]) + b"".join(b"\xd8\x2a\x58\x25\x00" + cid for cid in cids)
    header = b"\xa2\x65roots" + roots + b"\x67version\x01"
    car = b"".join(bytes([len(part)]) + part for part in [header]) if len(header) < 128 else None
    if car is None:
        car = bytes([len(header) & 127 | 128, len(header) >> 7]) + header
    car += b"".join(bytes([len(cid + block)]) + cid + block for cid, block in zip(cids, blocks, strict=True))
    reply = outsider.ask("PUT", "/v1/content", car, {"Content-Type": "application/vnd.ipld.car"})
    assert reply.json == {"roots": [text_cid(cid) for cid in cids], "blocks": 3}
    assert outsider.ask("GET", f"/v1/content/{text_cid(cids[1])}").body == blocks[1]


def test_a_signed_request_counts_once_within_five_minutes_and_for_its_own_target(outsider):
    target = "/v1/models?limit=5"
    empty = hashlib.sha256(b"").digest()
    header = outsider.authorization("GET", target, empty, cell="local/tower-1")
    assert outsider.ask("GET", target, headers=header).status == 200
    assert outsider.ask("GET", target, headers=header).status == 401, "its nonce is used"
    other = outsider.authorization("GET", target, empty)
    assert outsider.ask("GET", "/v1/models?limit=6", headers=other).status == 401
    for age in (-400, 400):
        late = outsider.authorization("GET", target, empty, age=age)
        assert outsider.ask("GET", target, headers=late).status == 401
    tampered = outsider.authorization("GET", target, empty)["Authorization"].replace('cell=""', 'cell="a/b"')
    assert outsider.ask("GET", target, headers={"Authorization": tampered}).status == 401


def test_transactions_of_both_kinds_are_relayed_and_an_act_goes_to_its_own_route(outsider, sealed):
    registry = outsider.settings["registry"]
    deposit = call("deposit(address)", outsider.account.address)
    for market in (False, True):
        signed = outsider.transaction(registry, deposit, value=5, market=market)
        reply = outsider.post("/v1/transactions", signed)
        assert reply.status == 202, reply.body
        assert set(reply.json) == {"tx_hash"}
        assert outsider.post("/v1/transactions", signed).json == reply.json, "sending again is harmless"
    alias = call(f"setAlias({VERSION},string)", sealed.abi, "tested")
    for route in (
        "/v1/models/local/outside-sealed/aliases/other",
        "/v1/models/local/elsewhere/aliases/tested",
        f"/v1/versions/{sealed.id}/status",
        f"/v1/submissions/{sealed.id}/cancel",
    ):
        reply = outsider.post(route, outsider.transaction(registry, alias))
        assert reply.status == 400, (route, reply.body)
    route = "/v1/models/local/outside-sealed/aliases/tested"
    assert outsider.post(route, outsider.transaction(registry, deposit, value=1)).status == 400
    assert outsider.post(route, outsider.transaction(registry, alias)).status == 202
    assert outsider.get("/v1/versions/local/outside-sealed@tested")["version_id"] == sealed.id
    status = call(f"setStatus({VERSION},uint8,string)", sealed.abi, 2, "an outsider says so")
    assert outsider.post("/v1/versions/0x" + "ab" * 8 + "/status", {"raw_transaction": "0x"}).status == 404
    reply = outsider.post(f"/v1/versions/{sealed.id[:14]}/status", outsider.transaction(registry, status))
    assert reply.status == 202, reply.body
    assert outsider.get(f"/v1/versions/{sealed.id}")["status"] == "deprecated"


def test_a_payment_is_relayed_and_nothing_else_that_is_no_call_of_ours(outsider):
    payee = Account.create()
    assert outsider.post("/v1/transactions", outsider.transaction(payee.address, "0x", value=7)).status == 202
    assert outsider.get(f"/v1/accounts/{payee.address}")["coin"] == "7"
    for to, data, value in ((payee.address, "0x", 0), (payee.address, "0x00", 7)):
        reply = outsider.post("/v1/transactions", outsider.transaction(to, data, value=value))
        assert (reply.status, reply.json["code"]) == (403, "not_authorized"), reply.body
    elsewhere = outsider.post("/v1/members", outsider.transaction(payee.address, "0x", value=7))
    assert elsewhere.status == 403, "a payment is no act on a member"


def test_an_idempotency_key_belongs_to_who_signed_the_body(outsider):
    first, second = outsider.twin("outside-key-a", 104), outsider.twin("outside-key-b", 105)
    outsider.upload(first)
    key = {"Idempotency-Key": "one"}
    body = outsider.signed(first)
    reply = outsider.post("/v1/submissions", body, key)
    assert reply.status == 202
    assert outsider.post("/v1/submissions", body, key).body == reply.body
    assert outsider.post("/v1/submissions", outsider.signed(second), key).status == 409
    assert outsider.post("/v1/audit/evidence", {"kind": "retrieval"}, key).status == 200
    assert outsider.post("/v1/audit/evidence", {"kind": "refusal"}, key).status == 409
    stranger = outsider.post("/v1/submissions", outsider.signed(second, Account.create()), key)
    assert stranger.status != 409 or "Idempotency-Key" not in stranger.json["detail"]


def test_evidence_takes_its_filters_as_events_does_or_in_the_body(outsider, sealed):
    asked = "model=local/outside-sealed"
    assert outsider.post(f"/v1/audit/evidence?{asked}", {"kind": "refusal"}).status == 400, "in both places"
    assert outsider.post("/v1/audit/evidence?modle=x", {}).status == 400
    with zipfile.ZipFile(io.BytesIO(outsider.post(f"/v1/audit/evidence?{asked}", {}).body)) as case:
        about = json.loads(case.read("proofs/case.json"))["filter"]
    assert about == {"model": "local/outside-sealed"}


def test_events_of_the_gateway_alone_are_on_the_first_page(outsider, sealed):
    outsider.ask("GET", f"/v1/versions/{sealed.id}/files/nothing.bin")
    # An entry is among the events once a checkpoint is over it.
    until = time.monotonic() + 60
    items = []
    while not items and time.monotonic() < until:
        items = outsider.ask("GET", "/v1/audit/events?kind=submission_accepted&limit=1").json["items"]
    assert [item["log"] for item in items] == ["gateway"]


def test_lists_come_in_pages_of_at_most_a_thousand(outsider, sealed):
    outsider.seal(outsider.twin("outside-paged", 106))
    seen, cursor = [], ""
    while cursor is not None:
        page = outsider.get(f"/v1/models?limit=1{cursor and '&cursor=' + cursor}")
        assert set(page) == {"items", "next"}
        seen += [item["model"] for item in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen))
    assert {"local/outside-sealed", "local/outside-paged"} <= set(seen)


def undisturbed(outsider, target):
    """A list whole, its first page of one and the second: read while nobody wrote to it."""
    while True:
        whole = outsider.get(f"{target}?limit=1000")
        first = outsider.get(f"{target}?limit=1")
        following = first["next"]
        second = following and outsider.get(f"{target}?limit=1&cursor={quote(following)}")
        if outsider.get(f"{target}?limit=1000") == whole:
            return whole, first, second


@pytest.mark.parametrize(
    "target",
    [
        *("/v1/models", "/v1/search", "/v1/submissions", "/v1/members", "/v1/cells", "/v1/proposals"),
        *("/v1/fees/epochs", "/v1/miners", "/v1/tasks", "/v1/models/local/outside-sealed"),
        *("/v1/audit/events", "/v1/audit/timeline", "/v1/audit/checkpoints", "/v1/audit/probing"),
        *("/v1/versions/local/outside-sealed@v1/lineage", "/v1/versions/local/outside-sealed@v1/grants"),
        "/v1/accounts/ADDRESS/statement",
    ],
)
def test_every_list_is_paged_by_cursors(outsider, sealed, target):
    target = target.replace("ADDRESS", outsider.account.address)
    whole, first, second = undisturbed(outsider, target)
    assert set(whole) == set(first) == {"items", "next"}
    assert first["items"] == whole["items"][:1]
    assert (first["next"] is not None) == (len(whole["items"]) > 1)
    assert second is None or second["items"] == whole["items"][1:2]
    for limit in ("0", "1001", "x", "-1"):
        assert outsider.ask("GET", f"{target}?limit={limit}").status == 400, limit


def test_addresses_are_taken_in_any_case_and_answered_in_eip_55(outsider):
    address = outsider.account.address
    for spelling in (address.lower(), "0x" + address[2:].upper(), address):
        account = outsider.get(f"/v1/accounts/{spelling}")
        assert account["address"] == address
        assert isinstance(account["balance"], str)
        assert account["balance"].isdigit()


@pytest.mark.parametrize("body", [b"", b"{", b'{"size":1,"size":2}', b'{"size":"1"}', b'{"size":1,"more":1}'])
def test_a_body_that_is_not_exactly_the_shape_is_refused(outsider, body):
    reply = outsider.ask("POST", "/v1/fees/quote", body)
    assert (reply.status, reply.json["code"]) == (400, "malformed")


def test_the_quote_is_in_decimal_strings(outsider):
    quote = outsider.post("/v1/fees/quote", {"size": 1000, "fee_class": 1}).json
    assert int(quote["total"]) == 1000 * (int(quote["rho"]) + int(quote["tax"]))
    assert json.dumps(quote["total"]).startswith('"')
