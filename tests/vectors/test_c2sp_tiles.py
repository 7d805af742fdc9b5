"""Tiles and bundles as C2SP tlog-tiles describes them, read back through a reader that trusts nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core import merkle, tiles
from registry.core.tiles import ENTRIES, Tile, TileReader, parse_tile_path, tile_path, tiles_of
from registry.errors import Malformed, VerificationFailed


def test_the_specifications_example_path_comes_out() -> None:
    assert tile_path(Tile(0, 1234067, 256)) == "tile/0/x001/x234/067"


@given(st.integers(-1, 63), st.integers(0, 10**12), st.integers(1, 256))
def test_a_path_reads_back(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert parse_tile_path(tile_path(tile)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000", "tile/64/000", "tile/0/0", "tile/0/x000/001", "tile/0/001/002", "tile/0/000.p/0",
        "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/01", "tile/-1/000", "tile/entries/../000",
        "tile/0/000\n", "tile/0/x001", "checkpoint", "", "tile/0/" + "x999/" * 40 + "000",
    ],
)  # fmt: skip
def test_any_other_spelling_is_refused(path: str) -> None:
    with pytest.raises(Malformed):
        parse_tile_path(path)


def test_a_tree_of_70000_has_the_tiles_of_the_specification() -> None:
    found: dict[int, list[Tile]] = {}
    for tile in tiles_of(70_000):
        found.setdefault(tile.level, []).append(tile)
    assert [len(found[level]) for level in (0, 1, 2)] == [274, 2, 1]
    assert [found[level][-1].width for level in (0, 1, 2)] == [112, 17, 1]
    assert found[ENTRIES][-1] == Tile(ENTRIES, 273, 112)
    assert sorted(found) == [ENTRIES, 0, 1, 2]


def test_a_tree_of_256_has_one_full_tile_and_a_partial_one_above() -> None:
    assert list(tiles_of(256)) == [Tile(ENTRIES, 0, 256), Tile(0, 0, 256), Tile(1, 0, 1)]


def test_a_tile_beyond_the_log_does_not_exist() -> None:
    tiles.check_exists(Tile(0, 0, 5), 5)
    for tile in (Tile(0, 0, 6), Tile(0, 0, 256), Tile(1, 0, 1), Tile(ENTRIES, 1, 1)):
        with pytest.raises(Malformed, match="beyond a log of 5 entries"):
            tiles.check_exists(tile, 5)


def files_of(entries: list[bytes]) -> dict[str, bytes]:
    """A log as static files, made straight from the definition."""
    tree = merkle.Tree(map(merkle.leaf_hash, entries))
    files = {}
    for tile in tiles_of(len(entries)):
        numbers = range(tile.first, tile.first + tile.width)
        if tile.level == ENTRIES:
            files[tile_path(tile)] = tiles.encode_bundle(entries[number] for number in numbers)
        else:
            files[tile_path(tile)] = b"".join(tree.node(8 * tile.level, number) for number in numbers)
    return files


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
def test_every_proof_can_be_made_from_the_files_alone(size: int) -> None:
    entries = [b"entry %d" % number for number in range(size)]
    files = files_of(entries)
    reader = TileReader(files.__getitem__, size)
    tree = merkle.Tree(map(merkle.leaf_hash, entries))
    assert merkle.root(reader.node, size) == tree.root()
    assert list(reader.entries(0, size)) == entries
    assert list(reader.entries(size // 2, size)) == entries[size // 2 :]
    for index in range(0, size, 37):
        assert merkle.inclusion(reader.node, index, size) == merkle.inclusion(tree.node, index, size)


def test_a_tile_of_another_length_is_refused() -> None:
    reader = TileReader(lambda path: bytes(31), 1)
    with pytest.raises(VerificationFailed, match="has 31 bytes, not 32"):
        reader.node(0, 0)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.data())
def test_a_bundle_reads_back_and_a_cut_one_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    raw = tiles.encode_bundle(entries)
    assert tiles.decode_bundle(raw, len(entries)) == entries
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(VerificationFailed):
        tiles.decode_bundle(raw[:cut], len(entries))
    with pytest.raises(VerificationFailed):
        tiles.decode_bundle(raw + b"\0", len(entries))


def test_an_entry_over_the_bundles_limit_is_refused() -> None:
    with pytest.raises(Malformed, match="65536 bytes"):
        tiles.encode_bundle([bytes(65_536)])
