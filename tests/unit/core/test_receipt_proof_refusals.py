"""A receipt proof that is not exactly right is refused, and says where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.ids import keccak
from registry.core.receipt_proof import open_receipt_proof, prove_receipt, verify_receipt_proof
from registry.core.rlp import decode, encode, encode_int
from registry.errors import Malformed, VerificationFailed


def receipt(gas, logs=()):
    return b"\2" + encode([b"\1", decode(encode_int(gas)), bytes(256), list(logs)])


LOG = [b"\7" * 20, [b"\1" * 32], b"data"]
RECEIPTS = [receipt(21_000 * (i + 1), [LOG] * (i % 3)) for i in range(20)]


def header(root, fields=15):
    values = [bytes(32)] * 5 + [root, bytes(256), b"", b"\7", b"\1", b"\1", b"\x64", b"", bytes(32), bytes(8)]
    return encode((values + [b""] * 9)[:fields])


def root_of(receipts):
    """The root, found by asking for a proof under a root that is wrong."""
    with pytest.raises(VerificationFailed):
        prove_receipt(header(bytes(32)), receipts, 0)
    from registry.core.receipt_proof import _nibbles, _node

    return keccak(encode(_node([(_nibbles(encode_int(i)), r) for i, r in enumerate(receipts)], {})))


HEADER = header(root_of(RECEIPTS))
HASH = keccak(HEADER)
NODES = prove_receipt(HEADER, RECEIPTS, 17)


def test_the_proof_gives_the_logs_of_its_receipt_and_the_block():
    proven = open_receipt_proof(HEADER, 17, NODES, HASH)
    assert (proven.block_number, proven.block_time, proven.succeeded, proven.tx_index) == (7, 100, True, 17)
    assert [log.data for log in proven.logs] == [b"data", b"data"]
    assert verify_receipt_proof(HEADER, 17, NODES, HASH) == proven.logs


@pytest.mark.parametrize("index", [-1, 0, 16, 18, 19, 20, 1 << 40])
def test_it_proves_no_other_index(index):
    with pytest.raises(VerificationFailed):
        verify_receipt_proof(HEADER, index, NODES, HASH)


def test_it_proves_nothing_of_another_block():
    with pytest.raises(VerificationFailed, match="header"):
        verify_receipt_proof(HEADER, 17, NODES, bytes(32))


@given(st.data())
def test_any_changed_byte_is_noticed(data):
    parts = [HEADER, *NODES]
    which = data.draw(st.integers(0, len(parts) - 1))
    place = data.draw(st.integers(0, len(parts[which]) - 1))
    changed = bytearray(parts[which])
    changed[place] ^= data.draw(st.integers(1, 255))
    parts[which] = bytes(changed)
    with pytest.raises(VerificationFailed):
        verify_receipt_proof(parts[0], 17, parts[1:], HASH)


@pytest.mark.parametrize(
    "nodes",
    [(), NODES[:-1], NODES[1:], (*NODES, NODES[-1]), NODES[::-1], (NODES[0],) * 20, (*NODES, b"")],
)
def test_missing_extra_and_misplaced_nodes_are_refused(nodes):
    with pytest.raises(VerificationFailed):
        verify_receipt_proof(HEADER, 17, nodes, HASH)


@given(st.binary(max_size=120), st.lists(st.binary(max_size=60), max_size=3), st.integers(-1, 300))
def test_any_bytes_are_refused_with_verification_failed(raw, nodes, index):
    with pytest.raises(VerificationFailed):
        verify_receipt_proof(raw, index, nodes, keccak(raw))


@given(st.recursive(st.binary(max_size=40), lambda inner: st.lists(inner, max_size=17), max_leaves=30))
def test_any_node_under_the_right_root_is_refused_unless_it_is_one(item):
    node = encode(item)
    raw = header(keccak(node))
    with pytest.raises(VerificationFailed):
        verify_receipt_proof(raw, 0, [node], keccak(raw))


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"\1",
        b"\2\xc0",
        b"\xff",
        encode([b"\2", b"", bytes(256), []]),
        encode([bytes(32), b"\1", bytes(256), []]),
        encode([b"\1", b"\0\1", bytes(256), []]),
        encode([b"\1", b"\1", bytes(255), []]),
        encode([b"\1", b"\1", bytes(256), [[b"\7" * 19, [], b""]]]),
        encode([b"\1", b"\1", bytes(256), [[b"\7" * 20, [b"\1"], b""]]]),
        encode([b"\1", b"\1", bytes(256), [[b"\7" * 20, []]]]),
        encode([b"\1", b"\1", bytes(256), b"logs"]),
    ],
)
def test_a_leaf_that_is_no_receipt_is_refused(leaf):
    node = encode([b"\x20\x80", leaf])
    raw = header(keccak(node))
    with pytest.raises(VerificationFailed):
        verify_receipt_proof(raw, 0, [node], keccak(raw))


def test_a_header_has_at_least_15_fields():
    raw = header(bytes(32), fields=14)
    with pytest.raises(VerificationFailed, match="15 fields"):
        verify_receipt_proof(raw, 0, [b"\xc0"], keccak(raw))


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"\x81", b"\x81\x05", b"\xb8\x01a", b"\xb8\x37" + bytes(55), b"\xb9\x00\x38" + bytes(56)),
        *(b"\xc1", b"\xc2\x81", b"\xf8\x01\x01", b"\x01\x01", b"\xc1" * 60, b"\xbf" + b"\xff" * 8),
    ],
)
def test_rlp_with_another_spelling_is_malformed(raw):
    with pytest.raises(Malformed):
        decode(raw)


@given(st.binary(max_size=80))
def test_rlp_that_can_be_read_is_written_back_the_same(raw):
    try:
        item = decode(raw)
    except Malformed:
        return
    assert encode(item) == raw
