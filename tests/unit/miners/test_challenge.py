"""The block an auditor asks for: the same for every auditor, a leaf of the version, spread by bytes."""

from collections import Counter
from pathlib import Path

import pytest

from miners.node.challenge import leaf_of, pick
from registry.core.cid import DAG_PB
from registry.core.ids import keccak
from registry.storage.embedded import EmbeddedStore


@pytest.fixture
def store(tmp_path: Path):
    found = EmbeddedStore(tmp_path / "store")
    yield found
    found.close()


def test_a_challenge_draws_every_version_about_as_often():
    drawn = Counter(pick(keccak(n.to_bytes(4)), "abcd") for n in range(400))
    assert set(drawn) == set("abcd") and min(drawn.values()) > 60


def test_leaves_are_drawn_by_their_bytes_and_are_held(store: EmbeddedStore):
    large = store.put([bytes([n]) * (1 << 20) for n in range(9)])
    small = store.put([b"small"])
    root = store.put_directory({"large.bin": large, "small.bin": small})
    drawn = Counter(leaf_of(keccak(n.to_bytes(4)), [root.cid], store.block) for n in range(120))
    assert all(cid.codec != DAG_PB and store.block(cid) for cid in drawn)
    assert len(drawn) == 9  # all of the large file, and not the five bytes beside it


def test_the_same_challenge_is_the_same_leaf(store: EmbeddedStore):
    root = store.put_directory({"a": store.put([b"a" * 3_000_000]), "b": store.put([b"b" * 2_000_000])})
    challenge = keccak(b"beacon")
    assert leaf_of(challenge, [root.cid], store.block) == leaf_of(challenge, [root.cid], store.block)
