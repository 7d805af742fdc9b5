"""The tree against RFC 6962: the published known answers and the RFC's own recursion as the oracle."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core import merkle
from registry.errors import Malformed, VerificationFailed

# The vectors of the Certificate Transparency reference implementation: leaves, and the root of each prefix.
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 2.1, as written."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = largest_power_below(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 2.1.1, as written."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 2.1.2, as written."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def tree_of(leaves: list[bytes]) -> merkle.Tree:
    return merkle.Tree(merkle.leaf_hash(leaf) for leaf in leaves)


def test_the_published_roots_come_out() -> None:
    tree = tree_of(LEAVES)
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS
    assert mth([]) == merkle.EMPTY_ROOT


@pytest.mark.parametrize("size", range(1, 34))
def test_every_proof_of_a_small_tree_is_the_rfcs_own(size: int) -> None:
    leaves = entries(size)
    tree = tree_of(leaves)
    assert tree.root() == mth(leaves)
    for index in range(size):
        proof = merkle.inclusion(tree.node, index, size)
        assert proof == path(index, leaves)
        merkle.verify_inclusion(merkle.leaf_hash(leaves[index]), index, size, proof, mth(leaves))
    for old in range(1, size + 1):
        steps = merkle.consistency(tree.node, old, size)
        assert steps == subproof(old, leaves, True)
        merkle.verify_consistency(old, size, mth(leaves[:old]), mth(leaves), steps)


@given(st.integers(1, 300), st.data())
def test_a_frontier_knows_the_root_of_every_prefix(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    cut = data.draw(st.integers(0, size))
    edge = merkle.Frontier()
    for leaf in leaves[:cut]:
        edge.append(merkle.leaf_hash(leaf))
    resumed = merkle.Frontier(edge.size, edge.hashes)
    for leaf in leaves[cut:]:
        resumed.append(merkle.leaf_hash(leaf))
    assert edge.root() == mth(leaves[:cut])
    assert resumed.root() == mth(leaves)


@given(st.integers(1, 200), st.data())
def test_a_page_of_leaves_is_proved_as_a_whole(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    first = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(first + 1, size))
    tree = tree_of(leaves)
    proof = merkle.range_proof(tree.node, first, end, size)
    page = [merkle.leaf_hash(leaf) for leaf in leaves[first:end]]
    merkle.verify_range(page, first, size, proof, mth(leaves))
    assert len(proof) <= 2 * size.bit_length()


@given(st.integers(2, 120), st.data())
def test_a_page_that_lacks_a_leaf_is_refused(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    first = data.draw(st.integers(0, size - 2))
    end = data.draw(st.integers(first + 2, size))
    tree = tree_of(leaves)
    proof = merkle.range_proof(tree.node, first, end, size)
    page = [merkle.leaf_hash(leaf) for leaf in leaves[first:end]]
    gone = data.draw(st.integers(0, len(page) - 1))
    with pytest.raises(VerificationFailed):
        merkle.verify_range(page[:gone] + page[gone + 1 :], first, size, proof, mth(leaves))
    swapped = [page[1], page[0], *page[2:]]
    with pytest.raises(VerificationFailed):
        merkle.verify_range(swapped, first, size, proof, mth(leaves))


@given(st.integers(2, 200), st.data())
def test_a_flipped_bit_anywhere_in_an_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion(tree_of(leaves).node, index, size)
    parts = [merkle.leaf_hash(leaves[index]), mth(leaves), *proof]
    bent = flip(parts, data)
    with pytest.raises(VerificationFailed):
        merkle.verify_inclusion(bent[0], index, size, bent[2:], bent[1])


@given(st.integers(2, 200), st.data())
def test_a_flipped_bit_anywhere_in_a_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    old = data.draw(st.integers(1, size - 1))
    proof = merkle.consistency(tree_of(leaves).node, old, size)
    bent = flip([mth(leaves[:old]), mth(leaves), *proof], data)
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(old, size, bent[0], bent[1], bent[2:])


def flip(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    which = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 255))
    value = int.from_bytes(parts[which], "big") ^ 1 << bit
    return [*parts[:which], value.to_bytes(32, "big"), *parts[which + 1 :]]


@given(st.integers(1, 100), st.data())
def test_a_proof_for_another_index_or_of_another_length_is_refused(size: int, data: st.DataObject) -> None:
    leaves = entries(size)
    tree = tree_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion(tree.node, index, size)
    leaf = merkle.leaf_hash(leaves[index])
    other = data.draw(st.integers(-2, size + 2).filter(lambda number: number != index))
    with pytest.raises(VerificationFailed):
        merkle.verify_inclusion(leaf, other, size, proof, tree.root())
    for wrong in ([*proof, bytes(32)], proof[1:] if proof else [b""]):
        with pytest.raises(VerificationFailed):
            merkle.verify_inclusion(leaf, index, size, wrong, tree.root())


def test_a_fork_is_no_extension() -> None:
    honest, forked = entries(10), [*entries(6), b"another", *entries(10)[7:]]
    proof = merkle.consistency(tree_of(forked).node, 7, 10)
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(7, 10, mth(honest[:7]), mth(forked), proof)


def test_a_log_cannot_shrink() -> None:
    leaves = entries(9)
    with pytest.raises(VerificationFailed, match="cannot shrink from 9 to 5"):
        merkle.verify_consistency(9, 5, mth(leaves), mth(leaves[:5]), [])


def test_the_empty_tree_comes_before_every_tree_and_only_with_its_own_root() -> None:
    leaves = entries(3)
    merkle.verify_consistency(0, 3, merkle.EMPTY_ROOT, mth(leaves), [])
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(0, 3, bytes(32), mth(leaves), [])


def test_a_proof_of_a_future_index_is_refused_with_the_size() -> None:
    with pytest.raises(Malformed, match="a tree of 3 leaves has no leaf 3"):
        merkle.inclusion(tree_of(entries(3)).node, 3, 3)
    with pytest.raises(Malformed):
        merkle.consistency(tree_of(entries(3)).node, 4, 3)


def test_a_hash_of_another_length_is_refused() -> None:
    leaves = entries(2)
    tree = tree_of(leaves)
    with pytest.raises(VerificationFailed, match="a hash has 32 bytes"):
        merkle.verify_inclusion(merkle.leaf_hash(leaves[0]), 0, 2, [b"short"], tree.root())


def test_an_inner_node_is_not_accepted_as_an_entry() -> None:
    leaves = entries(2)
    inner = merkle.leaf_hash(leaves[0]) + merkle.leaf_hash(leaves[1])
    with pytest.raises(VerificationFailed):
        merkle.verify_inclusion(merkle.leaf_hash(inner), 0, 1, [], mth(leaves))
