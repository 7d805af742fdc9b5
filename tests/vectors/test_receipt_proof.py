"""Receipt proofs and RLP, against the `rlp` and `trie` packages."""

import rlp
from hypothesis import given, settings
from hypothesis import strategies as st
from trie import HexaryTrie

from registry.core import rlp as ours
from registry.core.ids import address_of, keccak
from registry.core.receipt_proof import open_receipt_proof, prove_receipt, verify_receipt_proof

ITEMS = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=20)
LOGS = st.lists(
    st.tuples(
        st.binary(min_size=20, max_size=20),
        st.lists(st.binary(min_size=32, max_size=32), max_size=4),
        st.binary(max_size=100),
    ),
    max_size=4,
)
RECEIPTS = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 10**8), LOGS), min_size=1, max_size=6
)


def plain(item):
    return [plain(part) for part in item] if isinstance(item, list | tuple) else bytes(item)


def receipt(kind, succeeded, gas, logs):
    body = rlp.encode(
        [b"\1" if succeeded else b"", ours.as_bytes(ours.decode(ours.encode_int(gas))), bytes(256), logs]
    )
    return (bytes((kind,)) if kind else b"") + body


def header(root, number=7, time=1_700_000_000):
    fields = [bytes(32), bytes(32), bytes(20), bytes(32), bytes(32), root, bytes(256), b""]
    numbers = [number, 30_000_000, 21_000, time]
    return ours.encode(
        [*fields, *(ours.decode(ours.encode_int(n)) for n in numbers), b"", bytes(32), bytes(8)]
    )


def trie_root(receipts):
    trie = HexaryTrie({})
    for index, raw in enumerate(receipts):
        trie[rlp.encode(index)] = raw
    return trie.root_hash


@given(ITEMS)
def test_rlp_is_written_and_read_as_the_package_does(item):
    assert ours.encode(item) == rlp.encode(item)
    assert ours.decode(rlp.encode(item)) == plain(rlp.decode(rlp.encode(item)))


@given(RECEIPTS, st.data())
def test_every_receipt_of_a_block_is_proved_under_the_root_that_trie_computes(block, data):
    encoded = [receipt(*r) for r in block]
    raw = header(trie_root(encoded))
    index = data.draw(st.integers(0, len(block) - 1))
    proven = open_receipt_proof(raw, index, prove_receipt(raw, encoded, index), keccak(raw))
    _, succeeded, _, logs = block[index]
    assert (proven.succeeded, proven.block_number, proven.block_time) == (succeeded, 7, 1_700_000_000)
    assert [(log.address, list(log.topics), log.data) for log in proven.logs] == [
        (address_of(address), topics, data) for address, topics, data in logs
    ]


@settings(max_examples=3, deadline=None)
@given(st.sampled_from((1, 2, 17, 127, 128, 129, 300)))
def test_blocks_of_every_shape_of_trie_are_proved(count):
    encoded = [receipt(2, True, 21_000 * (i + 1), []) for i in range(count)]
    raw = header(trie_root(encoded))
    for index in {0, count // 2, count - 1}:
        assert verify_receipt_proof(raw, index, prove_receipt(raw, encoded, index), keccak(raw)) == ()
