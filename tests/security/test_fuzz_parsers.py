"""Whatever bytes come from outside: a parser answers a value or an error of the tree, and nothing else."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import specimens as good
from hypothesis import given
from hypothesis import strategies as st
from mutation import ODD_VALUES, edited, edited_json, fuzzed, only_own_errors, plain_json

from registry.audit.case import CaseHeader
from registry.audit.case_lines import read_answer_lines, read_entry_lines, read_opening_lines
from registry.audit.trust import parse_trust
from registry.chain.reverts import decode_revert
from registry.core import rlp
from registry.core.access import claimed_by, read_authorization
from registry.core.canonical import canonical, read_canonical, strict_json
from registry.core.checkpoint import Checkpoint, verify_checkpoint
from registry.core.cid import Cid
from registry.core.ids import keccak, parse_hex32, read_count, to_address
from registry.core.log import check_key, decode_entry, from_json
from registry.core.manifest import parse_manifest
from registry.core.note import Note, VerifierKey
from registry.core.promise import Promise
from registry.core.receipt_proof import open_receipt_proof
from registry.core.refs import check_alias, parse_cell, parse_model, parse_reference
from registry.core.signing import recover
from registry.core.tiles import decode_bundle, parse_tile_path
from registry.core.tlogproof import TlogProof
from registry.core.transaction import read_transaction
from registry.core.weights import FORMATS, inspect
from registry.errors import Unauthenticated
from registry.index.search import parse_metric
from registry.storage.car import read_header
from registry.storage.dagpb import decode_node, decode_unixfs
from registry.wire import SignedSubmission, parse_body
from registry.wire_audit import FilterBody
from registry.wire_rewards import SignedContribution, SignedMeasurementBody

Parse = Callable[[Any], object]


def _car(raw: bytes) -> object:
    roots, frames = read_header([raw[:10], raw[10:]])
    return roots, list(frames)


def _dag_pb(raw: bytes) -> object:
    node = decode_node(raw)
    return [link.cid for link in node.links], decode_unixfs(node)


def _checked(raw: bytes) -> object:
    keys = (good.LOG_SIGNER.key,)
    return verify_checkpoint(raw, origin="example.com/log", logs=keys, witnesses=keys)


BYTES: dict[str, tuple[Parse, tuple[bytes, ...]]] = {
    "CAR": (_car, (good.CAR,)),
    "dag-pb": (_dag_pb, (good.NODE,)),
    "raw CID": (Cid.of_raw, (good.FILE.cid.raw,)),
    "manifest": (parse_manifest, (good.MANIFEST.bytes,)),
    "note": (Note.parse, (good.NOTE,)),
    "checkpoint": (_checked, (good.NOTE,)),
    "tlog proof": (TlogProof.parse, (good.PROOF,)),
    "transaction": (read_transaction, (good.TRANSACTION, b"\x02" + good.TRANSACTION)),
    "RLP": (rlp.decode, (good.TRANSACTION,)),
    "log entry": (decode_entry, (good.ENTRY.encode(),)),
    "entry bundle": (lambda raw: decode_bundle(raw, 2), (good.BUNDLE,)),
    "trust file": (parse_trust, (canonical(good.TRUST),)),
    "strict JSON": (strict_json, (canonical(good.SUBMISSION), b"[" * 50)),
    "case header": (CaseHeader.parse, (canonical({"schema": "twinledger/case/1", "logs": []}),)),
    "entry lines": (read_entry_lines, (canonical({"entry": {"kind": "x"}, "index": 0}) + b"\n",)),
    "opening lines": (read_opening_lines, (canonical({"field": "cell", "value": "a"}) + b"\n",)),
    "answer lines": (read_answer_lines, (canonical({"key": "kind:x"}) + b"\n",)),
    "revert": (decode_revert, (b"\x08\xc3\x79\xa0" + b"\0" * 31 + b" " + b"\0" * 64, b"\1" * 100)),
    "signature": (lambda raw: recover(keccak(b"m"), raw), (good.SIGNER.sign_hash(keccak(b"m")),)),
    "receipt proof": (
        lambda raw: open_receipt_proof(raw, 0, [raw, raw[3:]], keccak(raw)),
        (rlp.encode([b"\1" * 32] * 16), good.TRANSACTION),
    ),
}
TEXTS: dict[str, tuple[Parse, tuple[str, ...]]] = {
    "CID": (Cid.parse, (str(good.FILE.cid), str(good.DIRECTORY.cid))),
    "reference": (parse_reference, ("acme/twin", "acme/twin@v3", "acme/twin@champion", "0x" + "ab" * 32)),
    "model": (parse_model, ("acme/twin",)),
    "cell": (parse_cell, ("acme/tower-7",)),
    "alias": (check_alias, ("champion", "v1")),
    "address": (to_address, (good.SIGNER.address,)),
    "32 bytes": (parse_hex32, (good.HEX,)),
    "count": (lambda text: read_count(text, "it"), ("17", "9223372036854775808", "\N{SUPERSCRIPT TWO}")),
    "authorization": (read_authorization, (good.HEADER,)),
    "claim": (claimed_by, (good.HEADER,)),
    "tile path": (parse_tile_path, ("tile/0/x001/234.p/5", "tile/entries/000")),
    "verifier key": (VerifierKey.parse, (str(good.LOG_SIGNER.key),)),
    "checkpoint text": (Checkpoint.parse, (good.CHECKPOINT.text,)),
    "metric": (parse_metric, ("nmse<0.5", "loss>=1e-3")),
    "log key": (check_key, ("model:acme/twin", "version:" + good.HEX, "actor:" + good.SIGNER.address)),
}
VALUES: dict[str, tuple[Parse, Any]] = {
    "submission": (lambda value: parse_body(SignedSubmission, value), good.SUBMISSION),
    "contribution": (lambda value: parse_body(SignedContribution, value), good.SUBMISSION),
    "measurement": (lambda value: parse_body(SignedMeasurementBody, value), good.SUBMISSION),
    "filter": (lambda value: parse_body(FilterBody, value), {"log": "chain", "since": 0}),
    "promise": (Promise.from_json, good.PROMISE.to_json()),
    "entry JSON": (from_json, json.loads(good.ENTRY.encode())),
    "manifest members": (
        lambda value: parse_manifest(plain_json(value)),
        json.loads(good.MANIFEST.bytes),
    ),
    "trust members": (lambda value: parse_trust(plain_json(value)), good.TRUST),
    "canonical": (canonical, good.SUBMISSION),
}


@pytest.mark.parametrize("name", BYTES)
def test_foreign_bytes_are_read_or_refused(name: str) -> None:
    parse, seeds = BYTES[name]

    @fuzzed()
    @given(edited(*seeds))
    def check(raw: bytes) -> None:
        only_own_errors(parse, raw)

    check()


@pytest.mark.parametrize("name", TEXTS)
def test_foreign_text_is_read_or_refused(name: str) -> None:
    parse, seeds = TEXTS[name]
    raws = [seed.encode() for seed in seeds]

    @fuzzed()
    @given(edited(*raws).map(lambda raw: raw.decode("utf-8", "replace")) | st.text(max_size=80))
    def check(text: str) -> None:
        only_own_errors(parse, text)

    for seed in seeds:
        only_own_errors(parse, seed)
    check()


@pytest.mark.parametrize("name", VALUES)
def test_foreign_json_values_are_read_or_refused(name: str) -> None:
    parse, seed = VALUES[name]

    @fuzzed()
    @given(edited_json(seed) | st.sampled_from(ODD_VALUES))
    def check(value: object) -> None:
        only_own_errors(parse, value)

    check()


@fuzzed()
@given(edited_json(json.loads(good.MANIFEST.bytes)))
def test_a_canonical_manifest_with_odd_members_is_read_or_refused(value: object) -> None:
    only_own_errors(lambda odd: parse_manifest(canonical(odd)), value)


@pytest.mark.parametrize("format_", FORMATS)
def test_foreign_weights_are_read_or_refused(format_: str) -> None:
    @fuzzed(0.7)
    @given(edited(*good.WEIGHTS))
    def check(raw: bytes) -> None:
        only_own_errors(lambda bytes_: inspect(format_, io.BytesIO(bytes_)), raw)

    check()


def test_the_specimens_are_taken_as_they_are() -> None:
    for parse, raw in (
        (_car, good.CAR),
        (_dag_pb, good.NODE),
        (parse_manifest, good.MANIFEST.bytes),
        (_checked, good.NOTE),
        (TlogProof.parse, good.PROOF),
        (read_transaction, good.TRANSACTION),
        (decode_entry, good.ENTRY.encode()),
        (parse_trust, canonical(good.TRUST)),
        (read_canonical, canonical(good.SUBMISSION)),
    ):
        assert parse(raw)
    assert parse_body(SignedSubmission, good.SUBMISSION)
    assert read_authorization(good.HEADER).cell == "acme/tower"
    assert read_authorization(good.HEADER.replace("acme/tower", "")).cell == ""
    for cell in ("tower", "acme/", "/tower", "acme/tower/7", "Acme/tower", "0xab/tower"):
        with pytest.raises(Unauthenticated):
            read_authorization(good.HEADER.replace("acme/tower", cell))
    for format_, raw in zip(("safetensors", "npz", "npy", "onnx"), good.WEIGHTS, strict=True):
        assert inspect(format_, io.BytesIO(raw))
