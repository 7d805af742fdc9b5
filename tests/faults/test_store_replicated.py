"""Several stores as one: the loss of a store, or a lie of it, is no loss of content."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.core.cid import RAW, Cid
from registry.errors import NotFound, StoreUnavailable, VerificationFailed
from registry.storage.base import Pin
from registry.storage.embedded import EmbeddedStore
from registry.storage.replicated import ReplicatedStore

MIB = 1 << 20
CONTENT = random.Random(5).randbytes(3 * MIB)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[tuple[EmbeddedStore, EmbeddedStore]]:
    with EmbeddedStore(tmp_path / "one") as one, EmbeddedStore(tmp_path / "two") as two:
        yield one, two


@pytest.fixture
def store(parts: tuple[EmbeddedStore, EmbeddedStore]) -> ReplicatedStore:
    return ReplicatedStore(parts)


def damage(folder: Path) -> None:
    pack = max(folder.glob("packs/*.car"), key=lambda p: p.stat().st_size)
    with pack.open("r+b") as f:
        f.seek(2 * MIB)
        f.write(b"wrong bytes")


def test_what_is_pinned_is_in_every_store(
    store: ReplicatedStore, parts: tuple[EmbeddedStore, EmbeddedStore]
) -> None:
    cid = store.put([CONTENT]).cid
    assert [part.has(cid) for part in parts] == [True, False]
    store.pin(cid, "a")
    assert [part.has(cid) for part in parts] == [True, True]
    assert [list(part.pins()) for part in parts] == [[Pin(cid, "a")]] * 2


def test_another_store_goes_on_where_one_is_corrupt(store: ReplicatedStore, tmp_path: Path) -> None:
    cid = store.put([CONTENT]).cid
    store.pin(cid, "a")
    damage(tmp_path / "one")
    assert b"".join(store.get(cid)) == CONTENT
    assert b"".join(store.get(cid, 5, 2 * MIB + 9)) == CONTENT[5 : 5 + 2 * MIB + 9]
    damage(tmp_path / "two")
    with pytest.raises(VerificationFailed, match="one/packs"):
        list(store.get(cid))


def test_reads_survive_the_loss_of_the_first_store_and_writes_do_not(
    store: ReplicatedStore, parts: tuple[EmbeddedStore, EmbeddedStore]
) -> None:
    cid = store.put([CONTENT]).cid
    store.pin(cid, "a")
    parts[0].close()
    assert store.has(cid)
    assert store.stat(cid).size == len(CONTENT)
    assert b"".join(store.get(cid)) == CONTENT
    assert len(b"".join(store.export(cid))) > len(CONTENT)
    for write in (lambda: store.put([b"x"]), lambda: store.pin(cid, "b"), lambda: store.unpin(cid, "a")):
        with pytest.raises(StoreUnavailable):
            write()


def test_a_store_that_was_away_is_brought_up_to_date(
    store: ReplicatedStore, parts: tuple[EmbeddedStore, EmbeddedStore], tmp_path: Path
) -> None:
    gone, kept = store.put([b"unpinned meanwhile"]).cid, store.put([CONTENT]).cid
    store.pin(gone, "a")
    parts[1].close()
    store.pin(kept, "a")
    store.unpin(gone, "a")
    with EmbeddedStore(tmp_path / "two") as back:
        ReplicatedStore((parts[0], back)).collect(-1)
        assert list(back.pins()) == [Pin(kept, "a")]
        assert back.has(kept)
        assert not back.has(gone)


def test_content_that_the_first_store_lost_comes_back_when_it_is_pinned(
    store: ReplicatedStore, parts: tuple[EmbeddedStore, EmbeddedStore]
) -> None:
    cid = parts[1].put([CONTENT]).cid
    assert store.has(cid)
    store.pin(cid, "a")
    assert parts[0].has(cid)
    with pytest.raises(NotFound):
        store.pin(Cid(RAW, bytes(32)), "a")
