"""safetensors: what the library writes is read, and what hides or lies is refused."""

import json
import struct

import pytest
from arrays import ARRAYS, FEW, read
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from registry.errors import Malformed


def safetensors(header, body=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + body


@FEW
@given(ARRAYS)
def test_what_the_safetensors_library_writes_is_read(arrays):
    found = read("safetensors", save(arrays, metadata={"format": "np"}))
    assert {t.name: t.shape for t in found} == {name: a.shape for name, a in arrays.items()}


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
