"""Files of weights: what real writers make is read, and everything that could run code or hide is refused."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import zipfile
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from registry.core import weights_zip
from registry.core.weights import FORMATS, HEAD, format_of, inspect, refuse_pickle
from registry.core.weights_base import Tensor
from registry.errors import Malformed

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DTYPES = st.sampled_from(("<f4", "<f8", "<f2", "<i8", "<i4", "|u1", "|b1"))
ARRAYS = st.dictionaries(
    st.text("abcw_0", min_size=1, max_size=6),
    DTYPES.flatmap(lambda d: nps.arrays(d, nps.array_shapes(min_dims=0, max_dims=3, max_side=4))),
    min_size=1,
    max_size=4,
)
ARRAY = {"w": np.arange(6, dtype="<f4").reshape(2, 3), "b": np.zeros(3, "<f8")}


def read(name, raw):
    return inspect(name, io.BytesIO(raw))


def npz(arrays, **options):
    buffer = io.BytesIO()
    (np.savez_compressed if options.get("packed") else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, raw in members.items():
            z.writestr(name.replace("__", "."), raw)
    return buffer.getvalue()


def safetensors(header, body=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


class Exploit:
    def __reduce__(self):
        return (print, ("a pickle ran",))


PICKLES = {
    **{f"protocol {p}": pickle.dumps(Exploit(), protocol=p) for p in range(6)},
    **{f"state dict {p}": pickle.dumps(ARRAY, protocol=p) for p in range(6)},
    "cut off": pickle.dumps({"w": np.zeros(HEAD)}, protocol=2)[:1000],
    "zlib": zlib.compress(pickle.dumps(Exploit())),
    "gzip": gzip.compress(pickle.dumps(Exploit(), protocol=0)),
    "bz2": bz2.compress(pickle.dumps(Exploit())),
    "xz": lzma.compress(pickle.dumps(Exploit())),
    "lzma": lzma.compress(pickle.dumps(Exploit()), format=lzma.FORMAT_ALONE),
    "torch archive": archive(**{"model/data__pkl": pickle.dumps(Exploit()), "model/data/0": b"1234"}),
    "keras archive": archive(config__json=b"{}", model__weights__h5=b"\x89HDF\r\n\x1a\n"),
    "object npy": npy(np.array([Exploit()], dtype=object)),
    "object npz": archive(w__npy=npy(np.array([Exploit()], dtype=object))),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "hdf5 after a user block": bytes(2048) + b"\x89HDF\r\n\x1a\n" + bytes(100),
}
CHECKED = ("safetensors", "npz", "npy", "onnx")


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("name", [*CHECKED, "binary", "text", "json", "gguf"])
def test_a_pickle_is_refused_under_every_name(kind, name):
    with pytest.raises(Malformed) as refusal:
        read(name, PICKLES[kind])
    assert refusal.value.hint


@pytest.mark.parametrize(
    "raw",
    [
        *(
            b"",
            b"{}",
            b"cell,rsrp_dbm\nacme/c1,-80.5\n",
            b"cell\nacme\nend.",
            b"(a, b)",
            b"# Card\n\nText.",
            bytes(5000),
        ),
        *(
            zlib.compress(b"plain"),
            gzip.compress(b"csv\n"),
            b"\x78\x9c broken",
            b"\x1f\x8b broken",
            b"BZh9 broken",
        ),
        "наблюдения.".encode(),
    ],
)
def test_plain_files_are_taken_as_they_are(raw):
    assert read("binary", raw) == read("csv", raw) == ()


@FEW
@given(ARRAYS)
def test_what_the_safetensors_library_writes_is_read(arrays):
    found = read("safetensors", save(arrays, metadata={"format": "np"}))
    assert {t.name: t.shape for t in found} == {name: a.shape for name, a in arrays.items()}


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


@FEW
@given(ARRAYS, st.integers(min_value=0), st.binary(min_size=1, max_size=4))
@pytest.mark.parametrize("name", ["safetensors", "npz", "npy"])
def test_changed_bytes_are_read_or_refused_and_nothing_else_is_raised(name, arrays, place, patch):
    write = {"safetensors": save, "npz": npz, "npy": lambda a: npy(next(iter(a.values())))}[name]
    raw = write(arrays)
    place %= len(raw)
    changed = raw[:place] + patch + raw[place + len(patch) :]
    try:
        read(name, changed)
    except Malformed:
        return
    if name == "npz":
        with np.load(io.BytesIO(changed), allow_pickle=False) as loaded:
            assert all(loaded[key] is not None for key in loaded.files)


@given(st.binary(max_size=300), st.sampled_from(FORMATS))
def test_any_bytes_are_read_or_refused_under_every_format(raw, name):
    with suppress(Malformed):
        read(name, raw)


@given(
    st.binary(max_size=60),
    st.sampled_from((b"c", b"(", b"S'", b"\x1f\x8b", b"\x78\x9c", b"BZh9", b"\x5d\0", b"V", b"I")),
)
def test_hostile_beginnings_are_read_or_refused(raw, start):
    with suppress(Malformed):
        refuse_pickle(io.BytesIO(start + raw))


F32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("why", "raw"),
    {
        "short": b"\1\0\0",
        "header past the end": safetensors({"a": F32}, b"1234", length=1000),
        "header too large": safetensors(b"{" + b" " * (5 << 20) + b"}"),
        "empty header": safetensors(b"", b""),
        "leading space": safetensors(b" {}"),
        "no json": safetensors(b"{abc}"),
        "a list": safetensors(b"[]"),
        "duplicate tensor": safetensors(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":1}'),
        "unknown dtype": safetensors({"a": {**F32, "dtype": "PICKLE"}}, b"1234"),
        "dtype no text": safetensors({"a": {**F32, "dtype": ["F32"]}}, b"1234"),
        "extra key": safetensors({"a": {**F32, "x": 1}}, b"1234"),
        "missing key": safetensors({"a": {"dtype": "F32", "shape": [1]}}, b"1234"),
        "shape and size differ": safetensors({"a": {**F32, "shape": [2]}}, b"1234"),
        "overflowing shape": safetensors({"a": {**F32, "shape": [2**32, 2**32]}}, b"1234"),
        "negative": safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, b"1234"),
        "float size": safetensors({"a": {**F32, "shape": [1.0]}}, b"1234"),
        "true as size": safetensors({"a": {**F32, "shape": [True]}}, b"1234"),
        "gap": safetensors({"a": {**F32, "data_offsets": [4, 8]}}, b"12345678"),
        "overlap": safetensors({"a": F32, "b": F32}, b"1234"),
        "hidden tail": safetensors({"a": F32}, b"1234hidden"),
        "past the end": safetensors({"a": F32}, b"12"),
        "metadata no texts": safetensors({"__metadata__": {"a": 1}, "a": F32}, b"1234"),
        "deep": safetensors(b'{"a":' * 5000),
    }.items(),
)
def test_a_safetensors_file_that_hides_or_lies_is_refused(why, raw):
    with pytest.raises(Malformed):
        read("safetensors", raw)


@FEW
@given(ARRAYS, st.integers(min_value=0), st.integers(0, 255))
def test_the_safetensors_parser_takes_nothing_that_the_library_refuses(tmp_path_factory, arrays, place, byte):
    raw = bytearray(save(arrays))
    raw[place % len(raw)] = byte
    try:
        read("safetensors", bytes(raw))
    except Malformed:
        return
    path = tmp_path_factory.mktemp("st") / "w"
    path.write_bytes(raw)
    try:
        with safe_open(path, framework="np") as opened:
            opened.keys()
    except SafetensorError as e:
        pytest.fail(f"the library refuses what we take: {e}")


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


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes((value & 127 | 128,)), value >> 7
    return out + bytes((value,))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


TENSOR = field(1, 2) + field(1, 3) + field(2, 1) + field(8, b"w") + field(9, bytes(24))


def onnx(tensor=TENSOR, extra=b"", node=b""):
    graph = field(1, node) + field(2, b"graph") + field(5, tensor)
    return field(1, 8) + field(2, b"test") + field(7, graph) + extra


def test_the_initializers_of_an_onnx_model_are_read():
    packed = field(1, varint(2) + varint(3)) + field(2, 1) + field(8, b"w") + field(9, bytes(24))
    assert read("onnx", onnx()) == read("onnx", onnx(packed)) == (Tensor("w", "FLOAT", (2, 3)),)


EXTERNAL = field(8, b"w") + field(13, field(1, b"location") + field(2, b"/etc/passwd"))


@pytest.mark.parametrize(
    ("why", "raw"),
    {
        "external data": onnx(EXTERNAL),
        "external location": onnx(TENSOR + field(14, 1)),
        "in an attribute": onnx(node=field(5, field(5, EXTERNAL))),
        "in a subgraph": onnx(node=field(5, field(6, field(5, EXTERNAL)))),
        "in a function": onnx(extra=field(25, field(7, field(5, field(5, EXTERNAL))))),
        "in a sparse tensor": onnx(node=field(5, field(22, field(1, EXTERNAL)))),
        "no graph": field(1, 8),
        "no version": field(7, b""),
        "cut off": onnx()[:-3],
        "group": onnx() + b"\x0b",
        "field zero": onnx() + b"\x02\x00",
        "endless number": onnx() + b"\xff" * 12,
        "graph is a number": field(1, 8) + field(7, 5),
    }.items(),
)
def test_an_onnx_model_that_points_elsewhere_or_lies_is_refused(why, raw):
    with pytest.raises(Malformed):
        read("onnx", raw)


def test_deeply_nested_onnx_graphs_are_refused():
    node = b""
    for _ in range(200):
        node = field(5, field(6, field(1, node)))
    with pytest.raises(Malformed, match="deeper"):
        read("onnx", onnx(node=node))


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_a_changed_onnx_model_is_read_or_refused(place, patch):
    raw = onnx(node=field(5, field(5, TENSOR)))
    place %= len(raw)
    with suppress(Malformed):
        read("onnx", raw[:place] + patch + raw[place + len(patch) :])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        *(("w.safetensors", "safetensors"), ("A/W.NPZ", "npz"), ("m.onnx", "onnx"), ("t.npy", "npy")),
        *(
            ("data.csv", "csv"),
            ("readme.md", "markdown"),
            ("w.pt", "binary"),
            ("w", "binary"),
            (".npz", "binary"),
        ),
    ],
)
def test_the_format_follows_from_the_ending(path, name):
    assert format_of(path) == name in FORMATS


def test_encrypted_files_are_not_looked_into_and_unknown_formats_are_refused():
    assert read("encrypted", PICKLES["protocol 4"]) == ()
    with pytest.raises(Malformed):
        read("pickle", b"")
