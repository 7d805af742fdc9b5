"""Naming files and directories without a store."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.cid import Cid
from registry.errors import Malformed, TooLarge
from registry.storage.base import Link
from registry.storage.unixfs import (
    MAX_ENTRIES,
    Profile,
    directory,
    file_link,
    import_file,
    rechunk,
    weights_root,
)

FILE = import_file([b"weights"])


@given(pieces=st.lists(st.binary(max_size=20)), size=st.integers(1, 9))
def test_rechunking_keeps_the_bytes_and_their_order(pieces: list[bytes], size: int) -> None:
    out = list(rechunk(pieces, size))
    assert b"".join(out) == b"".join(pieces)
    assert all(len(piece) == size for piece in out[:-1])
    assert all(out)


def test_an_import_gives_children_before_parents_and_each_tree_once() -> None:
    seen: list[Cid] = []
    root = import_file(
        [bytes(range(256)) * 4], lambda cid, _: seen.append(cid), Profile("tiny", 100, 2, 1, raw_leaves=True)
    )
    assert seen[-1] == root.cid
    assert len(seen) == 11 + 6 + 3 + 2 + 1


def test_one_huge_piece_is_not_copied_again_and_again() -> None:
    assert import_file([bytes(64 << 20)]).size == 64 << 20


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 1024 << 20, (1024 << 20) + 1])
def test_the_size_of_a_file_gives_the_link_to_it(size: int) -> None:
    def zeros() -> Iterable[bytes]:
        whole = bytes(1 << 20)
        yield from (whole[: min(1 << 20, size - at)] for at in range(0, size, 1 << 20))

    if size > 2 << 20:
        assert file_link(FILE.cid, size).dag_size > size
    else:
        stored = import_file(zeros())
        assert file_link(stored.cid, size) == Link(stored.cid, stored.size, stored.dag_size)


def test_the_order_of_the_entries_does_not_change_a_directory() -> None:
    assert directory({"a": FILE, "b": FILE}) == directory({"b": FILE, "a": FILE})


def test_names_sort_by_their_utf8_bytes() -> None:
    # U+10000 sorts after U+FFFD in UTF-8, and before it in UTF-16.
    blocks: list[bytes] = []
    directory({"\U00010000": FILE, "\ufffd": FILE}, lambda _, block: blocks.append(block))
    assert blocks[0].index("\ufffd".encode()) < blocks[0].index("\U00010000".encode())


def test_a_path_with_slashes_makes_directories() -> None:
    inner = directory({"w": FILE})
    assert weights_root({"a/w": FILE, "b": FILE}) == directory({"a": inner, "b": FILE})


def test_a_name_is_not_a_file_and_a_directory() -> None:
    with pytest.raises(Malformed):
        weights_root({"a": FILE, "a/b": FILE})


def test_a_directory_that_kubo_would_shard_is_refused() -> None:
    assert directory({f"{i:04}": FILE for i in range(MAX_ENTRIES)}).dag_size > 0
    with pytest.raises(TooLarge):
        directory({f"{i:04}": FILE for i in range(MAX_ENTRIES + 1)})
    with pytest.raises(TooLarge):
        directory({f"{i:0200}": FILE for i in range(2000)})


def test_directories_are_not_nested_without_end() -> None:
    with pytest.raises(Malformed):
        weights_root({"a/" * 5000 + "w": FILE})
