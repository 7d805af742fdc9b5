"""Transactions signed and read here, against eth_account."""

from contextlib import suppress

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.chain.base import FeePolicy
from registry.chain.signed import Draft, read_signed, sign_draft
from registry.core.ids import address_of
from registry.core.signing import KeySigner
from registry.errors import Malformed, Rejected

SECRET = b"\x05" * 32
KEY = KeySigner(SECRET)
ADDRESSES = st.binary(min_size=20, max_size=20).map(address_of)
AMOUNT = st.integers(0, 2**100)
DRAFTS = st.builds(
    Draft,
    chain_id=st.integers(1, 2**40),
    nonce=st.integers(0, 2**40),
    fee=st.builds(FeePolicy, AMOUNT.map(lambda n: n + 2**100), st.none() | AMOUNT),
    gas=st.integers(21_000, 2**40),
    to=st.none() | ADDRESSES,
    value=AMOUNT,
    payload=st.binary(max_size=100),
)


@settings(deadline=None)
@given(DRAFTS)
def test_the_bytes_are_those_of_eth_account(draft: Draft) -> None:
    fields = {
        "chainId": draft.chain_id,
        "nonce": draft.nonce,
        "gas": draft.gas,
        "to": draft.to or b"",
        "value": draft.value,
        "data": draft.payload,
    }
    fees = {"gasPrice": draft.fee.gas_price}
    if draft.fee.tip is not None:
        fees = {"maxFeePerGas": draft.fee.gas_price, "maxPriorityFeePerGas": draft.fee.tip, "type": 2}
    raw = sign_draft(draft, KEY)
    assert raw == bytes(Account.sign_transaction(fields | fees, SECRET).raw_transaction)
    read = read_signed(raw)
    assert (read.sender, read.nonce, read.chain_id) == (KEY.address, draft.nonce, draft.chain_id)
    assert read.cost == draft.value + draft.gas * draft.fee.gas_price
    assert read.gas == draft.gas


@given(st.binary(max_size=200))
def test_garbage_is_rejected_and_never_crashes(raw: bytes) -> None:
    with pytest.raises(Rejected):
        read_signed(raw)


@settings(deadline=None)
@given(DRAFTS, st.data())
def test_a_changed_byte_is_another_sender_or_malformed(draft: Draft, data: st.DataObject) -> None:
    raw = bytearray(sign_draft(draft, KEY))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(Rejected):
        assert read_signed(bytes(raw)).sender != KEY.address


def test_a_transaction_without_a_chain_is_malformed() -> None:
    old = Account.sign_transaction(
        {"nonce": 0, "gas": 21_000, "gasPrice": 0, "to": KEY.address, "value": 1, "data": b""}, SECRET
    )
    with pytest.raises(Malformed, match="names no chain"):
        read_signed(bytes(old.raw_transaction))
