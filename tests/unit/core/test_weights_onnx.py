"""ONNX: initializers are read, and a model that points elsewhere is refused."""

import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.weights import inspect
from registry.core.weights_base import Tensor
from registry.errors import Malformed


def read(name, raw):
    return inspect(name, io.BytesIO(raw))


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
