"""What disks, hands and other processes do to the embedded store."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from registry.core.cid import RAW, Cid
from registry.errors import Conflict, NotFound, StoreUnavailable, VerificationFailed
from registry.storage.base import Pin, Stored
from registry.storage.embedded import EmbeddedStore

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


def some(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


def packs(folder: Path) -> list[Path]:
    return sorted((folder / "packs").glob("*.car"), key=lambda p: p.stat().st_size)


def read(store: EmbeddedStore, cid: Cid) -> bytes:
    return b"".join(store.get(cid))


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes((byte[0] ^ 1,)))


def test_a_flipped_byte_is_refused_with_the_pack_and_the_offset(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        content = some(3 * MIB)
        stored = store.put([content])
        spot = store._index.find(stored.cid)
        assert spot is not None
        flip(packs(folder)[0], 2 * MIB)
        for _ in range(2):
            with pytest.raises(VerificationFailed, match=f"{spot.pack}.car at offset") as found:
                read(store, stored.cid)
        assert [str(e) for e in store.damage()] == [str(found.value)]
        assert not store.has(stored.cid)


def test_storing_corrupt_content_again_heals_it(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        content = some(3 * MIB)
        stored = store.put([content])
        flip(packs(folder)[0], 2 * MIB)
        assert len(list(store.damage())) == 1
        store.put([content])
        assert list(store.damage()) == []
        assert read(store, stored.cid) == content


def test_a_collection_drops_nothing_while_a_wanted_node_is_corrupt(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        stored = store.put([some(3 * MIB)])
        store.pin(stored.cid, "a")
        garbage = store.put([some(10, seed=9)])
        spot = store._index.find(stored.cid)
        assert spot is not None
        flip(packs(folder)[-1], spot.offset + 3)
        with pytest.raises(VerificationFailed):
            store.collect(-1)
        assert store.has(garbage.cid)


def test_the_index_is_rebuilt_from_the_packs(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        kept = [store.put([some(size, size)]) for size in (5, 1000, MIB, 2 * MIB + 7)]
        store.pin(kept[0].cid, "a")
    for part in folder.glob("index.db*"):
        part.unlink()
    check_kept(folder, kept)


def test_an_index_that_is_no_database_any_more_is_rebuilt(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        kept = [store.put([some(2 * MIB)])]
    (folder / "index.db").write_bytes(b"overwritten by a careless hand" * 500)
    check_kept(folder, kept)


def check_kept(folder: Path, kept: list[Stored]) -> None:
    with EmbeddedStore(folder) as store:
        assert all(store.has(s.cid) for s in kept)
        assert [len(read(store, s.cid)) for s in kept] == [s.size for s in kept]


def test_a_rebuild_loses_the_wrong_block_and_keeps_those_behind_it(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        blocks = [some(100, seed) for seed in range(10)]
        cids = [store.put([b]).cid for b in blocks]
        spot = store._index.find(cids[4])
        assert spot is not None
    flip(packs(folder)[0], spot.offset)
    for part in folder.glob("index.db*"):
        part.unlink()
    with EmbeddedStore(folder) as store:
        assert [store.has(cid) for cid in cids] == [i != 4 for i in range(10)]


def test_a_pack_that_somebody_removed_is_honestly_missing(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        small, large = store.put([some(10)]), store.put([some(2 * MIB)])
    packs(folder)[-1].unlink()
    with EmbeddedStore(folder) as store:
        assert (store.has(small.cid), store.has(large.cid)) == (True, False)
        with pytest.raises(NotFound):
            store.get(large.cid)
        assert store.put([some(2 * MIB)]) == large
        assert store.has(large.cid)


def test_a_pack_that_was_cut_short_loses_what_was_cut(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        large = store.put([some(3 * MIB)])
    with packs(folder)[0].open("r+b") as f:
        f.truncate(2 * MIB)
    with EmbeddedStore(folder) as store:
        assert not store.has(large.cid)
        assert list(store.damage()) == []


def test_a_torn_end_of_the_open_pack_is_forgotten(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        first = store.put([b"first"])
    with packs(folder)[0].open("ab") as f:
        f.write(b"\xff\x01 half a frame that no commit named")
    with EmbeddedStore(folder) as store:
        second = store.put([b"second"])
        assert (read(store, first.cid), read(store, second.cid)) == (b"first", b"second")
        assert len(packs(folder)) == 1
    for part in folder.glob("index.db*"):
        part.unlink()
    check_kept(folder, [first, second])


def test_small_files_share_a_pack(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        for seed in range(50):
            store.put([some(2000, seed)])
        assert len(packs(folder)) == 1


def test_a_pack_of_mostly_holes_is_compacted(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        kept = store.put([some(100, 1)])
        store.pin(kept.cid, "a")
        whole = store.put([some(6 * MIB)])
        store.pin(whole.cid, "a")
        head = store.put_directory({"head": store.put([some(MIB)])})  # the first leaf of `whole`
        store.pin(head.cid, "a")
        store.unpin(whole.cid, "a")
        collected = store.collect(-1)
        assert collected.bytes > 5 * MIB
        assert sum(p.stat().st_size for p in packs(folder)) < 2 * MIB
        assert (store.has(kept.cid), store.has(head.cid), store.has(whole.cid)) == (True, True, False)
        assert list(store.damage()) == []


def test_reads_go_on_through_compaction(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        contents = [some(1000, seed) for seed in range(200)]
        cids = [store.put([c]).cid for c in contents]
        store.pin_each(Pin(cid, "a") for cid in cids[::3])
        stop, errors = threading.Event(), list[Exception]()

        def reading() -> None:
            while not stop.is_set():
                for cid, content in zip(cids[::3], contents[::3], strict=True):
                    if read(store, cid) != content:
                        errors.append(AssertionError(str(cid)))

        thread = threading.Thread(target=reading)
        thread.start()
        for _ in range(3):
            store.collect(-1)
            for seed in range(1000, 1300):
                store.put([some(1000, seed)])
        stop.set()
        thread.join()
        assert errors == []


def test_an_upload_in_progress_is_not_collected(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        content = some(4 * MIB)
        store.put([content[: 2 * MIB]])

        def slow() -> Iterator[bytes]:
            yield content[: 2 * MIB]
            yield content[2 * MIB : 2 * MIB + 1]
            # The first leaves were held and are now named by this upload alone.
            store.collect(-1)
            yield content[2 * MIB + 1 :]

        assert read(store, store.put(slow()).cid) == content


def test_a_block_that_two_imports_brought_is_read_when_one_of_its_packs_is_gone(folder: Path) -> None:
    big, small = some(3 << 20, seed=1), some(1 << 10, seed=2)
    with EmbeddedStore(folder) as store:
        cid = store.put([small]).cid
        store.collect(0)
        with store._intake.begin() as long, store._intake.begin() as short:
            for block in (small, big[: 1 << 20], big[1 << 20 : 2 << 20]):  # too much for the open pack
                long.add(Cid(RAW, sha256(block).digest()), block)
            short.add(cid, small)
            short.commit()
            long.commit()  # the index has its first block elsewhere
        store.pin(cid, "me")
        assert read(store, cid) == small
        store.collect(0)
        assert len(packs(folder)) == 1
        assert read(store, cid) == small


def test_one_process_has_the_folder(folder: Path) -> None:
    with EmbeddedStore(folder):
        code = (
            "import sys; from pathlib import Path; from registry.storage.embedded import EmbeddedStore\n"
            "from registry.errors import Conflict\n"
            "try:\n    EmbeddedStore(Path(sys.argv[1]))\nexcept Conflict as e:\n    print(e, '|', e.hint)\n"
        )
        child = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, timeout=60
        )
        assert f"is in use by process {os.getpid()}" in child.stdout
        with pytest.raises(Conflict):
            EmbeddedStore(folder)
    EmbeddedStore(folder).close()


def test_a_closed_store_says_so(folder: Path) -> None:
    store = EmbeddedStore(folder)
    cid = store.put([b"x"]).cid
    store.close()
    with pytest.raises(StoreUnavailable):
        store.get(cid)
    with pytest.raises(StoreUnavailable):
        store.put([b"y"])


FULL = """
import random, sys
from hashlib import sha256
from pathlib import Path
from registry.errors import StoreUnavailable
from registry.storage.embedded import EmbeddedStore

def some(size, seed):
    return random.Random(seed).randbytes(size)

with EmbeddedStore(Path(sys.argv[1])) as store:
    kept = []
    try:
        for seed in range(5000):
            kept.append((seed, store.put([some(int(sys.argv[2]), seed)]).cid))
            store.pin(kept[-1][1], "a")
    except StoreUnavailable as e:
        assert "disk" in str(e) or "full" in str(e), e
        print("full after", len(kept))
    for seed, cid in kept:
        assert b"".join(store.get(cid)) == some(int(sys.argv[2]), seed)
    assert not list(Path(sys.argv[1]).glob("packs/new-*"))
    for cid in {p.cid for p in store.pins()}:
        store.unpin(cid, "a")
    store.collect(-1)
    assert b"".join(store.get(store.put([b"room again"]).cid)) == b"room again"
    print("works again")
"""


@pytest.mark.parametrize("size", [5_000, 1_500_000])
def test_a_full_disk_is_unavailable_and_nothing_stored_is_lost(folder: Path, size: int) -> None:
    folder.mkdir()
    small_disk = f'mount -t tmpfs -o size=16m none "{folder}" && exec "$@"'
    command = ["unshare", "-Urm", "sh", "-c", small_disk, "sh"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("full disk: this machine lets no user mount a small one (unshare -Urm)")
    child = subprocess.run(
        [*command, sys.executable, "-c", FULL, str(folder), str(size)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr
    assert "full after" in child.stdout
    assert "works again" in child.stdout


MEMORY = """
import os, resource, sys
from hashlib import sha256
from pathlib import Path
from registry.storage.embedded import EmbeddedStore

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

with EmbeddedStore(Path(sys.argv[1])) as store:
    store.put([b"warm"])
    before = peak()
    seed = os.urandom(1 << 16)
    stored = store.put(i.to_bytes(8, "big") + seed for i in range(5000))
    assert sum(len(b) for b in store.get(stored.cid)) == stored.size
    assert sum(len(b) for b in store.export(stored.cid)) > stored.size
    print(peak() - before)
"""


def test_memory_does_not_grow_with_the_file(folder: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder)], capture_output=True, text=True, timeout=300, check=True
    )
    assert int(child.stdout) < 64 << 10  # KiB, for a file of 312 MiB
