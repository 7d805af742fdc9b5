"""What `twinledger up` leaves in a home, and what `Client` promises; logs read by a stranger."""

import base64
import hashlib
import inspect
import json
import stat
import tomllib

import pytest
from conftest import write_weights
from eth_account import Account
from eth_utils.crypto import keccak
from outsider import Outsider, canonical
from processes import running, twinledger

from registry import Client
from registry.errors import Conflict, InvalidManifest, Malformed, NotAuthorized, NotFound

CONTRACTS = {"consortium", "twin_registry", "storage_market", "reward_pool", "audit_anchor"}


class Wallet:
    """A key that somebody else keeps."""

    def __init__(self, account) -> None:
        self.address = account.address
        self._account = account

    def sign_hash(self, digest: bytes) -> bytes:
        return bytes(self._account.unsafe_sign_hash(digest).signature)


@pytest.fixture(scope="session")
def outsider(live) -> Outsider:
    return Outsider(live.home.root, live.url)


def test_a_home_after_its_first_up_holds_what_other_programs_read(tmp_path):
    home = tmp_path / "deep" / "home"
    home.parent.mkdir()
    with running("up", "--port", "0", home=home) as process:
        url = process.wait_for(r"(http://\S+)")
        held = tomllib.loads((home / "client.toml").read_text())
        assert set(held) == {"url", "key", "chain_id", "registry"}
        assert held["url"] == url
        assert stat.S_IMODE((home / "client.toml").stat().st_mode) == 0o600
        deployment = json.loads((home / "deployment.json").read_text())
        assert set(deployment) == {"chain_id", "genesis_hash", "start_block", "contracts"}
        assert set(deployment["contracts"]) == CONTRACTS
        assert all(set(found) == {"address", "code_hash"} for found in deployment["contracts"].values())
        trust = json.loads((home / "trust.json").read_text())
        assert set(trust) == {
            *("schema", "chain_id", "genesis_hash", "contracts", "sealers", "council_head"),
            *("logs", "witnesses", "quorum"),
        }
        assert trust["schema"] == "twinledger/trust/1"
        assert trust["contracts"] == deployment["contracts"]
        stranger = Outsider(home)
        assert stranger.get("/v1/deployment") == deployment
        miners = {item["address"] for item in stranger.get("/v1/miners")["items"]}
        assert len(miners) == 3
        account = stranger.get(f"/v1/accounts/{stranger.account.address}")
        assert account["namespace"] == "local"
        assert int(account["balance"]) > 0
        taken = twinledger("up", "--port", "0", "--json", home=home)
        assert (taken.code, taken.json["code"]) == (4, "conflict")
    with running("up", "--port", "0", home=home) as process:
        again = process.wait_for(r"(http://\S+)")
        held = tomllib.loads((home / "client.toml").read_text())
        assert (held["url"], held["registry"]) == (again, deployment["contracts"]["twin_registry"]["address"])


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("__init__", "url key cell"),
        ("submit", "model files manifest parents fee wait salt max_price deadline private_to"),
        ("retrieve", "ref to cell"),
        *(("submission", "version_id"), ("wait", "version_id"), ("cancel", "version_id")),
        *(("version", "ref"), ("lineage", "ref"), ("deprecate", "ref"), ("revoke", "ref")),
        *(("submit_many", ""), ("search", ""), ("models", ""), ("quote", ""), ("alias", "")),
    ],
)
def test_the_client_has_the_methods_of_the_interface(method, parameters):
    names = list(inspect.signature(getattr(Client, method)).parameters)[1:]
    wanted = parameters.split()
    if method in ("submission", "wait", "cancel"):
        assert names, "called with the id alone"
        return
    assert names[: len(wanted)] == wanted


def test_a_key_may_be_a_path_a_name_or_anything_that_signs(live, outsider, tmp_path):
    path = live.home.root / "keys" / "development.json"
    keys = ["development", path, str(path), Wallet(outsider.account)]
    for number, key in enumerate(keys):
        with Client(live.url, key, home=live.home.root) as client:
            assert client.address == outsider.account.address
            if number == 3:
                receipt = client.submit("local/wallet", [write_weights(tmp_path / "w.safetensors", 71)], {})
                assert receipt.model == "local/wallet"
            assert client.account.show().namespace == "local"


def test_a_key_that_nobody_admitted_is_told_the_line_that_admits_it(live, tmp_path):
    wallet = Wallet(Account.create())
    weights = write_weights(tmp_path / "w.safetensors", 72)
    with Client(live.url, wallet, home=live.home.root) as client, pytest.raises(NotAuthorized) as refused:
        client.submit("local/stranger", [weights], {})
    assert f"twinledger member add {wallet.address} --namespace" in str(refused.value.hint)


def test_the_sdk_fills_the_required_fields_and_refuses_others(client, weights):
    with pytest.raises((InvalidManifest, Malformed)):
        client.submit("local/filled", [weights], {"name": "other"})
    with pytest.raises((InvalidManifest, Malformed)):
        client.submit("local/filled", [weights], {"no_such_field": 1})
    with pytest.raises((InvalidManifest, Malformed)):
        client.submit("local/filled", [weights], {"description": None})
    receipt = client.submit("local/filled", [weights], {"x": {"ours": [1, 2]}, "tags": ["filled"]})
    again = client.submit("local/filled", [weights], {"x": {"ours": [1, 2]}, "tags": ["filled"]})
    assert (again.version_id, again.body.tx_hash) == (receipt.version_id, receipt.body.tx_hash)
    manifest = client.version(receipt.version_id).manifest
    assert {"schema", "namespace", "name", "profile", "files", "parents"} <= set(manifest)
    assert [found.version_id for found in client.search(tag="filled")] == [receipt.version_id]


def test_a_search_finds_the_same_over_rest_and_sdk(client, outsider, tmp_path):
    for number, carrier in enumerate((3.5e9, 28e9)):
        given = {
            "tags": ["searched"],
            "metrics": {"nmse_db": -10.0 - number},
            "wireless": {"carrier_hz": carrier, "scenario": "umi", "cells": ["local/s1"]},
        }
        weights = write_weights(tmp_path / f"{number}.safetensors", 80 + number)
        client.submit(f"local/searched-{number}", [weights], given)
    conditions = [
        ({"tag": "searched"}, "tag=searched", 2),
        ({"tag": "searched", "carrier_hz": (3e9, 4e9)}, "tag=searched&carrier_hz=3e9..4e9", 1),
        ({"tag": "searched", "carrier_hz": "3e9..4e9"}, "tag=searched&carrier_hz=3e9..4e9", 1),
        ({"tag": "searched", "metric": "nmse_db<-10.5"}, "tag=searched&metric=nmse_db%3C-10.5", 1),
        ({"scenario": "umi", "cell": "local/s1"}, "scenario=umi&cell=local/s1", 2),
    ]
    for asked, query, count in conditions:
        ours = [found.version_id for found in client.search(**asked)]
        assert len(ours) == count, asked
        assert [item["version_id"] for item in outsider.get(f"/v1/search?{query}")["items"]] == ours
    assert outsider.ask("GET", "/v1/search?colour=red").status == 400
    first = outsider.get("/v1/search?tag=searched&limit=1")
    rest = [found.version_id for found in client.search(tag="searched", cursor=first["next"])]
    whole = [found.version_id for found in client.search(tag="searched")]
    assert [first["items"][0]["version_id"], *rest] == whole


def test_a_retrieval_is_promised_before_its_bytes_and_the_logs_hold_together(client, outsider, tmp_path):
    weights = write_weights(tmp_path / "w.safetensors", 90)
    receipt = client.submit("local/promised", [weights], {})
    found = client.retrieve(receipt.version_id, to=tmp_path / "out", cell="local/tower-7")
    assert (found.path / "w.safetensors").read_bytes() == weights.read_bytes()
    promise = found.promise.model_dump()
    outsider.check_promise(promise)
    client.audit.events()  # whatever is asked next, the log below is read as a stranger reads it
    for log in ("chain", "gateway"):
        origin, entries = read_log(outsider, log)
        assert origin in {known["origin"] for known in outsider.trust["logs"]}
        assert all(canonical(json.loads(entry)) == entry for entry in entries)


def read_log(outsider: Outsider, log: str) -> tuple[str, list[bytes]]:
    """A whole log by its tiles alone; its root and its checkpoint's signature must agree."""
    text, _, signatures = outsider.ask("GET", f"/log/{log}/checkpoint").body.decode().rpartition("\n\n")
    body = text + "\n"
    origin, size, root = body.splitlines()[:3]
    signed = {line.split(" ")[1]: base64.b64decode(line.split(" ")[2]) for line in signatures.splitlines()}
    outsider.log_key(origin).verify(signed[origin][4:], body.encode())
    hashes, entries, count = [], [], int(size)
    for tile in range(-(-count // 256)):
        width = min(256, count - 256 * tile)
        place = f"{tile:03d}" + ("" if width == 256 else f".p/{width}")
        raw = outsider.ask("GET", f"/log/{log}/tile/0/{place}").body
        hashes += [raw[at : at + 32] for at in range(0, len(raw), 32)]
        bundle = outsider.ask("GET", f"/log/{log}/tile/entries/{place}").body
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
    assert [hashlib.sha256(b"\x00" + entry).digest() for entry in entries] == hashes
    assert len(entries) == count
    assert tree(hashes) == base64.b64decode(root)
    return origin, entries


def tree(hashes: list[bytes]) -> bytes:
    """RFC 6962, 2.1."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256().digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree(hashes[:split]) + tree(hashes[split:])).digest()


def test_the_code_hashes_are_of_the_code_on_chain(live, outsider):
    for found in outsider.get("/v1/deployment")["contracts"].values():
        code = live.running.gateway.service.contracts.link.code(found["address"])
        assert "0x" + keccak(code).hex() == found["code_hash"]


def test_what_is_sealed_cannot_be_cancelled_and_a_cell_has_a_namespace(client, weights, tmp_path):
    receipt = client.submit("local/settled", [weights], {}, salt="0x" + "5a" * 32)
    with pytest.raises(Conflict, match="is final"):
        client.cancel(receipt.version_id)
    with pytest.raises(Malformed, match="names no cell"):
        client.retrieve("local/settled", to=tmp_path / "out", cell="tower-7")


def test_a_model_without_an_active_version_says_so(client, weights):
    receipt = client.submit("local/withdrawn", [weights], {})
    client.revoke(receipt.version_id, "a test")
    with pytest.raises(NotFound, match="no active version"):
        client.version("local/withdrawn")
    assert client.version("local/withdrawn@v1").status == "revoked"


def test_many_are_submitted_as_mappings_and_one_file_may_stand_alone(client, tmp_path):
    files = [write_weights(tmp_path / f"{number}.safetensors", 120 + number) for number in range(2)]
    works = [{"model": "local/many", "files": str(file), "manifest": {"tags": [file.stem]}} for file in files]
    first, second = client.submit_many(works)
    assert [first.number, second.number] == [1, 2]
    again = client.submit("local/many", files[0], {"tags": ["again"]}, parents="local/many@v1")
    assert client.version(again.version_id).version.parents == [first.version_id]
    with pytest.raises(Malformed, match="submit_many"):
        client.submit_many([{"modell": "local/many"}])
    with pytest.raises(Malformed, match="the manifest is None"):
        client.submit("local/many", files, None)
