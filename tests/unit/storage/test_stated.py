"""What the nodes of a DAG state of it, against the blocks that it is made of."""

import random
from collections.abc import Iterable

import pytest

from registry.core.cid import DAG_PB, RAW, Cid
from registry.core.ids import sha256
from registry.errors import NotFound, VerificationFailed
from registry.storage.base import Link
from registry.storage.dagpb import DIRECTORY, FILE, NodeLink, UnixFs, encode_node, encode_unixfs
from registry.storage.reader import Stated, is_whole, stated, walk
from registry.storage.unixfs import directory, import_file

MIB = 1 << 20


class Memory:
    """Blocks in memory; leaves may be forgotten."""

    def __init__(self) -> None:
        self.blocks: dict[Cid, bytes] = {}

    def add(self, cid: Cid, block: bytes) -> None:
        self.blocks[cid] = block

    def block(self, cid: Cid) -> bytes:
        if cid not in self.blocks:
            raise NotFound(f"{cid}")
        return self.blocks[cid]

    def block_size(self, cid: Cid) -> int | None:
        return len(self.blocks[cid]) if cid in self.blocks else None

    def node(self, links: Iterable[NodeLink], sizes: tuple[int, ...] | None = None) -> Cid:
        kind = UnixFs(DIRECTORY) if sizes is None else UnixFs(FILE, size=sum(sizes), block_sizes=sizes)
        block = encode_node(tuple(links), encode_unixfs(kind))
        cid = Cid(DAG_PB, sha256(block))
        self.add(cid, block)
        return cid


@pytest.fixture
def memory() -> Memory:
    return Memory()


def test_of_a_file_all_blocks_are_counted_and_no_leaf_is_asked_for(memory: Memory) -> None:
    content = random.Random(1).randbytes(5 * MIB + 7)
    cid = import_file([content], memory.add).cid
    whole = [len(block) for _, block in walk(memory.block, [cid])]
    memory.blocks = {cid: block for cid, block in memory.blocks.items() if cid.codec == DAG_PB}
    assert stated(memory, cid) == Stated(sum(whole), len(whole), len(whole))


def test_a_leaf_that_comes_again_counts_again(memory: Memory) -> None:
    cid = import_file([bytes(4 * MIB)], memory.add).cid
    assert stated(memory, cid) == Stated(len(memory.block(cid)) + 4 * MIB, 5, 2)


def test_of_a_directory_the_single_leaves_are_asked_for(memory: Memory) -> None:
    file = import_file([b"a twin"], memory.add)
    folder = directory({"x": Link(file.cid, 6, 6), "y": Link(file.cid, 6, 6)}, memory.add)
    assert stated(memory, folder.cid) == Stated(len(memory.block(folder.cid)) + 12, 3, 2)
    del memory.blocks[file.cid]
    with pytest.raises(NotFound):
        stated(memory, folder.cid)


def test_directories_that_name_each_other_twice_are_walked_once(memory: Memory) -> None:
    here = memory.node(())
    for _ in range(60):
        here = memory.node((NodeLink(here.raw, b"a", 0), NodeLink(here.raw, b"b", 0)))
    found = stated(memory, here)
    assert found.distinct == 61
    assert found.blocks == 2**61 - 1


def test_a_leaf_shorter_than_its_node_states_makes_another_sum(memory: Memory) -> None:
    leaf = Cid(RAW, sha256(b"short"))
    memory.add(leaf, b"short")
    liar = memory.node((NodeLink(leaf.raw, b"", 5),), sizes=(1 << 30,))
    assert stated(memory, liar).bytes == len(memory.block(liar)) + (1 << 30)
    with pytest.raises(VerificationFailed):
        is_whole(memory, liar)
