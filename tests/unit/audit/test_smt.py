"""The verifiable map gives every key exactly one answer under one root."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core import smt
from registry.errors import VerificationFailed


def leaf_of(name: str, count: int = 1) -> smt.MapLeaf:
    return smt.MapLeaf(smt.key_hash(name), count, sha256(f"{name} {count}".encode()).digest())


def definition(leaves: list[smt.MapLeaf], depth: int = 0) -> bytes:
    """protocol.md section 6, as written."""
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        only = leaves[0]
        return sha256(b"\x00" + only.key + only.count.to_bytes(8, "big") + only.root).digest()
    sides: tuple[list[smt.MapLeaf], list[smt.MapLeaf]] = ([], [])
    for leaf in leaves:
        sides[int.from_bytes(leaf.key, "big") >> (255 - depth) & 1].append(leaf)
    return sha256(b"\x01" + definition(sides[0], depth + 1) + definition(sides[1], depth + 1)).digest()


NAMES = st.lists(st.integers(0, 400).map(lambda number: f"actor:{number}"), unique=True, max_size=60)


@given(NAMES, st.integers(0, 200))
def test_the_root_is_the_definitions(names: list[str], expected_count: int) -> None:
    leaves = [leaf_of(name) for name in names]
    grown = smt.SparseMap(smt.SortedLeaves(leaves), expected_count)
    assert grown.root() == definition(leaves)


@given(st.lists(NAMES, max_size=4), st.sampled_from([0, 20, 2_000]), st.booleans())
def test_updating_step_by_step_equals_building_at_once(
    steps: list[list[str]], expected_count: int, is_written_before: bool
) -> None:
    held = smt.SortedLeaves()
    grown = smt.SparseMap(held, expected_count)
    now: dict[str, smt.MapLeaf] = {}
    for count, names in enumerate(steps, 1):
        added, changed = [], []
        for name in names:
            (changed if name in now else added).append(leaf_of(name, count))
            now[name] = leaf_of(name, count)
        if is_written_before:
            for leaf in now.values():
                held.put(leaf)
        grown.update(added=added, changed=changed)
        for leaf in now.values():
            held.put(leaf)
        assert grown.root() == definition(list(now.values()))


@given(NAMES, st.integers(0, 400))
def test_every_key_is_proved_present_or_absent_and_never_both(names: list[str], asked: int) -> None:
    key = f"actor:{asked}"
    grown = smt.SparseMap(smt.SortedLeaves(map(leaf_of, names)), len(names))
    proof = grown.prove(key)
    if key in names:
        assert smt.verify_present(proof, key, grown.root()) == leaf_of(key)
        with pytest.raises(VerificationFailed):
            smt.verify_absent(proof, key, grown.root())
    else:
        smt.verify_absent(proof, key, grown.root())
        with pytest.raises(VerificationFailed):
            smt.verify_present(proof, key, grown.root())


@given(NAMES.filter(lambda names: len(names) > 1), st.data())
def test_a_flipped_bit_anywhere_in_a_map_proof_is_refused(names: list[str], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(names))
    grown = smt.SparseMap(smt.SortedLeaves(map(leaf_of, names)))
    proof = grown.prove(key)
    which = data.draw(st.integers(0, len(proof.siblings) - 1))
    bit = data.draw(st.integers(0, 255))
    bent = (int.from_bytes(proof.siblings[which], "big") ^ 1 << bit).to_bytes(32, "big")
    siblings = (*proof.siblings[:which], bent, *proof.siblings[which + 1 :])
    with pytest.raises(VerificationFailed):
        smt.verify_present(smt.MapProof(siblings, proof.leaf), key, grown.root())


def test_a_smaller_count_or_another_root_is_refused() -> None:
    grown = smt.SparseMap(smt.SortedLeaves([leaf_of("kind:start", 2), leaf_of("kind:stop")]))
    proof = grown.prove("kind:start")
    assert proof.leaf is not None
    for lie in (
        smt.MapLeaf(proof.leaf.key, 1, proof.leaf.root),
        smt.MapLeaf(proof.leaf.key, 0, proof.leaf.root),
        smt.MapLeaf(proof.leaf.key, 2, bytes(32)),
        smt.MapLeaf(proof.leaf.key, 2, b""),
    ):
        with pytest.raises(VerificationFailed):
            smt.verify_present(smt.MapProof(proof.siblings, lie), "kind:start", grown.root())


def test_a_present_key_cannot_be_hidden_behind_a_foreign_leaf() -> None:
    names = [f"actor:{number}" for number in range(40)]
    grown = smt.SparseMap(smt.SortedLeaves(map(leaf_of, names)))
    proofs = [grown.prove(name) for name in names]
    for name in names:
        for proof in proofs:
            with pytest.raises(VerificationFailed):
                smt.verify_absent(proof, name, grown.root())


def test_a_proof_of_absurd_length_is_refused_not_crashed() -> None:
    long = smt.MapProof((bytes(32),) * 300, leaf_of("kind:other"))
    with pytest.raises(VerificationFailed):
        smt.verify_absent(long, "kind:start", bytes(32))


def test_the_empty_map_proves_everything_absent() -> None:
    grown = smt.SparseMap(smt.SortedLeaves())
    assert grown.root() == bytes(32)
    smt.verify_absent(grown.prove("kind:start"), "kind:start", bytes(32))
