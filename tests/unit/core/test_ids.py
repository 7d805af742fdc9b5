"""Addresses, 32-byte values, and the numbers that are on chain."""

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from registry.core import ids
from registry.core.ids import (
    FeeClass,
    Role,
    Status,
    address_bytes,
    address_of,
    hex32,
    model_id,
    name_hash,
    parse_hex32,
    to_address,
)
from registry.errors import Malformed


@given(st.binary(min_size=20, max_size=20))
def test_an_address_is_shown_in_eip55_and_read_in_any_case(raw):
    address = address_of(raw)
    assert address == to_checksum_address(raw)
    assert address_bytes(address) == raw
    assert {to_address(t) for t in ("0x" + raw.hex(), "0X" + raw.hex().upper(), address)} == {address}


@pytest.mark.parametrize(
    "text", ["", "0x", "0x" + "a" * 39, "0x" + "a" * 41, "a" * 40, "0x" + "g" * 40, "0x" + "a" * 40 + "\n"]
)
def test_what_is_no_address_is_malformed(text):
    with pytest.raises(Malformed):
        to_address(text)


@given(st.binary(min_size=32, max_size=32))
def test_a_32_byte_value_has_one_text(raw):
    assert parse_hex32(hex32(raw)) == raw


@pytest.mark.parametrize(
    "text", ["", "0x", "0x" + "a" * 63, "0x" + "A" * 64, "a" * 66, "0x" + "a" * 64 + "\n"]
)
def test_any_other_text_is_no_32_byte_value(text):
    with pytest.raises(Malformed):
        parse_hex32(text)


def test_keccak_is_that_of_ethereum():
    assert ids.keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("message", [b"", b"twin", bytes(200)])
def test_the_fallback_for_keccak_gives_the_same_digests(message):
    from eth_hash.auto import keccak

    assert keccak(message) == ids.keccak(message)


def test_a_model_id_packs_the_namespace_as_uint64():
    assert model_id(7, "ran") == ids.keccak(bytes(7) + b"\7" + name_hash("ran"))


def test_the_numbers_are_those_of_the_protocol():
    assert [role.name for role in Role] == [
        *("SUBMITTER", "MINER", "SPONSOR", "DEVICE", "AGGREGATOR", "VALIDATOR", "HOST", "OPERATOR"),
        *("AUDITOR", "WITNESS", "GATEWAY", "COUNCIL"),
    ]
    assert [role.value for role in Role] == [1 << bit for bit in range(12)]
    assert [(s.name, s.value) for s in Status] == [
        ("ACTIVE", 1),
        ("DEPRECATED", 2),
        ("REVOKED", 3),
        ("CANCELLED", 4),
    ]
    assert (FeeClass.STANDARD, FeeClass.PRIORITY) == (0, 1)
