"""Case: a real installation, from submission to an evidence file that a stranger verifies offline."""

import io
import json
import time
import zipfile
from hashlib import sha256

import numpy as np
import pytest
from safetensors.numpy import save_file

from registry.audit import case
from registry.audit.accuse import Finding, accuse
from registry.audit.evidence import Surroundings, export_case, versions_in
from registry.audit.fsck import check_log
from registry.audit.rows import CHAIN, GATEWAY, Filter
from registry.audit.trust import contracts_from_json, parse_trust
from registry.audit.verify_case import verify_case
from registry.core.canonical import canonical
from registry.core.manifest import parse_manifest
from registry.core.promise import Promise
from registry.errors import VerificationFailed


class Scene:
    """What one honest run left behind."""

    def __init__(self, live, client, tmp_path) -> None:
        self.trust = parse_trust(live.home.trust.read_bytes())
        logs = live.running.gateway.logs
        self.logs = {CHAIN: logs.chain, GATEWAY: logs.gateway.log}
        self.openings = logs.gateway.openings
        manifest = {"description": "evidence"}
        first = client.submit("local/evidence", [write(tmp_path / "a.safetensors", 901)], manifest)
        second = client.submit(
            "local/evidence", [write(tmp_path / "b.safetensors", 902)], manifest, parents=[first.version_id]
        )
        self.receipts = {one.version_id: one for one in (first, second)}
        self.found = client.retrieve(second.version_id, to=tmp_path / "out")
        self.version = second.version_id
        self.wait_for(lambda: self.logs[CHAIN].view(f"version:{self.version}").count >= 1)
        self.logs[GATEWAY].publish()
        # Until its witness has seen it, a checkpoint is the gateway's word alone.
        self.wait_for(
            lambda: all(log.checkpoint().count("\n\N{EM DASH} ".encode()) > 1 for log in self.logs.values())
        )
        self.manifests = tuple(
            parse_manifest(canonical(client.version(version).manifest)) for version in self.receipts
        )
        self.path = tmp_path / "case.zip"

    def wait_for(self, is_done) -> None:
        for _ in range(200):
            if is_done():
                return
            time.sleep(0.05)
        pytest.fail("the logs did not take it in")

    def export(self, asked) -> bytes:
        wanted = versions_in(self.logs, asked)
        about = Surroundings(
            self.trust.chain_id,
            self.trust.genesis_hash,
            self.trust.contracts,
            manifests=self.manifests,
            receipts={
                version: receipt.body.model_dump(by_alias=True)
                for version, receipt in self.receipts.items()
                if version in wanted
            },
        )
        return export_case(self.logs, asked, about, created=1, openings=self.openings)

    def verify(self, raw):
        self.path.write_bytes(raw)
        return verify_case(self.path, self.trust)


@pytest.fixture
def scene(live, client, tmp_path):
    return Scene(live, client, tmp_path)


def write(path, seed):
    save_file({"w": np.random.default_rng(seed).normal(size=(4, 4)).astype("float32")}, path)
    return path


def test_the_evidence_rests_on_blocks_and_logs(scene) -> None:
    report = scene.verify(scene.export(Filter(version=scene.version)))
    said = " | ".join(claim.text for claim in report.claims)
    assert f"{scene.version} was sealed in block" in said
    assert f"entries of version:{scene.version} are proved complete" in said
    assert report.is_pinned


def test_the_trust_file_that_up_wrote_is_its_own_plain_form(live, scene) -> None:
    given = json.loads(live.home.trust.read_text())
    assert canonical(scene.trust.to_json()) == canonical(given)
    assert contracts_from_json(given["contracts"]) == scene.trust.contracts


RECEIPT_LIES = {
    "another block number": lambda r: r["block"].update(number=r["block"]["number"] + 1),
    "another block time": lambda r: r["block"].update(time=r["block"]["time"] + 1),
    "another block hash": lambda r: r["block"].update(hash="0x" + "11" * 32),
    "another transaction": lambda r: r.update(tx_hash="0x" + "11" * 32),
    "another event": lambda r: r.update(event_index=r["event_index"] + 1),
    "another registry": lambda r: r.update(registry="0x" + "11" * 20),
    "another model": lambda r: r.update(model="local/other"),
    "no proof": lambda r: r.update(receipt_proof=None),
    "a bent node": lambda r: r["receipt_proof"].update(nodes=["0x00", *r["receipt_proof"]["nodes"][1:]]),
    "another schema": lambda r: r.update(schema="twinledger/receipt/2"),
    "a member that receipts do not have": lambda r: r.update(note="trust me"),
    "a member of the block that it does not have": lambda r: r["block"].update(note=1),
    "no number": lambda r: r.update(number=None),
    "a header in another spelling": lambda r: r["receipt_proof"].update(
        header="0x" + r["receipt_proof"]["header"][2:].upper()
    ),
    "a registry in another spelling": lambda r: r.update(registry=r["registry"].lower()),
    "a bent promise": lambda r: r["promise"].update(issued=r["promise"]["issued"] + 1),
}


@pytest.mark.parametrize("lie", RECEIPT_LIES)
def test_a_receipt_that_lies_is_refused(scene, lie) -> None:
    raw = scene.export(Filter(version=scene.version))
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        members = {name: box.read(name) for name in box.namelist()}
    name = f"receipts/{scene.version}.json"
    receipt = json.loads(members[name])
    RECEIPT_LIES[lie](receipt)
    members[name] = canonical(receipt)
    rest = {name: raw for name, raw in members.items() if name != case.INDEX}
    index = canonical({name: sha256(raw).hexdigest() for name, raw in rest.items()})
    with pytest.raises(VerificationFailed):
        scene.verify(case.pack(rest | {case.INDEX: index}))


def test_one_of_several_receipts_cannot_be_left_out(scene) -> None:
    raw = scene.export(Filter(version=scene.version))
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        members = {name: box.read(name) for name in box.namelist()}
    del members[f"receipts/{scene.version}.json"], members[case.INDEX]
    index = canonical({name: sha256(raw).hexdigest() for name, raw in members.items()})
    with pytest.raises(VerificationFailed, match=f"receipts/{scene.version}.json is missing"):
        scene.verify(case.pack(members | {case.INDEX: index}))


def test_the_promise_of_the_retrieval_is_kept(scene) -> None:
    log = scene.logs[GATEWAY]
    promise = Promise.from_json(scene.found.promise.model_dump())
    trust = scene.trust.for_log(log.origin)
    verdict = accuse(promise, trust=trust, checkpoint=log.checkpoint(), fetch=log.tile)
    assert verdict.finding is Finding.KEPT


def test_both_logs_of_the_running_gateway_are_sound(live, scene) -> None:
    for name, log in scene.logs.items():
        assert list(check_log(live.home.log / f"{name}.db", scene.trust.for_log(log.origin))) == []
