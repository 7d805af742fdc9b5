"""ONNX, walked as protobuf wire format without a protobuf library and without running anything.

What is refused is what makes a loader read elsewhere: tensors whose data lie outside the file. Payloads are
skipped by their length, so a model of any size is walked in little memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from registry.core.weights_base import Tensor, length_of, read_at, refused

MAX_DEPTH = 64
MAX_FIELDS = 4_000_000
_KIND = "onnx"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Which field of which message of onnx.proto3 is again a message that may lead to a tensor.
_INSIDE = {
    ("Model", 7): "Graph",
    ("Model", 20): "TrainingInfo",
    ("Model", 25): "Function",
    ("TrainingInfo", 1): "Graph",
    ("TrainingInfo", 2): "Graph",
    ("Graph", 1): "Node",
    ("Graph", 5): "Tensor",
    ("Graph", 15): "SparseTensor",
    ("Function", 7): "Node",
    ("Function", 11): "Attribute",
    ("Node", 5): "Attribute",
    ("Attribute", 5): "Tensor",
    ("Attribute", 6): "Graph",
    ("Attribute", 10): "Tensor",
    ("Attribute", 11): "Graph",
    ("Attribute", 22): "SparseTensor",
    ("Attribute", 23): "SparseTensor",
    ("SparseTensor", 1): "Tensor",
    ("SparseTensor", 2): "Tensor",
}
_TYPES = (
    *(
        "UNDEFINED",
        "FLOAT",
        "UINT8",
        "INT8",
        "UINT16",
        "INT16",
        "INT32",
        "INT64",
        "STRING",
        "BOOL",
        "FLOAT16",
    ),
    *("DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16"),
)


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    wire: int
    value: int  # of a varint; else the length
    start: int  # of the payload
    stop: int


def read_onnx(file: BinaryIO) -> tuple[Tensor, ...]:
    """The initializers of the model's graph; Malformed says what is wrong."""
    walk = _Walk(file)
    found = tuple(walk.tensors("Model", 0, length_of(file), 0))
    if not {1, 7} <= walk.top_fields:
        raise refused(_KIND, "it has no ir_version or no graph")
    return found


class _Walk:
    """One pass over a file, with the budget that keeps a hostile one short."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_FIELDS
        self.top_fields: set[int] = set()

    def tensors(self, message: str, start: int, stop: int, depth: int) -> Iterator[Tensor]:
        """The tensors within a message."""
        if depth > MAX_DEPTH:
            raise refused(_KIND, f"its messages are nested deeper than {MAX_DEPTH}")
        if message == "Tensor":
            yield self._tensor(start, stop)
            return
        for field in self._fields(start, stop):
            if message == "Model":
                self.top_fields.add(field.number)
            inside = _INSIDE.get((message, field.number))
            if inside is not None:
                if field.wire != _BYTES:
                    raise refused(_KIND, f"field {field.number} of a {message} is no message")
                yield from self.tensors(inside, field.start, field.stop, depth + 1)

    def _tensor(self, start: int, stop: int) -> Tensor:
        name, dtype, shape = "", 0, []
        for field in self._fields(start, stop):
            if field.number == 13 or (field.number == 14 and field.value):
                raise refused(_KIND, "a tensor keeps its data in another file", "save the model as one file")
            if field.number == 1 and field.wire == _BYTES:
                shape += self._packed(field)
            elif field.number == 1:
                shape.append(field.value)
            elif field.number == 2:
                dtype = field.value
            elif field.number == 8:
                name = read_at(self._file, field.start, min(field.value, 256), _KIND).decode(
                    "utf-8", "replace"
                )
            if len(shape) > 64:
                raise refused(_KIND, "a tensor has more than 64 dimensions")
        return Tensor(name, _TYPES[dtype] if dtype < len(_TYPES) else f"TYPE{dtype}", tuple(shape))

    def _packed(self, field: _Field) -> list[int]:
        if field.value > 640:
            raise refused(_KIND, "a tensor has more than 64 dimensions")
        found, position = [], field.start
        while position < field.stop:
            value, position = self._varint(position, field.stop)
            found.append(value)
        return found

    def _fields(self, start: int, stop: int) -> Iterator[_Field]:
        position = start
        while position < stop:
            self._left -= 1
            if self._left < 0:
                raise refused(_KIND, f"it has more than {MAX_FIELDS} fields")
            key, position = self._varint(position, stop)
            number, wire = key >> 3, key & 7
            value = 0
            if wire in (_VARINT, _BYTES):
                value, position = self._varint(position, stop)
            elif wire in (_FIXED64, _FIXED32):
                value = 8 if wire == _FIXED64 else 4
            else:
                raise refused(_KIND, f"it has a field of wire type {wire}")
            end = position if wire == _VARINT else position + value
            if number == 0 or end > stop:
                raise refused(_KIND, f"field {number} at {position} reaches past the end of its message")
            yield _Field(number, wire, value, position, end)
            position = end

    def _varint(self, position: int, stop: int) -> tuple[int, int]:
        self._file.seek(position)
        raw = self._file.read(min(10, stop - position))
        value = 0
        for place, byte in enumerate(raw):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80 and value < 1 << 64:
                return value, position + place + 1
        raise refused(_KIND, f"there is no number at {position}")
