"""npy and npz: what numpy writes is read, and what hides or lies is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from arrays import ARRAY, ARRAYS, FEW, archive, npy, npz, read
from hypothesis import given
from hypothesis import strategies as st

from registry.core import weights_zip
from registry.core.weights_base import Tensor
from registry.errors import Malformed


@FEW
@given(ARRAYS, st.booleans())
def test_what_numpy_writes_is_read(arrays, packed):
    found = read("npz", npz(arrays, packed=packed))
    assert {(t.name, t.dtype, t.shape) for t in found} == {
        (name, a.dtype.str, a.shape) for name, a in arrays.items()
    }
    name, array = next(iter(arrays.items()))
    assert read("npy", npy(array)) == (Tensor("", array.dtype.str, array.shape),), name


def test_text_and_fortran_order_arrays_are_plain_arrays_too():
    assert read("npy", npy(np.array(["ab", "c"]))) == (Tensor("", "<U2", (2,)),)
    assert read("npy", npy(np.asfortranarray(np.ones((2, 3))))) == (Tensor("", "<f8", (2, 3)),)


def retouched(raw, old, new, count=-1):
    assert old in raw
    return raw.replace(old, new, count)


GOOD = npz({"w": np.arange(4, dtype="<f4")})
PACKED = npz({"w": np.arange(400, dtype="<i8")}, packed=True)


def header_of(descr, shape="(4,)", order="False"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text += b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("why", "raw"),
    {
        "empty": b"",
        "no archive": b"PK\5\6",
        "prefix": b"#!/bin/sh\n" + GOOD,
        "suffix": GOOD + b"hidden",
        "comment": GOOD[:-2] + b"\2\0hi",
        "two names alike": retouched(npz({"a": ARRAY["w"], "b": ARRAY["w"]}), b"b.npy", b"a.npy"),
        "name differs within": retouched(GOOD, b"w.npy", b"v.npy", 1),
        "leaves its folder": retouched(npz({"aa": ARRAY["w"]}), b"aa.npy", b"../npy"),
        "traversal": archive(**{"../w__npy": npy(ARRAY["w"])}),
        "absolute": archive(**{"/w__npy": npy(ARRAY["w"])}),
        "backslash": archive(**{"a\\w__npy": npy(ARRAY["w"])}),
        "no array": archive(readme__txt=b"hello"),
        "truncated": PACKED[: len(PACKED) // 2],
        "wrong checksum": retouched(GOOD, b"\0\0\0\0\0\0\x80?", b"\0\0\0\0\0\0\x81?"),
        "structured type": archive(w__npy=npy(np.zeros(2, [("a", "<f4")]))),
        "object type": archive(w__npy=header_of("'|O'") + bytes(32)),
        "code for a type": archive(w__npy=header_of("__import__('os')") + bytes(16)),
        "unknown size": archive(w__npy=header_of("'<f3'") + bytes(12)),
        "short data": archive(w__npy=header_of("'<f4'") + bytes(12)),
        "long data": archive(w__npy=header_of("'<f4'") + bytes(20)),
        "overflowing shape": archive(w__npy=header_of("'<f4'", "(4294967296, 4294967296)")),
        "negative shape": archive(w__npy=header_of("'<f4'", "(-4,)") + bytes(16)),
        "unknown order": archive(w__npy=header_of("'<f4'", order="1") + bytes(16)),
        "not npy within": archive(w__npy=b"\x93NUMPX" + bytes(200)),
        "version 9": archive(w__npy=b"\x93NUMPY\x09\0" + bytes(200)),
        "header past the end": archive(w__npy=b"\x93NUMPY\2\0\xff\xff\0\0" + bytes(20)),
    }.items(),
)
def test_an_npz_archive_that_hides_or_lies_is_refused(why, raw):
    with pytest.raises(Malformed):
        read("npz", raw)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked():
    bomb = npz({"w": np.zeros(4 << 20, "|u1")}, packed=True)
    assert len(bomb) < 20_000
    with pytest.raises(Malformed, match="unpack"):
        read("npz", bomb)


def test_an_entry_that_unpacks_to_more_than_it_says_is_refused():
    entry = weights_zip.Entry("w.npy", 8, 0, 0, 10, 0)
    packed = zlib.compress(bytes(1 << 20), wbits=-15)
    lying = weights_zip.Entry("w.npy", 8, entry.crc, len(packed), 10, 0)
    with pytest.raises(Malformed, match="more than"):
        list(weights_zip.unpack(io.BytesIO(packed), lying))


@FEW
@given(st.binary(max_size=200_000), st.integers(0, 9))
def test_unpacking_gives_the_bytes_that_were_packed(raw, level):
    packer = zlib.compressobj(level, wbits=-15)
    packed = packer.compress(raw) + packer.flush()
    entry = weights_zip.Entry("w", 8, zlib.crc32(raw), len(packed), len(raw), 0)
    assert b"".join(weights_zip.unpack(io.BytesIO(packed), entry)) == raw
