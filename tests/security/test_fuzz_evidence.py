"""An evidence file and a receipt proof from a running gateway, spoiled behind their own checksums."""

import hashlib
import json
import time
from pathlib import Path

import pytest
from callers import Ask
from conftest import Live, write_weights
from hypothesis import given
from hypothesis import strategies as st
from mutation import edited, edited_json, fuzzed, only_own_errors

from registry.audit.case import INDEX, pack, unpack
from registry.audit.trust import parse_trust
from registry.audit.verify_case import verify_case
from registry.core.canonical import canonical
from registry.core.ids import keccak
from registry.core.receipt_proof import open_receipt_proof
from registry.errors import RegistryError


@pytest.fixture(scope="module")
def case(live: Live, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The case of one sealed version, as the gateway writes it."""
    weights = write_weights(tmp_path_factory.mktemp("case") / "w.safetensors", 13)
    with live.client() as client:
        receipt = client.submit("local/evident", [weights], {})
    asked = json.dumps({"version": receipt.version_id}).encode()
    for _ in range(100):
        answer = Ask("POST", "/v1/audit/evidence", asked).send(live.url)
        assert answer.status == 200, answer.body
        if any(name.startswith("receipts/") for name in unpack(answer.body)):
            return bytes(answer.body)
        time.sleep(0.1)
    raise AssertionError("no checkpoint covers the seal")


def repaired(members: dict[str, bytes]) -> bytes:
    """The members with an index that fits them, as a forger would pack them."""
    others = {name: raw for name, raw in members.items() if name != INDEX}
    index = {name: hashlib.sha256(raw).hexdigest() for name, raw in others.items()}
    return pack(others | {INDEX: canonical(index)})


def test_the_case_itself_verifies(case: bytes, live: Live, tmp_path: Path) -> None:
    path = tmp_path / "case.zip"
    path.write_bytes(case)
    assert verify_case(path, parse_trust(live.home.trust.read_bytes()))
    path.write_bytes(repaired(unpack(case)))
    assert verify_case(path)


def test_a_changed_member_under_a_repaired_index_is_read_or_refused(case: bytes, tmp_path: Path) -> None:
    members = unpack(case)
    path = tmp_path / "forged.zip"
    names = sorted(set(members) - {INDEX})

    @fuzzed()
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(names))
        raw = members[name]
        if name.endswith(".json") and data.draw(st.booleans()):
            try:
                spoiled = canonical(data.draw(edited_json(json.loads(raw))))
            except RegistryError:
                return
        else:
            spoiled = data.draw(edited(raw))
        path.write_bytes(repaired(members | {name: spoiled}))
        only_own_errors(verify_case, path)

    check()


def test_a_missing_member_under_a_repaired_index_is_an_error_of_the_tree(case: bytes, tmp_path: Path) -> None:
    members = unpack(case)
    path = tmp_path / "short.zip"
    for name in set(members) - {INDEX}:
        path.write_bytes(repaired({other: raw for other, raw in members.items() if other != name}))
        only_own_errors(verify_case, path)


def test_a_damaged_container_is_refused(case: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.zip"

    @fuzzed()
    @given(edited(case))
    def check(raw: bytes) -> None:
        path.write_bytes(raw)
        if raw != case:
            with pytest.raises(RegistryError):
                verify_case(path)

    check()


def test_a_spoiled_receipt_proof_is_refused(case: bytes) -> None:
    members = unpack(case)
    receipt = next(json.loads(raw) for name, raw in members.items() if name.startswith("receipts/"))
    proof = receipt["receipt_proof"]
    header, *nodes = (bytes.fromhex(text[2:]) for text in (proof["header"], *proof["nodes"]))
    assert open_receipt_proof(header, proof["tx_index"], nodes, keccak(header))

    @fuzzed()
    @given(
        edited(header),
        st.lists(st.one_of(*(edited(node) for node in nodes)), max_size=4),
        st.integers(-1, 300),
    )
    def check(head: bytes, path: list[bytes], index: int) -> None:
        only_own_errors(lambda raw: open_receipt_proof(raw, index, path, keccak(raw)), head)
        if path != nodes:
            only_own_errors(lambda raw: open_receipt_proof(raw, proof["tx_index"], path, keccak(raw)), header)

    check()
