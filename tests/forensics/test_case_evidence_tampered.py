"""Case: somebody hands in an evidence file that was worked on.

Each trial changes one thing, as a forger would who also repairs index.json, and the verifier names it.
"""

import io
import json
import random
import zipfile
from collections.abc import Callable
from hashlib import sha256

import pytest

from registry.audit import case
from registry.audit.rows import Filter
from registry.audit.verify_case import verify_case
from registry.core.canonical import canonical
from registry.core.note import NoteSigner
from registry.core.promise import make_promise
from registry.errors import VerificationFailed

Members = dict[str, bytes]


@pytest.fixture
def scene(world):
    first = world.seal("lab/urban", "ana", participants=({"pseudonym": "p-1"},))
    second = world.seal("lab/urban", "ana", parents=(first,))
    world.alias("lab/urban", "champion", second, "ana")
    for reader in ("bo", "cy", "bo"):
        world.retrieve(
            "lab/urban", second, reader, cell="lab/north", address="10.0.0.7", device=reader_of(reader)
        )
    world.publish()
    world.second = second
    return world


def reader_of(name: str) -> str:
    return "device of " + name


def members_of(raw: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(raw)) as box:
        return {name: box.read(name) for name in box.namelist()}


def repaired(members: Members) -> bytes:
    """The file again, with an index that fits: what a careful forger hands in."""
    rest = {name: raw for name, raw in members.items() if name != case.INDEX}
    index = canonical({name: sha256(raw).hexdigest() for name, raw in rest.items()})
    return case.pack(rest | {case.INDEX: index})


def edit(members: Members, name: str, change: Callable[[bytes], bytes]) -> Members:
    assert change(members[name]) != members[name], "the trial must change something"
    return members | {name: change(members[name])}


def without(members: Members, name: str) -> Members:
    return {other: raw for other, raw in members.items() if other != name}


def drop_line(raw: bytes) -> bytes:
    return b"".join(raw.splitlines(keepends=True)[:-1])


def swap_actor(raw: bytes) -> bytes:
    lines = [json.loads(line) for line in raw.splitlines()]
    lines[-1]["entry"]["actor"] = lines[-2]["entry"]["actor"]
    return b"".join(canonical(line) + b"\n" for line in lines)


def changed_line(raw: bytes, change: Callable[[dict], dict]) -> bytes:
    first, *rest = raw.splitlines(keepends=True)
    return canonical(change(json.loads(first))) + b"\n" + b"".join(rest)


def with_keys(raw: bytes, change: Callable[[list[str]], list[str]]) -> bytes:
    header = json.loads(raw)
    header["logs"][0]["keys"] = change(header["logs"][0]["keys"])
    return canonical(header)


STRANGER = str(NoteSigner("stranger", b"\x05" * 32).key)
ENTRIES, CHECKPOINT = "entries/gateway.jsonl", "proofs/gateway/checkpoint"
ANSWERS, OPENINGS = "proofs/gateway/answers.jsonl", "proofs/gateway/openings.jsonl"


def first_proof(members: Members) -> str:
    return next(name for name in sorted(members) if name.endswith(".tlog-proof"))


FORGERIES: dict[str, Callable[[Members], Members]] = {
    "an entry altered": lambda m: edit(m, ENTRIES, swap_actor),
    "an entry left out": lambda m: edit(m, ENTRIES, drop_line),
    "all entries left out": lambda m: edit(m, ENTRIES, lambda raw: b""),
    "an entry renumbered": lambda m: edit(m, ENTRIES, lambda raw: raw.replace(b'"index":2', b'"index":9')),
    "a checkpoint of another size": lambda m: edit(
        m, CHECKPOINT, lambda raw: raw.replace(b"\n3\n", b"\n2\n", 1)
    ),
    "a checkpoint without signatures": lambda m: edit(m, CHECKPOINT, lambda raw: raw.partition(b"\n\n")[0]),
    "a proof of another entry": lambda m: edit(
        m, first_proof(m), lambda raw: raw.replace(b"index ", b"index 1", 1)
    ),
    "a proof left out": lambda m: without(m, first_proof(m)),
    "an answer shortened": lambda m: edit(
        m, ANSWERS, lambda raw: raw.replace(b",2]", b"]").replace(b",4]", b"]")
    ),
    "an answer about another key": lambda m: edit(
        m, ANSWERS, lambda raw: raw.replace(b'"version:0x', b'"version:1x')
    ),
    "an answer twice": lambda m: edit(m, ANSWERS, lambda raw: raw + raw),
    "an answer with more in it": lambda m: edit(
        m, ANSWERS, lambda raw: raw.replace(b'{"key"', b'{"a":1,"key"', 1)
    ),
    "an answer about no key": lambda m: edit(
        m, ANSWERS, lambda raw: changed_line(raw, lambda line: line | {"key": None})
    ),
    "no answer": lambda m: edit(m, ANSWERS, lambda raw: b""),
    "the answers left out": lambda m: without(m, ANSWERS),
    "an opening of another time": lambda m: edit(
        m, OPENINGS, lambda raw: changed_line(raw, lambda line: line | {"time": line["time"] + 1})
    ),
    "an opening without a value": lambda m: edit(
        m, OPENINGS, lambda raw: changed_line(raw, lambda line: line | {"value": None})
    ),
    "a time that is none": lambda m: edit(
        m, case.HEADER, lambda raw: canonical(json.loads(raw) | {"created": None})
    ),
    "a log without keys": lambda m: edit(m, case.HEADER, lambda raw: with_keys(raw, lambda keys: [])),
    "a log's key twice": lambda m: edit(m, case.HEADER, lambda raw: with_keys(raw, lambda keys: keys * 2)),
    "a log's key and a stranger's": lambda m: edit(
        m, case.HEADER, lambda raw: with_keys(raw, lambda keys: [*keys, STRANGER])
    ),
    "a log that is whole and is not": lambda m: edit(
        m, case.HEADER, lambda raw: raw.replace(b'"whole":false', b'"whole":null', 1)
    ),
    "an opening that lies": lambda m: edit(m, OPENINGS, lambda raw: raw.replace(b"10.0.0.7", b"10.0.0.8", 1)),
    "an opening of nothing here": lambda m: edit(m, OPENINGS, lambda raw: raw + raw.splitlines(True)[0]),
    "the report edited": lambda m: edit(m, "report.html", lambda raw: raw.replace(b"retrieved", b"sealed")),
    "the PROV edited": lambda m: edit(m, "prov.json", lambda raw: raw.replace(b"retrieval", b"refusal")),
    "the filter edited": lambda m: edit(m, case.HEADER, lambda raw: raw.replace(b'"version"', b'"versions"')),
    "another chain": lambda m: edit(m, case.HEADER, lambda raw: raw.replace(b":31337", b":31338")),
    "a manifest edited": lambda m: edit(
        m,
        next(n for n in sorted(m) if n.startswith("manifests/")),
        lambda raw: raw.replace(b'"w.npz"', b'"v.npz"'),
    ),
    "a manifest left out": lambda m: without(m, next(n for n in sorted(m) if n.startswith("manifests/"))),
    "a stranger among the members": lambda m: m | {"notes.txt": b"trust me"},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_repaired_forgery_is_refused(scene, forgery) -> None:
    honest = members_of(scene.export(Filter(version=scene.second)))
    with pytest.raises(VerificationFailed):
        scene.verify(repaired(FORGERIES[forgery](honest)))


def test_a_changed_member_is_named_whichever_it_is(scene) -> None:
    raw = scene.export(Filter(version=scene.second))
    honest = members_of(raw)
    for name in sorted(honest):
        bent = bytearray(honest[name])
        bent[len(bent) // 2] ^= 1
        with pytest.raises(VerificationFailed) as caught:
            scene.verify(case.pack(honest | {name: bytes(bent)}))
        assert name in caught.value.message or name == case.INDEX


def test_a_missing_and_an_extra_member_are_named(scene) -> None:
    honest = members_of(scene.export())
    for name in sorted(honest):
        with pytest.raises(VerificationFailed, match=f"{name} is missing"):
            scene.verify(case.pack(without(honest, name)))
    with pytest.raises(VerificationFailed, match=r"notes\.txt is not in index\.json"):
        scene.verify(case.pack(honest | {"notes.txt": b""}))


@pytest.mark.parametrize("asked", [Filter(), Filter(kind="retrieval")], ids=["whole", "selection"])
def test_no_byte_of_the_file_can_be_flipped(scene, asked) -> None:
    raw = scene.export(asked)
    scene.verify(raw)
    dice = random.Random(7)
    for _ in range(120):
        bent = bytearray(raw)
        place = dice.randrange(len(bent))
        bent[place] ^= dice.randrange(1, 256)
        with pytest.raises(VerificationFailed):
            scene.verify(bytes(bent))


def test_a_cut_file_is_refused(scene) -> None:
    raw = scene.export()
    for length in (0, 10, len(raw) // 2, len(raw) - 1):
        with pytest.raises(VerificationFailed):
            scene.verify(raw[:length])


def test_a_wholly_forged_but_consistent_file_is_refused_under_the_right_trust_file(scene, tmp_path) -> None:
    forger = type(scene)(tmp_path / "forger")
    forger.gateway_key = type(scene.gateway_key)("gateway.example/log", b"\x66" * 32)
    forger.close()
    forged_log = type(scene.logs["gateway"])(tmp_path / "forged.db", forger.gateway_key, scene.clock)
    forger.logs = {"gateway": forged_log}
    version = scene.second
    gateway = type(scene.gateway)(forged_log, scene.openings, clock=scene.clock, salt=lambda: bytes(32))
    gateway.retrieval(type_of_caller(), model="lab/urban", version=version, outcome="served", size=1)
    forged_log.publish()
    raw = forger.export(disclose=False)
    path = tmp_path / "forged.zip"
    path.write_bytes(raw)
    assert not verify_case(path).is_pinned
    with pytest.raises(VerificationFailed, match=r"the key of gateway\.example/log is .*, the trust"):
        verify_case(path, scene.trust)
    forged_log.close()


def type_of_caller():
    from registry.audit.gatewaylog import Caller

    return Caller()


@pytest.mark.parametrize("field", ["chain_id", "genesis_hash", "contracts", "logs"])
def test_a_trust_file_that_differs_fails_and_names_the_difference(scene, tmp_path, field) -> None:
    from dataclasses import replace

    other = {
        "chain_id": 1,
        "genesis_hash": bytes(32),
        "contracts": (),
        "logs": (("gateway.example/log", scene.gateway_key.key),),
    }[field]
    path = tmp_path / "case.zip"
    path.write_bytes(scene.export())
    words = {
        "chain_id": "chain id",
        "genesis_hash": "genesis hash",
        "contracts": "contracts",
        "logs": "no key of the log",
    }
    with pytest.raises(VerificationFailed, match=words[field]):
        verify_case(path, replace(scene.trust, **{field: other}))


def test_without_enough_witnesses_completeness_is_only_claimed(scene, tmp_path) -> None:
    from dataclasses import replace

    path = tmp_path / "case.zip"
    path.write_bytes(scene.export(Filter(version=scene.second)))
    for quorum, word in ((1, "proved complete"), (2, "complete as claimed by this gateway")):
        report = verify_case(path, replace(scene.trust, quorum=quorum))
        assert any(word in claim.text for claim in report.claims)


def test_nothing_hidden_is_disclosed_unless_asked(scene) -> None:
    told = members_of(scene.export(disclose=True))
    kept = members_of(scene.export(disclose=False))
    assert OPENINGS in told
    assert OPENINGS not in kept
    assert b"10.0.0.7" in b"".join(told.values())
    assert b"10.0.0.7" not in b"".join(kept.values())
    scene.verify(scene.export(disclose=False))


def test_openings_deleted_by_retention_leave_every_proof_standing(scene) -> None:
    assert scene.gateway.forget_before(scene.now + 1, reason="30 days") == 9
    scene.publish()
    raw = scene.export()
    scene.verify(raw)
    assert b"10.0.0.7" not in raw


def test_a_promise_in_the_file_must_be_its_logs_own(scene) -> None:
    members = members_of(scene.export())
    good = make_promise(scene.gateway_key, "gateway.example/log", b"{}", issued=1, merge_delay_s=60)
    stranger = type(scene.gateway_key)("gateway.example/log", b"\x05" * 32)
    bad = make_promise(stranger, "gateway.example/log", b"{}", issued=1, merge_delay_s=60)
    line = {p.signature: canonical(p.to_json()) + b"\n" for p in (good, bad)}
    report = scene.verify(repaired(members | {case.PROMISES: line[good.signature]}))
    assert any("promised the entry" in claim.text for claim in report.claims)
    with pytest.raises(VerificationFailed, match="no trusted key"):
        scene.verify(repaired(members | {case.PROMISES: line[bad.signature]}))


def test_the_same_rows_make_the_same_file(scene) -> None:
    assert scene.export() == scene.export()
