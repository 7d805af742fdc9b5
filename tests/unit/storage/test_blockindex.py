"""The index remembers where it found blocks: never longer than that is true."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.core.cid import RAW, Cid
from registry.core.ids import sha256
from registry.storage.blockindex import BlockIndex, Commit, Pack, PackState
from registry.storage.packs import Spot

CIDS = [Cid(RAW, sha256(bytes([n]))) for n in range(5)]
FIRST, SECOND = Spot("first", 95, 1), Spot("second", 95, 1)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BlockIndex]:
    found = BlockIndex(tmp_path / "index.db")
    yield found
    found.close()


def bring(index: BlockIndex, cid: Cid, *spots: Spot) -> None:
    for spot in spots:
        index.commit([Commit(Pack(spot.pack, 96, PackState.SEALED, 0), [(cid, spot)], ())], 0.0)


def test_what_two_imports_brought_outlives_the_pack_of_either(index: BlockIndex) -> None:
    bring(index, CIDS[0], FIRST, SECOND)
    assert index.find(CIDS[0]) in (FIRST, SECOND)
    index.set_state("second", PackState.DROPPED)
    assert index.find(CIDS[0]) == FIRST


def test_a_bad_block_has_a_place_and_no_size_until_it_is_brought_again(index: BlockIndex) -> None:
    bring(index, CIDS[0], FIRST)
    assert index.held(CIDS) == {CIDS[0]}
    index.mark_bad(CIDS[0], FIRST)
    assert (index.find(CIDS[0]), index.size(CIDS[0]), index.held(CIDS)) == (FIRST, None, set())
    bring(index, CIDS[0], SECOND)
    assert (index.find(CIDS[0]), index.size(CIDS[0])) == (SECOND, 1)


def test_one_look_finds_as_many_as_there_are(index: BlockIndex) -> None:
    many = [Cid(RAW, sha256(n.to_bytes(4, "big"))) for n in range(1_201)]
    spots = [(cid, Spot("first", at, 7)) for at, cid in enumerate(many[::2])]
    index.commit([Commit(Pack("first", 9_000, PackState.OPEN, 0), spots, ())], 0.0)
    again = BlockIndex(index._db.path)  # it has to look: the first one remembers what it took
    assert again.held(many) == index.held(many) == set(many[::2])
    again.close()
