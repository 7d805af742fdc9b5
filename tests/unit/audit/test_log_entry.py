"""A log entry has one spelling, and names an actor only where a signature did."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.canonical import canonical
from registry.core.ids import Address, address_of
from registry.core.log import (
    MAX_ENTRY_BYTES,
    CellClaim,
    ChainPlace,
    LogEntry,
    check_key,
    commit,
    decode_entry,
    keys_of,
)
from registry.errors import Malformed, RegistryError, TooLarge

ANA: Address = address_of(b"\x0a" * 20)
BO: Address = address_of(b"\xb0" * 20)
V1 = "0x" + "11" * 32
V2 = "0x" + "22" * 32

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
ENTRIES = st.builds(
    LogEntry,
    kind=st.sampled_from(["retrieval", "registered", "start"]),
    time=st.integers(0, 253_402_300_799),
    actor=st.none() | st.just(ANA),
    claimed=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    subjects=st.sampled_from([(), (BO,), (ANA, BO)]),
    model=st.none() | st.sampled_from(["lab/urban", V1]),
    version=st.none() | st.just(V1),
    related=st.sampled_from([(), (V2,)]),
    cell=st.none() | st.just(CellClaim("lab/cell-1", "claimed")),
    commitments=st.sampled_from([{}, {"cell": V2}]),
    at=st.none() | st.just(ChainPlace("TwinRegistry", "Registered", 7, V2, 3)),
    details=st.dictionaries(st.text(st.characters(codec="ascii"), max_size=8), JSON, max_size=4),
)


@given(ENTRIES)
def test_an_entry_is_its_own_rfc_8785_form_and_reads_back(entry: LogEntry) -> None:
    raw = entry.encode()
    assert canonical(json.loads(raw)) == raw
    assert decode_entry(raw).encode() == raw
    assert keys_of(decode_entry(raw)) == keys_of(entry)


@given(ENTRIES, st.data())
def test_a_flipped_byte_gives_another_entry_or_none(entry: LogEntry, data: st.DataObject) -> None:
    raw = bytearray(entry.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        assert decode_entry(bytes(raw)) != entry
    except RegistryError:
        return


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_entry_or_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode_entry(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"v": True}, {"v": 2}, {"kind": "A"}, {"time": -1}, {"time": 1.0}, {"actor": ANA.lower()},
        {"more": 1}, {"version": "0x12"}, {"model": "no-namespace"}, {"cell": {"name": "lab/c"}},
        {"cell": {"name": "lab/c", "basis": "guessed"}}, {"subjects": []}, {"claimed": ""},
        {"at": {"contract": 1, "event": "E", "block": 1, "tx_hash": V1, "index": 0}},
        {"at": {"contract": "A", "event": "E", "block": -1, "tx_hash": V1, "index": 0}},
        {"details": {"a": 1.5}}, {"details": {"a": 2**53}}, {"commitments": {"cell": "0x00"}},
        {"kind": ["retrieval"]}, {"subjects": "ab"}, {"related": [V1[:-1]]}, {"time": "1"},
    ],
)  # fmt: skip
def test_an_entry_that_breaks_the_form_is_refused(change: dict[str, object]) -> None:
    good = json.loads(LogEntry("retrieval", 1).encode())
    raw = json.dumps(good | change, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(Malformed):
        decode_entry(raw)


def test_another_spelling_of_the_same_entry_is_refused() -> None:
    raw = LogEntry("start", 1).encode()
    assert decode_entry(raw) == LogEntry("start", 1)
    for other in (b" " + raw, raw.replace(b":", b": ", 1), raw[:-1] + b',"actor":null}'):
        with pytest.raises(Malformed):
            decode_entry(other)


def test_an_entry_over_64_kib_is_too_large() -> None:
    with pytest.raises(TooLarge, match="over 65535"):
        LogEntry("start", 1, details={"text": "x" * MAX_ENTRY_BYTES}).encode()


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(Malformed, match="not Unicode"):
        LogEntry("start", 1, claimed="\ud800").encode()


def test_an_entry_is_found_under_everything_it_concerns() -> None:
    entry = LogEntry(
        "registered", 1, actor=ANA, subjects=(BO,), model="lab/urban", version=V1, related=(V2,),
        cell=CellClaim("lab/c1", "observed"),
    )  # fmt: skip
    assert keys_of(entry) == (
        "kind:registered", f"actor:{ANA}", f"actor:{BO}", f"version:{V1}", f"version:{V2}", "model:lab/urban",
        "cell:lab/c1",
    )  # fmt: skip


def test_a_claimed_actor_is_no_key_because_anybody_can_be_named() -> None:
    assert keys_of(LogEntry("refusal", 1, claimed=ANA)) == ("kind:refusal",)


@pytest.mark.parametrize(
    "key", ["", "actor:", "actor:0x12", "kind:No", "colour:red", "model:x", "version:0x"]
)
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(Malformed):
        check_key(key)


def test_an_address_in_a_key_is_written_in_eip_55() -> None:
    assert check_key(f"actor:{ANA.lower()}") == f"actor:{ANA}"


def test_a_commitment_depends_on_field_salt_and_value() -> None:
    salt = bytes(32)
    found = {commit(*given) for given in (
        ("cell", "lab/c1", salt), ("address", "lab/c1", salt), ("cell", "lab/c2", salt),
        ("cell", "lab/c1", b"\x01" + salt[1:]),
    )}  # fmt: skip
    assert len(found) == 4
    with pytest.raises(Malformed):
        commit("cell", "lab/c1", b"short")
