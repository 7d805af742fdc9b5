"""Forensic questions over a real socket: asked with the client, proved, exported, verified offline."""

import base64
import hashlib
import json
import time
import zipfile
from pathlib import Path

import pytest
from conftest import Live, write_weights
from hostile import Answer, ask
from processes import twinledger

from registry.audit.trust import parse_trust
from registry.config import Home
from registry.core.checkpoint import Checkpoint
from registry.core.ids import hex32, parse_hex32
from registry.core.merkle import verify_consistency
from registry.core.note import Note, NoteSigner
from registry.core.tlogproof import verify_tlog_proof
from registry.errors import NotFound, VerificationFailed
from registry.sdk import Client, Receipt
from registry.wiring.witnessing import witness_once


@pytest.fixture
def sealed(client: Client, tmp_path: Path, request: pytest.FixtureRequest) -> Receipt:
    """A version and its child, the first retrieved from a cell."""
    name = "local/" + request.node.name.replace("_", "-").split("[")[0][:60].rstrip("-")
    seed = abs(hash(name)) % 2**31
    training = {"participants": [{"pseudonym": f"ue-{seed}", "update_sha256": "0x" + "ab" * 32}]}
    first = client.submit(name, [write_weights(tmp_path / "a.safetensors", seed)], {"training": training})
    assert isinstance(first, Receipt)
    client.submit(name, [write_weights(tmp_path / "b.safetensors", seed + 1)], {}, parents=[first.version_id])
    client.retrieve(first.version_id, to=tmp_path / "out", cell="local/tower-1")
    settle(client, first)
    return first


def settle(client: Client, receipt: Receipt) -> None:
    """Wait until a checkpoint covers the seal and the retrieval."""
    for _ in range(200):
        kinds = {item["kind"] for item in client.audit.events(version=receipt.version_id)}
        status = client.submission(receipt.version_id)
        if {"registered", "retrieval"} <= kinds and status.receipt and status.receipt.log:
            time.sleep(1.5)
            return
        time.sleep(0.1)
    pytest.fail("the logs did not take it in")


def test_events_are_found_by_every_filter(client: Client, sealed: Receipt) -> None:
    by_version = list(client.audit.events(version=sealed.version_id))
    assert {"registered", "submission_accepted", "retrieval"} <= {item["kind"] for item in by_version}
    by_actor = list(client.audit.events(actor=client.address, model=sealed.model, kind="registered"))
    assert next(item["version"] for item in by_actor) == sealed.version_id
    assert {item["model"] for item in by_version} == {sealed.model}, "both logs speak in names"
    assert list(client.audit.events(model=sealed.model, since=1 << 40)) == []


def test_where_a_members_own_transaction_came_in_is_logged(client: Client, sealed: Receipt) -> None:
    tx_hash = client.alias(sealed.model, "told", sealed.version_id)
    for _ in range(100):
        found = client.audit.events(actor=client.address, kind="transaction_relayed")
        if told := [item["details"] for item in found if item["details"]["tx_hash"] == tx_hash]:
            break
        time.sleep(0.1)
    assert [one["route"] for one in told] == ["/v1/models/" + sealed.model + "/aliases/told"]


def test_an_event_has_a_proof_that_verifies(live: Live, client: Client, sealed: Receipt) -> None:
    event = next(item for item in client.audit.events(log="chain", version=sealed.version_id))
    proof = client.audit.prove(event["name"])
    trust = parse_trust(live.home.trust.read_bytes())
    chain = live.running.gateway.logs.chain
    keys = trust.for_log(chain.origin).logs
    entry = chain.entry(event["index"])
    verify_tlog_proof(proof, entry.raw, origin=chain.origin, logs=keys)
    with pytest.raises(VerificationFailed):
        verify_tlog_proof(proof, entry.raw + b" ", origin=chain.origin, logs=keys)


def test_a_complete_answer_is_verified_and_says_who_claims_it(client: Client, sealed: Receipt) -> None:
    answer = client.audit.complete(f"version:{sealed.version_id}")
    assert answer.count == len(answer.entries) >= 1
    # `up` has a witness of its own, and its trust file asks for one co-signature.
    assert answer.is_proved
    assert client.audit.complete("version:0x" + "00" * 32).count == 0


def test_a_page_of_a_complete_answer_writes_its_hashes_as_every_32_bytes_are_written(
    live: Live, sealed: Receipt
) -> None:
    key = f"version:{sealed.version_id}"
    page = ask(live.url, "GET", f"/v1/audit/complete?log=gateway&key={key}&limit=1").body
    path, leaf = [parse_hex32(text) for text in page["map_proof"]["siblings"]], page["map_proof"]["leaf"]
    assert page["range_proof"] == [hex32(parse_hex32(text)) for text in page["range_proof"]] != []
    node = hashlib.sha256(
        b"\0" + parse_hex32(leaf["key"]) + leaf["count"].to_bytes(8, "big") + parse_hex32(leaf["root"])
    ).digest()
    asked = int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")
    for depth in reversed(range(len(path))):
        pair = path[depth] + node if asked >> (255 - depth) & 1 else node + path[depth]
        node = hashlib.sha256(b"\1" + pair).digest()
    assert f"map {base64.b64encode(node).decode()}" in page["checkpoint"].splitlines()


def test_a_models_name_is_proved_on_the_chain_log_and_no_other_answer_passes(
    client: Client, sealed: Receipt, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, name = client.version(sealed.version_id).model, client.audit.complete
    assert {"registered"} <= {record.entry.kind for record in name(f"model:{model}").entries}
    assert name(f"model:{model}").key.startswith("model:0x")
    honest = client.audit._http.get

    def lying(path: str, query: dict[str, object]) -> object:
        """A gateway that answers, with a proof that holds, about another key."""
        key = query.get("key", "")
        return honest(path, query | {"key": "model:local/other"} if str(key).startswith("model:") else query)

    monkeypatch.setattr(client.audit._http, "get", lying)
    with pytest.raises(VerificationFailed, match="answered about"):
        name(f"model:{model}")


def test_the_receipt_says_where_the_chain_log_holds_it(client: Client, sealed: Receipt) -> None:
    found = client.wait(sealed.version_id).body.log
    assert found is not None
    assert found.checkpoint.startswith(found.origin)


def test_impact_names_descendants_and_who_retrieved(client: Client, sealed: Receipt) -> None:
    found = client.audit.impact(sealed.version_id)
    assert [one["depth"] for one in found["versions"]] == [0, 1]
    assert client.address in found["people"]
    assert [one["who"] for one in found["holders"]] == [client.address]
    kinds = {item["name"]: item["kind"] for item in client.audit.events(version=sealed.version_id)}
    assert {kinds[name] for name in found["holders"][0]["names"]} == {"registered", "retrieval"}
    device = client.version(sealed.version_id).manifest["training"]["participants"][0]["pseudonym"]
    assert client.audit.impact(device)["tainted"] == [sealed.version_id]


def test_a_timeline_tells_the_story_in_order(client: Client, sealed: Receipt) -> None:
    moments = client.audit.timeline(model=sealed.model)
    assert [moment["time"] for moment in moments] == sorted(moment["time"] for moment in moments)
    assert {"registered", "retrieval"} <= {moment["kind"] for moment in moments}
    (seal, *_) = [moment["text"] for moment in moments if moment["kind"] == "registered"]
    assert seal.startswith(f"sealed {sealed.version_id} of {sealed.model}, ")


def test_the_commands_speak_in_names_and_words(live: Live, client: Client, sealed: Receipt) -> None:
    client.deprecate(sealed.version_id, "superseded")
    client.alias(sealed.model, "champion", sealed.version_id)
    pointed = f"pointed {sealed.model}@champion to {sealed.version_id}"
    deadline = time.monotonic() + 30
    while pointed not in (told := said(live, "timeline", "--model", sealed.model)):
        assert time.monotonic() < deadline, told
        time.sleep(0.2)
    assert f"sealed {sealed.version_id} of {sealed.model}, " in told
    assert f"set the status of {sealed.version_id} to deprecated: superseded" in told
    reached = said(live, "impact", sealed.version_id)
    assert f"alias     {sealed.model}@champion to {sealed.version_id} since " in reached
    assert f"retrieved {sealed.version_id} by {client.address} at " in reached
    assert f"held      first by {client.address} at " in reached
    assert f"held      last by {client.address} at " in reached


def said(live: Live, *arguments: str) -> str:
    done = twinledger("audit", *arguments, home=live.home.root)
    assert done.code == 0, done.err
    return done.out


def test_a_member_is_traced_across_its_cells(client: Client, sealed: Receipt) -> None:
    found = client.audit.trace(client.address)
    assert "local/tower-1" in {one.cell for one in found.sightings}


def test_the_auditors_places_mark_the_moves_nobody_can_make(
    live: Live, client: Client, sealed: Receipt, tmp_path: Path
) -> None:
    (tmp_path / "places.json").write_text('{"local/tower-1": [52.52, 13.405], "local/far": [-33.9, 151.2]}')
    client.retrieve(sealed.version_id, to=tmp_path / "far", cell="local/far")
    client.retrieve(sealed.version_id, to=tmp_path / "back", cell="local/tower-1")
    told = said(
        live, "trace", client.address, "--places", str(tmp_path / "places.json"), "--max-speed", "300"
    )
    assert "IMPOSSIBLE: local/tower-1 to local/far in " in told
    assert "IMPOSSIBLE: local/far to local/tower-1 in " in told
    assert told.count(" s, 16096364 m apart (gateway:") == 2
    (tmp_path / "places.json").write_text('{"local/far": [91, 0]}')
    refused = twinledger(
        "audit", "trace", client.address, "--places", tmp_path / "places.json", home=live.home.root
    )
    assert (refused.code, "the place of local/far is not" in refused.err) == (4, True), refused.err


def test_the_impact_of_a_dataset_is_asked_by_any_name(client: Client, tmp_path: Path) -> None:
    named = {"training": {"datasets": [{"id": "Drive test #3, 50% /north?"}]}}
    made = client.submit("local/of-a-dataset", [write_weights(tmp_path / "d.safetensors", 77)], named)
    assert [one["version"] for one in client.audit.impact("Drive test #3, 50% /north?")["versions"]] == [
        made.version_id
    ]


def test_refusals_are_counted_per_caller(live: Live, client: Client, sealed: Receipt) -> None:
    def refused() -> int:
        return sum(one["count"] for one in client.audit.probing() if one["who"] == client.address)

    before = refused()
    for name in ("local/probed", "local/probed-again"):
        with pytest.raises(NotFound):
            client.version(name)
    for _ in range(300):  # until a checkpoint covers them
        if refused() > before:
            break
        time.sleep(0.1)
    time.sleep(1.5)
    assert refused() == before + 2
    start = min(item["time"] for item in client.audit.events(kind="refusal"))
    assert list(client.audit.probing(since=start)) == list(client.audit.probing(kind="refusal"))
    other_filters = ({"actor": "0x" + "00" * 19 + "07"}, {"kind": "retrieval"}, {"log": "chain"})
    for given in (*other_filters, {"until": start}):
        assert list(client.audit.probing(**given)) == [], given


def test_evidence_verifies_offline_and_a_changed_byte_does_not(
    live: Live, client: Client, sealed: Receipt, tmp_path: Path
) -> None:
    path = client.audit.export(tmp_path / "case.zip", version=sealed.version_id)
    assert client.audit.verify(path, live.home.trust).is_pinned
    assert not client.audit.verify(path).is_pinned
    with zipfile.ZipFile(path) as case:
        assert sealed.model in case.read("report.html").decode()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(VerificationFailed):
        client.audit.verify(path, live.home.trust)


def test_evidence_about_a_model_holds_what_the_chain_log_says_of_it(
    client: Client, sealed: Receipt, tmp_path: Path
) -> None:
    client.alias(sealed.model, "told", sealed.version_id)
    key = f"model:{sealed.model}"
    for _ in range(100):
        told = [record.entry.kind for record in client.audit.complete(key).entries]
        if "alias_set" in told:
            break
        time.sleep(0.1)
    with zipfile.ZipFile(client.audit.export(tmp_path / "case.zip", model=sealed.model)) as case:
        kinds = [json.loads(line)["entry"]["kind"] for line in case.open("entries/chain.jsonl")]
        answer = json.loads(case.read("proofs/chain/answers.jsonl"))
    assert (kinds, len(answer["numbers"])) == (told, len(told)), "proved to be all of it"
    assert {"registered", "alias_set"} <= set(told)


def test_a_kept_promise_is_no_evidence_against_its_gateway(
    client: Client, sealed: Receipt, tmp_path: Path
) -> None:
    found = client.retrieve(sealed.version_id, to=tmp_path / "again")
    assert found.promise is not None
    (tmp_path / "promise.json").write_text(json.dumps(found.promise.model_dump()))
    time.sleep(2)
    assert client.audit.accuse(tmp_path / "promise.json").finding.value == "kept"


def test_a_log_only_grows(live: Live, client: Client, sealed: Receipt) -> None:
    log = live.running.gateway.logs.chain
    size = Checkpoint.parse(Note.parse(client.audit.checkpoint("chain")).text).size
    for first in (1, size // 2, size - 1):
        proof = [parse_hex32(node) for node in client.audit.consistency("chain", first, size)]
        verify_consistency(first, size, log.root(first), log.root(size), proof)
        with pytest.raises(VerificationFailed):
            verify_consistency(first, size, bytes(32), log.root(size), proof)


@pytest.mark.parametrize(
    "target",
    [
        *("events?kind=nonsense", "events?cursor=zzz", "events?since=x", "events?odd=1", "events?limit=0"),
        *("complete?key=nonsense", "complete?key=kind:registered&cursor=999999", "events/nonsense/proof"),
        *("timeline?since=5&until=4", "consistency?from=5&to=999999999"),
    ],
)
def test_a_question_that_makes_no_sense_is_malformed(live: Live, target: str) -> None:
    answer = ask(live.url, "GET", f"/v1/audit/{target}")
    assert (answer.status, answer.code) == (400, "malformed"), answer.body


def test_what_no_log_holds_is_not_found(live: Live, client: Client) -> None:
    with pytest.raises(NotFound):
        client.audit.prove("chain:999999999")
    assert ask(live.url, "GET", "/log/nonsense/checkpoint").status == 404
    assert ask(live.url, "GET", "/log/chain/tile/0/999").status == 404
    with pytest.raises(NotFound):
        client.audit.complete("model:local/x", "nonsense")


def test_the_gateways_witness_answers_as_c2sp_says(live: Live, client: Client) -> None:
    """The status and type of each answer, from the page on tlog-witness alone."""
    raw = client.audit.checkpoint("gateway")
    origin = raw.partition(b"\n")[0]

    def asked(head: bytes, checkpoint: bytes = raw) -> Answer:
        return ask(live.url, "POST", "/log/witness/add-checkpoint", head + checkpoint)

    stale = asked(b"old 0\n\n")
    assert (stale.status, stale.headers["content-type"]) == (409, "text/x.tlog.size")
    size = int(stale.body)
    assert stale.body == b"%d\n" % size
    assert asked(b"old 0\n\n", raw.replace(origin, b"example.com/log")).status == 404
    stranger = NoteSigner(origin.decode(), bytes(32))
    text = Note.parse(raw).text
    assert asked(b"old %d\n\n" % size, Note(text, (stranger.sign_note(text),)).encode()).status == 403
    for head in (b"old 999999999\n\n", b"old %d\n" % size, b"old 0%d\n\n" % size, b"old 0\r\n\r\n", b""):
        assert asked(head).status == 400, head


def test_what_a_witness_saw_answers_head_as_get_without_a_body(live: Live, client: Client) -> None:
    origin = live.running.gateway.logs.chain.origin
    target = f"/log/witness/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"
    told, sent = ask(live.url, "HEAD", target), ask(live.url, "GET", target)
    assert (told.status, sent.status) == (200, 200)
    assert told.body == b"" and sent.body


def test_a_witness_cosigns_what_grew(live: Live, client: Client, sealed: Receipt, tmp_path: Path) -> None:
    home = Home(tmp_path / "witness-home")
    trust = parse_trust(live.home.trust.read_bytes())
    first = witness_once(home, client, trust)
    assert [name for name, _ in first] == ["chain", "gateway"]
    client.retrieve(sealed.version_id, to=tmp_path / "once-more")
    time.sleep(2)
    assert witness_once(home, client, trust) != first
