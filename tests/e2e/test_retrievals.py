"""Whoever takes bytes of a sealed version, by whatever route, is written down and holds a promise of it."""

import json
import os
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Live, write_weights
from hostile import Answer, ask

from miners.node import HttpSource
from registry.core.access import authorize
from registry.core.cid import Cid, manifest_cid, weights_cid
from registry.core.ids import hex32, sha256
from registry.core.note import VerifierKey
from registry.core.promise import Promise, verify_promise
from registry.keystore import open_keystore
from registry.sdk import Client, Receipt

PROMISE = "twinledger-promise"


@pytest.fixture
def sealed(client: Client, tmp_path: Path, request: pytest.FixtureRequest) -> Receipt:
    name = "local/" + sha256(request.node.name.encode()).hex()[:16]
    receipt = client.submit(
        name,
        [
            write_weights(
                tmp_path / "w.safetensors", int.from_bytes(sha256(request.node.name.encode())[:4], "big")
            )
        ],
        {},
    )
    assert isinstance(receipt, Receipt)
    return receipt


def cids_of(client: Client, receipt: Receipt) -> dict[str, str]:
    version = client.version(receipt.version_id)
    root = bytes.fromhex(version.version.weights_root[2:])
    return {"file": version.manifest["files"][0]["cid"], "directory": str(weights_cid(root))}


def entries_about(live: Live, version: str) -> list[dict[str, object]]:
    log = live.running.gateway.logs.gateway.log
    records = [log.entry(index) for index in range(len(log))]
    held = [json.loads(r.raw) | {"digest": hex32(sha256(r.raw))} for r in records]
    return [
        entry
        for entry in held
        if entry["kind"] == "retrieval" and version in (entry["version"], *entry.get("related", []))
    ]


def promises_of(live: Live, answer: Answer) -> list[Promise]:
    log = live.running.gateway.logs.gateway.log
    found = [Promise.from_json(json.loads(answer.headers[PROMISE]))] if PROMISE in answer.headers else []
    for promise in found:
        verify_promise(promise, VerifierKey.parse(log.verifier_key))
    return found


ROUTES = {
    "content": ("file", "/v1/content/{}"),
    "file through the gateway of IPFS": ("file", "/ipfs/{}"),
    "one block": ("file", "/ipfs/{}?format=raw"),
    "the file as a CAR": ("file", "/ipfs/{}?format=car"),
    "the directory's block": ("directory", "/ipfs/{}?format=raw"),
    "the whole as a CAR": ("directory", "/ipfs/{}?format=car"),
}


@pytest.mark.parametrize("route", ROUTES)
def test_bytes_of_a_sealed_version_are_promised_by_every_route(live, client, sealed, route) -> None:
    what, path = ROUTES[route]
    cid = cids_of(client, sealed)[what]
    before = len(entries_about(live, sealed.version_id))
    answer = ask(live.url, "GET", path.format(cid))
    assert answer.status == 200
    (promise,) = promises_of(live, answer)
    entry = entries_about(live, sealed.version_id)[before]
    assert entry["digest"] == hex32(promise.entry_sha256)
    assert (entry["actor"], entry["model"], entry["details"]["cid"]) == (None, sealed.model, cid)


def test_where_no_byte_is_sent_nothing_was_retrieved(live, client, sealed) -> None:
    cid = cids_of(client, sealed)["file"]
    named = f"/v1/versions/{sealed.version_id}/files/w.safetensors"
    before = entries_about(live, sealed.version_id)
    for target in (f"/v1/content/{cid}", f"/ipfs/{cid}?format=car", f"/ipfs/{cid}?format=raw", named):
        head = ask(live.url, "HEAD", target)
        assert (head.status, promises_of(live, head)) == (200, [])
    beyond = ask(live.url, "GET", named, range="bytes=99999999-")
    assert (beyond.status, promises_of(live, beyond)) == (416, [])
    assert entries_about(live, sealed.version_id) == before


def test_a_range_says_how_many_bytes_were_asked_for(live, client, sealed) -> None:
    ask(live.url, "GET", f"/v1/versions/{sealed.version_id}/files/w.safetensors", range="bytes=2-5")
    details = entries_about(live, sealed.version_id)[-1]["details"]
    assert details == {"outcome": "served", "bytes": 4, "path": "w.safetensors"}


def test_a_reader_that_hangs_up_is_written_down_a_second_time(live, client, tmp_path) -> None:
    big = write_weights(tmp_path / "big.safetensors", 20_261, (1 << 11, 1 << 12))
    receipt = client.submit("local/hung-up", [big], {})
    parts = urlsplit(live.url)
    with socket.create_connection((parts.hostname, parts.port)) as reader:
        target = f"/v1/versions/{receipt.version_id}/files/big.safetensors"
        reader.sendall(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        assert reader.recv(4096, socket.MSG_WAITALL).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 30
    while len(found := entries_about(live, receipt.version_id)) < 2:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    begun, ended = found
    assert begun["details"] == {
        "outcome": "served", "bytes": big.stat().st_size, "path": "big.safetensors"
    }  # fmt: skip
    assert (ended["details"]["outcome"], ended["details"]["of"]) == ("aborted", begun["digest"])
    assert 0 < ended["details"]["bytes"] < big.stat().st_size


def test_bytes_that_several_versions_name_are_a_retrieval_of_each(live, client, sealed, tmp_path) -> None:
    twin = client.submit(sealed.model, [tmp_path / "w.safetensors"], {}, parents=[sealed.version_id])
    ask(live.url, "GET", f"/v1/content/{cids_of(client, sealed)['file']}")
    entry = entries_about(live, twin.version_id)[-1]
    assert {entry["version"], *entry["related"]} == {sealed.version_id, twin.version_id}
    log = live.running.gateway.logs.gateway.log
    log.publish()
    for version in (sealed.version_id, twin.version_id):
        reached = client.audit.impact(version)["deliveries"]
        assert version in {one["version"] for one in reached}


def test_a_miners_copy_is_replication_and_the_same_bytes_for_a_stranger_are_not(live, client, sealed) -> None:
    gateway = live.running.gateway
    directory = Cid.parse(cids_of(client, sealed)["directory"])
    before = entries_about(live, sealed.version_id)
    miner = open_keystore(live.home.keys / "miner-1.json")
    copied = b"".join(HttpSource(live.url, miner, gateway.contracts.domain).car([directory]))
    assert entries_about(live, sealed.version_id) == before
    assert copied == ask(live.url, "GET", f"/ipfs/{directory}?format=car").body
    assert len(entries_about(live, sealed.version_id)) == len(before) + 1


def test_a_manifest_describes_a_version_and_reading_it_is_no_retrieval(live, client, sealed) -> None:
    before = entries_about(live, sealed.version_id)
    manifest = manifest_cid(bytes.fromhex(client.version(sealed.version_id).version.manifest[2:]))
    assert ask(live.url, "GET", f"/v1/content/{manifest}").status == 200
    assert entries_about(live, sealed.version_id) == before


def test_content_that_no_version_names_is_nobodys_retrieval(live) -> None:
    put = ask(live.url, "PUT", "/v1/content", b"unnamed bytes")
    got = ask(live.url, "GET", f"/v1/content/{put.body['cid']}")
    assert got.body == b"unnamed bytes"
    assert PROMISE not in got.headers


def test_a_download_that_is_sent_again_is_refused_and_not_written_down_as_one(live, client, sealed) -> None:
    file = f"/v1/versions/{sealed.version_id}/files/w.safetensors"
    for target in (file, f"/v1/content/{cids_of(client, sealed)['file']}"):
        signed = authorize(
            client._session.signer(),
            client._session.domain(),
            method="GET",
            target=target,
            body_sha256=sha256(b""),
            created=int(time.time()),
            nonce=os.urandom(32),
            cell="",
        )
        assert ask(live.url, "GET", target, authorization=signed).status == 200
        (*_, newest) = entries_about(live, sealed.version_id)
        assert newest["actor"] == client.address
        again = ask(live.url, "GET", target, authorization=signed)
        assert (again.status, again.code) == (401, "unauthenticated")
        assert entries_about(live, sealed.version_id)[-1] == newest
