"""The safetensors format, read strictly.

A header (u64 length, then JSON) and the tensors' bytes. The tensors must follow each other without gap or
overlap up to the last byte of the file, so nothing can hide in it and it cannot be two formats at once.
"""

from typing import BinaryIO

from registry.core.canonical import strict_json
from registry.core.weights_base import Tensor, extent, length_of, read_at, refused
from registry.errors import Malformed

MAX_HEADER = 4 << 20
MAX_DIMENSIONS = 32
_SAFE = 1 << 53
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
_KIND = "safetensors"


def read_safetensors(file: BinaryIO) -> tuple[Tensor, ...]:
    """The tensors in the order of their bytes; Malformed says what is wrong."""
    size = length_of(file)
    header_size = int.from_bytes(read_at(file, 0, 8, _KIND), "little")
    if not 2 <= header_size <= min(MAX_HEADER, size - 8):
        raise refused(_KIND, f"its header claims {header_size} bytes, the limit is {MAX_HEADER}")
    raw = read_at(file, 8, header_size, _KIND)
    if raw[:1] != b"{":
        raise refused(_KIND, "its header does not begin with {")
    try:
        header = strict_json(raw)
    except Malformed as e:
        raise refused(_KIND, e.message) from e
    if not isinstance(header, dict):
        raise refused(_KIND, "its header is no object")
    _check_metadata(header.pop("__metadata__", {}))
    spans = sorted((_span(name, entry) for name, entry in header.items()), key=lambda span: span[:2])
    return _contiguous(spans, size - 8 - header_size)


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise refused(_KIND, "__metadata__ is no object of texts")


def _span(name: str, entry: object) -> tuple[int, int, Tensor]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise refused(_KIND, f"tensor {name[:80]!r} has not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], _sizes(name, entry["shape"]), _sizes(name, entry["data_offsets"])
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise refused(_KIND, f"tensor {name[:80]!r} has the unknown dtype {str(dtype)[:40]!r}")
    if len(offsets) != 2 or (offsets[1] - offsets[0]) * 8 != extent(shape, _BITS[dtype]):
        raise refused(_KIND, f"tensor {name[:80]!r} of shape {shape} does not fit its offsets {offsets}")
    return offsets[0], offsets[1], Tensor(name, dtype, shape)


def _sizes(name: str, value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        raise refused(_KIND, f"tensor {name[:80]!r} has no proper list of at most {MAX_DIMENSIONS} sizes")
    if not all(type(size) is int and 0 <= size < _SAFE for size in value):
        raise refused(_KIND, f"tensor {name[:80]!r} has a size that is no whole number")
    return tuple(value)


def _contiguous(spans: list[tuple[int, int, Tensor]], end: int) -> tuple[Tensor, ...]:
    position = 0
    for begin, stop, tensor in spans:
        if begin != position:
            raise refused(_KIND, f"tensor {tensor.name[:80]!r} begins at {begin}, not at {position}")
        position = stop
    if position != end:
        raise refused(_KIND, f"the tensors end at {position}, the file at {end}")
    return tuple(tensor for _, _, tensor in spans)
