"""The durable key-value store: all writes of a block or none, and memory that stays flat."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from registry.chain.kv import CommittedKV, HashedCache, SqliteKV

HASH = b"\x07" * 32


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def open_kv(tmp_path: Path, stack: ExitStack) -> Callable[[], SqliteKV]:
    return lambda: stack.enter_context(closing(SqliteKV(tmp_path / "kv", HashedCache())))


@pytest.fixture
def open_reader(tmp_path: Path, stack: ExitStack) -> Callable[[], CommittedKV]:
    return lambda: stack.enter_context(closing(CommittedKV(tmp_path / "kv", HashedCache())))


def test_readers_see_a_write_only_after_its_commit(
    open_kv: Callable[[], SqliteKV], open_reader: Callable[[], CommittedKV]
) -> None:
    kv = open_kv()
    reader = open_reader()
    kv[HASH], kv[b"head"] = b"node", b"one"
    assert kv[HASH] == b"node"
    assert HASH not in reader
    assert b"head" not in reader
    kv.commit()
    assert (reader[HASH], reader[b"head"]) == (b"node", b"one")
    kv[b"head"] = b"two"
    kv.commit()
    assert reader[b"head"] == b"two"


def test_a_rollback_and_a_reopened_file_keep_only_what_was_committed(
    open_kv: Callable[[], SqliteKV], open_reader: Callable[[], CommittedKV]
) -> None:
    kv = open_kv()
    kv[b"kept"] = b"1"
    kv.commit()
    kv[b"lost"], kv[b"kept"] = b"2", b"3"
    kv.rollback()
    assert kv[b"kept"] == b"1"
    kv[b"lost"] = b"4"
    kv.close()
    again = open_kv()
    assert again[b"kept"] == b"1"
    with pytest.raises(KeyError):
        again[b"lost"]


def test_a_deletion_is_a_write_like_any_other(
    open_kv: Callable[[], SqliteKV], open_reader: Callable[[], CommittedKV]
) -> None:
    kv = open_kv()
    kv[b"k"] = b"v"
    kv.commit()
    del kv[b"k"]
    assert b"k" not in kv
    kv.rollback()
    assert b"k" in kv
    del kv[b"k"]
    kv.commit()
    assert b"k" not in kv


def test_a_view_of_committed_state_cannot_be_written(
    open_kv: Callable[[], SqliteKV], open_reader: Callable[[], CommittedKV]
) -> None:
    open_kv().close()
    reader = open_reader()
    with pytest.raises(PermissionError):
        reader[b"k"] = b"v"
    with pytest.raises(PermissionError):
        del reader[b"k"]


def test_the_cache_keeps_at_most_two_generations_and_what_is_used() -> None:
    cache = HashedCache(generation_entries=100)
    cache.put(HASH, b"hot")
    for n in range(1000):
        cache.put(n.to_bytes(32, "big"), b"cold")
        assert cache.get(HASH) == b"hot"
        assert len(cache) <= 200
