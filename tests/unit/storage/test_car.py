"""CARv1 in a stream."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.cid import DAG_PB, RAW, Cid
from registry.errors import Malformed, TooLarge, VerificationFailed
from registry.storage.car import HEADER_LENGTH, car_header, read_header, write_car
from registry.storage.dagpb import DIRECTORY, UnixFs, encode_node, encode_unixfs, uvarint


def raw(block: bytes) -> tuple[Cid, bytes]:
    return Cid(RAW, sha256(block).digest()), block


def cut(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@given(blocks=st.lists(st.binary(max_size=50)), piece=st.integers(1, 40))
def test_a_car_is_read_as_written_in_pieces_of_any_length(blocks: list[bytes], piece: int) -> None:
    named = [raw(b) for b in blocks]
    roots = tuple(cid for cid, _ in named[:3])
    whole = b"".join(write_car(roots, named))
    found, frames = read_header(cut(whole, piece))
    read = list(frames)
    assert found == roots
    assert [(f.cid, f.block) for f in read] == named
    assert [whole[f.offset : f.offset + len(f.block)] for f in read] == blocks


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 1000])
def test_a_header_names_any_number_of_roots(count: int) -> None:
    roots = tuple(Cid(RAW, i.to_bytes(32, "big")) for i in range(count))
    assert read_header([car_header(roots)])[0] == roots


def test_a_header_with_one_root_has_one_length_so_it_can_be_patched() -> None:
    assert {len(car_header((Cid(codec, bytes(32)),))) for codec in (RAW, DAG_PB)} == {HEADER_LENGTH}


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_and_nothing_worse(junk: bytes) -> None:
    with pytest.raises((Malformed, TooLarge, VerificationFailed)):
        list(read_header([junk, junk])[1])
        raise Malformed("junk that happens to be a CAR")


@given(at=st.integers(0, 300), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(at: int, bit: int) -> None:
    whole = bytearray(b"".join(write_car((raw(b"x" * 90)[0],), [raw(b"x" * 90), raw(b"y" * 120)])))
    at %= len(whole)
    whole[at] ^= 1 << bit
    try:
        roots, frames = read_header([bytes(whole)])
        blocks = [f.block for f in frames]
    except (Malformed, TooLarge, VerificationFailed):
        return
    # What is left is a bit inside the root's digest: another root, and the blocks as they were.
    assert roots != (raw(b"x" * 90)[0],)
    assert blocks == [b"x" * 90, b"y" * 120]


def test_a_block_over_two_mebibytes_is_refused_before_it_is_read() -> None:
    with pytest.raises(TooLarge):
        list(read_header([car_header(()), uvarint(1 << 40)])[1])
    with pytest.raises(TooLarge):
        list(read_header([car_header(()), uvarint((2 << 20) + 37)])[1])


def test_a_dag_pb_block_that_is_no_dag_pb_is_refused() -> None:
    block = b"not protobuf"
    with pytest.raises(Malformed):
        list(read_header(write_car((), [(Cid(DAG_PB, sha256(block).digest()), block)]))[1])


def test_a_block_under_cidv0_is_taken_under_its_cidv1() -> None:
    block = encode_node((), encode_unixfs(UnixFs(DIRECTORY)))
    frame = b"\x12\x20" + sha256(block).digest() + block
    (found,) = read_header([car_header(()), uvarint(len(frame)), frame])[1]
    assert (found.cid, found.block) == (Cid(DAG_PB, sha256(block).digest()), block)


def test_an_empty_upload_is_no_car() -> None:
    with pytest.raises(Malformed):
        read_header([])
