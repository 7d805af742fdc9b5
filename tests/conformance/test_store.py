"""Every content store keeps these promises. The embedded store always runs; Kubo where a daemon is given."""

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from registry.core.cid import DAG_PB, RAW, Cid
from registry.errors import Malformed, NotFound, VerificationFailed
from registry.storage.base import ContentStore, Link, Pin
from registry.storage.car import read_header, write_car
from registry.storage.dagpb import FILE, NodeLink, UnixFs, encode_node, encode_unixfs
from registry.storage.embedded import EmbeddedStore
from registry.storage.replicated import ReplicatedStore
from registry.storage.unixfs import file_link, import_file, weights_root

KUBO = [address for address in os.environ.get("TWINLEDGER_KUBO_API", "").split(",") if address]
TOKEN = os.environ.get("TWINLEDGER_KUBO_TOKEN_FILE")
MIB = 1 << 20


def _kubo_marks() -> list[pytest.MarkDecorator]:
    reason = "kubo: TWINLEDGER_KUBO_API names no daemon (start two with scripts/devnet/kubo)"
    return [] if KUBO or os.environ.get("CI") == "true" else [pytest.mark.skip(reason=reason)]


@pytest.fixture(params=["embedded", "replicated", pytest.param("kubo", marks=_kubo_marks())])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ContentStore]]:
    """A maker of stores that are empty of the test's content; a second one is another store."""
    if request.param == "kubo":
        request.getfixturevalue("the_daemon")
    with ExitStack() as stack:
        made = 0

        def make() -> ContentStore:
            nonlocal made
            made += 1
            if request.param == "embedded":
                store: ContentStore = EmbeddedStore(tmp_path / f"store-{made}")
            elif request.param == "replicated":
                parts = [EmbeddedStore(tmp_path / f"store-{made}-{i}") for i in range(2)]
                store = ReplicatedStore(parts)
            else:
                if not KUBO:
                    pytest.fail("kubo: CI must run it, and TWINLEDGER_KUBO_API names no daemon")
                if made > len(KUBO):
                    pytest.skip(f"kubo: {made} daemons are needed, TWINLEDGER_KUBO_API names {len(KUBO)}")
                from registry.storage.kubo import KuboStore

                store = KuboStore(KUBO[made - 1], token_file=Path(TOKEN) if TOKEN else None)
            stack.callback(store.close)
            return store

        yield make


@pytest.fixture
def store(new_store: Callable[[], ContentStore]) -> ContentStore:
    return new_store()


def fresh(size: int) -> bytes:
    """Bytes that no store has seen, whatever ran before on a daemon that lives on."""
    return random.Random(os.urandom(16)).randbytes(size)


def keep(blocks: list[tuple[Cid, bytes]], cid: Cid, block: bytes) -> None:
    blocks.append((cid, block))


def read(store: ContentStore, cid: Cid, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join(store.get(cid, offset, length))


@pytest.mark.parametrize("size", [0, 1, 1000, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])
def test_a_file_is_read_back_whole_under_the_name_the_client_computes(store: ContentStore, size: int) -> None:
    content = fresh(size)
    stored = store.put([content])
    assert stored == import_file([content])
    assert stored.sha256 == hashlib.sha256(content).digest()
    assert read(store, stored.cid) == content
    assert store.has(stored.cid)
    assert store.stat(stored.cid) == file_link(stored.cid, size) == Link(stored.cid, size, stored.dag_size)


def test_the_pieces_in_which_a_file_arrives_do_not_change_its_name(store: ContentStore) -> None:
    content = fresh(2 * MIB + 333)
    pieces = [content[:1], content[1 : MIB + 9], b"", content[MIB + 9 :]]
    assert store.put(pieces).cid == store.put([content]).cid


def test_a_file_of_several_levels_is_read_back(store: ContentStore) -> None:
    block = fresh(MIB)
    count = 1025
    stored = store.put(block for _ in range(count))
    assert stored.size == count * MIB
    assert read(store, stored.cid, 1023 * MIB + 5, 2 * MIB) == (block * 3)[5 : 5 + 2 * MIB][: 2 * MIB - 5]


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (MIB - 1, 2), (MIB, MIB), (5, None), (2 * MIB + 99, 1), (2 * MIB + 100, 7), (0, 10**12), (3, 0)],
)
def test_a_range_is_that_slice_of_the_file(store: ContentStore, offset: int, length: int | None) -> None:
    content = fresh(2 * MIB + 100)
    cid = store.put([content]).cid
    end = None if length is None else offset + length
    assert read(store, cid, offset, length) == content[offset:end]


def test_a_range_does_not_go_backwards(store: ContentStore) -> None:
    cid = store.put([b"abc"]).cid
    with pytest.raises(Malformed):
        read(store, cid, -1)
    with pytest.raises(Malformed):
        read(store, cid, 0, -1)


def test_what_nobody_put_is_not_found(store: ContentStore) -> None:
    missing = import_file([fresh(100)]).cid
    big = import_file([fresh(2 * MIB)]).cid
    for cid in (missing, big):
        assert not store.has(cid)
        for ask in (store.stat, store.get, store.block, store.export):
            with pytest.raises(NotFound):
                ask(cid)
        with pytest.raises(NotFound):
            store.pin(cid, "a")


def test_what_is_missing_of_many_is_told_once_and_in_order(store: ContentStore) -> None:
    blocks: list[tuple[Cid, bytes]] = []
    broken = import_file([fresh(2 * MIB)], lambda cid, block: blocks.append((cid, block))).cid
    store.put_car(write_car((broken,), blocks[1:]))
    held, empty, nobodys = store.put([fresh(9)]).cid, store.put([]).cid, import_file([fresh(7)]).cid
    assert store.missing([nobodys, held, broken, empty, nobodys, held]) == [nobodys, broken]
    assert store.missing([held, empty]) == store.missing([]) == []
    with pytest.raises(NotFound, match=str(broken)):
        store.export_all([held, broken, nobodys])


def test_put_is_idempotent(store: ContentStore) -> None:
    content = fresh(MIB + 50)
    assert store.put([content]) == store.put([content])


def test_an_upload_that_breaks_off_leaves_nothing(store: ContentStore) -> None:
    content = fresh(3 * MIB)

    def broken() -> Iterator[bytes]:
        yield content[: 2 * MIB]
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError):
        store.put(broken())
    assert not store.has(import_file([content[:MIB]]).cid)


def test_a_directory_is_named_as_the_client_names_it(store: ContentStore) -> None:
    files = {
        "b.safetensors": store.put([fresh(10)]),
        "a/ä.npz": store.put([fresh(MIB + 1)]),
        "a/z": store.put([fresh(0)]),
    }
    root = store.put_directory(files)
    assert root == weights_root(files)
    assert store.has(root.cid)
    assert store.stat(root.cid) == root
    with pytest.raises(Malformed):
        read(store, root.cid)


def test_a_directory_of_what_is_not_held_is_refused(store: ContentStore) -> None:
    with pytest.raises(NotFound):
        store.put_directory({"a": import_file([fresh(9)])})


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "/a", "a/", "a\0b", "x" * 256, "\ud800"])
def test_a_directory_has_no_names_that_leave_it(store: ContentStore, name: str) -> None:
    with pytest.raises(Malformed):
        store.put_directory({name: store.put([b"x"])})


def test_export_is_the_whole_dag_and_another_store_takes_it(new_store: Callable[[], ContentStore]) -> None:
    one, two = new_store(), new_store()
    shared = one.put([fresh(MIB), fresh(5)])
    root = one.put_directory({"w": shared, "again": shared, "m": one.put([fresh(20)])})
    result = two.put_car(one.export(root.cid))
    assert result.roots == (root.cid,)
    assert result.blocks == 5
    assert two.has(root.cid)
    assert two.stat(root.cid) == root


def test_many_small_files_arrive_in_one_car(store: ContentStore) -> None:
    contents = [fresh(50) for _ in range(200)]
    blocks = [(import_file([c]).cid, c) for c in contents]
    roots = tuple(cid for cid, _ in blocks)
    assert store.put_car(write_car(roots, blocks)).blocks == 200
    assert [store.block(cid) for cid in roots] == contents


def test_a_car_with_a_wrong_byte_is_refused_and_nothing_of_it_kept(store: ContentStore) -> None:
    good, bad = fresh(64), fresh(64)
    blocks = [(import_file([good]).cid, good), (import_file([bad]).cid, bad[:-1] + bytes((bad[-1] ^ 1,)))]
    with pytest.raises(VerificationFailed):
        store.put_car(write_car((blocks[0][0],), blocks))
    assert not store.has(blocks[0][0])


def test_a_car_that_ends_inside_a_block_is_refused(store: ContentStore) -> None:
    content = fresh(1000)
    whole = b"".join(write_car((import_file([content]).cid,), [(import_file([content]).cid, content)]))
    with pytest.raises(Malformed):
        store.put_car([whole[:-1]])
    assert not store.has(import_file([content]).cid)


def test_a_dag_whose_sizes_lie_is_not_had(store: ContentStore) -> None:
    leaf = fresh(100)
    leaf_cid = Cid(RAW, hashlib.sha256(leaf).digest())
    block = encode_node(
        (NodeLink(leaf_cid.raw, b"", 100),), encode_unixfs(UnixFs(FILE, None, 10**9, (10**9,)))
    )
    root = Cid(DAG_PB, hashlib.sha256(block).digest())
    store.put_car(write_car((root,), [(root, block), (leaf_cid, leaf)]))
    with pytest.raises(VerificationFailed):
        store.has(root)
    with pytest.raises(VerificationFailed):
        read(store, root)


def test_a_dag_without_its_last_leaf_is_not_had(store: ContentStore) -> None:
    blocks: list[tuple[Cid, bytes]] = []
    root = import_file([fresh(2 * MIB)], lambda cid, block: blocks.append((cid, block)))
    store.put_car(write_car((root.cid,), [b for b in blocks if b[0] != blocks[1][0]]))
    assert not store.has(root.cid)
    with pytest.raises(NotFound):
        store.pin(root.cid, "miner")


def test_content_stays_while_one_owner_pins_it(store: ContentStore) -> None:
    cid = store.put([fresh(MIB + 1)]).cid
    for owner in ("pool", "miner-1", "miner-1"):
        store.pin(cid, owner)
    assert [p for p in store.pins() if p.cid == cid] == [Pin(cid, "miner-1"), Pin(cid, "pool")]
    store.unpin(cid, "pool")
    store.unpin(cid, "nobody")
    store.collect(-1)
    assert store.has(cid)
    store.unpin(cid, "miner-1")
    store.collect(-1)
    assert not store.has(cid)
    assert [p for p in store.pins() if p.cid == cid] == []


def test_all_of_many_are_pinned_or_none(store: ContentStore) -> None:
    held, missing = store.put([fresh(5)]).cid, import_file([fresh(6)]).cid
    with pytest.raises(NotFound):
        store.pin_each([Pin(held, "miner"), Pin(missing, "miner")])
    assert Pin(held, "miner") not in list(store.pins())
    store.pin_each([Pin(held, "miner")])
    assert Pin(held, "miner") in list(store.pins())
    store.unpin(held, "miner")


def test_directories_of_one_commit_are_those_put_one_by_one(store: ContentStore) -> None:
    files = [store.put([fresh(n)]) for n in (7, 8)]
    wanted = [{"a/w": files[0]}, {"w": files[1], "v": files[0]}]
    assert store.put_directories(wanted) == [store.put_directory(entries) for entries in wanted]
    missing = import_file([fresh(9)])
    with pytest.raises(NotFound):
        store.put_directories([{"only": files[0], "here": files[1]}, {"w": missing}])
    assert store.put_directories([]) == []


def test_many_dags_are_one_car_with_each_block_once(store: ContentStore) -> None:
    file = store.put([fresh(MIB), fresh(2)])
    root = store.put_directory({"w": file})
    other = store.put([fresh(3)])
    car = b"".join(store.export_all([root.cid, other.cid, file.cid]))
    roots, frames = read_header([car])
    cids = [frame.cid for frame in frames]
    assert roots == (root.cid, other.cid, file.cid)
    assert len(cids) == len(set(cids))
    assert {root.cid, other.cid, file.cid} <= set(cids)
    with pytest.raises(NotFound):
        store.export_all([root.cid, import_file([fresh(4)]).cid])


def test_a_collection_leaves_what_is_young(store: ContentStore) -> None:
    cid = store.put([fresh(100)]).cid
    store.collect(3600)
    assert store.has(cid)


def test_a_collection_keeps_what_a_pinned_directory_reaches(store: ContentStore) -> None:
    file = store.put([fresh(MIB), fresh(1)])
    root = store.put_directory({"deep/er/w": file})
    store.pin(root.cid, "a")
    store.collect(-1)
    assert store.has(root.cid)
    assert store.has(file.cid)
    store.unpin(root.cid, "a")


def test_an_empty_file_outlives_what_it_was_stored_with(store: ContentStore) -> None:
    """It has a block without a byte: the rest of its pack may go, and it stays."""
    empty, other = store.put([]).cid, store.put([fresh(100)]).cid
    store.pin(empty, "a")
    store.collect(-1)
    assert store.has(empty)
    assert not store.has(other)
    assert b"".join(store.get(empty)) == b""
    store.unpin(empty, "a")


def test_a_collection_takes_nothing_from_under_a_read(store: ContentStore) -> None:
    content = fresh(3 * MIB)
    cid = store.put([content]).cid
    reading = store.get(cid)
    got = next(reading)
    store.collect(-1)
    assert got + b"".join(reading) == content


def test_threads_put_read_pin_and_collect_at_once(store: ContentStore) -> None:
    stop = threading.Event()

    def work(seed: int) -> None:
        dice = random.Random(seed + int.from_bytes(os.urandom(8), "big"))
        for _ in range(6):
            content = dice.randbytes(dice.choice([10, 1000, MIB + 3]))
            blocks: list[tuple[Cid, bytes]] = []
            root = import_file([content], partial(keep, blocks))
            held = store.put([content]).cid
            if seed % 2:
                store.pin_each([Pin(held, f"owner-{seed}")])
            store.put_car(write_car((root.cid,), blocks))
            store.pin(root.cid, f"owner-{seed}")
            assert read(store, root.cid) == content
            store.unpin(root.cid, f"owner-{seed}")

    def sweep() -> None:
        while not stop.wait(0.01):
            store.collect(3600)

    with ThreadPoolExecutor(7) as pool:
        sweeping = pool.submit(sweep)
        try:
            for done in [pool.submit(work, seed) for seed in range(6)]:
                done.result()
        finally:
            stop.set()
        sweeping.result()
