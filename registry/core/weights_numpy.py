"""numpy's files, npy and npz, without numpy and without pickle.

`numpy.load` runs a pickle where an array holds Python objects, so such an array is refused by its type. The
header is a Python literal; it is matched by one pattern and never evaluated.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from registry.core.weights_base import CHUNK, Tensor, extent, length_of, refused
from registry.core.weights_zip import Entry, read_entries, unpack

MAX_HEADER = 1 << 16
NPY_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([^'\\]{1,16})',\s*'fortran_order':\s*(?:True|False),"
    rb"\s*'shape':\s*\(((?:\d{1,18}L?,\s*)*(?:\d{1,18}L?)?)\),?\s*\}\s*"
)
_DTYPE = re.compile(r"[<>|=]?([?biufcSUV])(\d{0,9})")
_SIZES = {
    "?": (1,),
    "b": (1,),
    "i": (1, 2, 4, 8),
    "u": (1, 2, 4, 8),
    "f": (2, 4, 8, 12, 16),
    "c": (8, 16, 24, 32),
}
_PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f:]{1,200}(?:/[^/\\\x00-\x1f:]{1,200}){0,15}")
_NO_OBJECTS = "save plain numeric arrays, or write the model as safetensors"


def read_npy(file: BinaryIO) -> tuple[Tensor, ...]:
    """The one array of an npy file."""
    size = length_of(file)
    return (_array("", file.read(MAX_HEADER + 12), size, "npy"),)


def read_npz(file: BinaryIO) -> tuple[Tensor, ...]:
    """The arrays of an npz archive, all of whose bytes were unpacked, counted and checked."""
    found = []
    for entry in read_entries(file):
        if not entry.name.endswith(".npy") or _PLAIN_NAME.fullmatch(entry.name) is None:
            raise refused("npz", f"it holds {entry.name[:80]!r}, which is no array", _NO_OBJECTS)
        if ".." in entry.name.split("/"):
            raise refused("npz", f"{entry.name[:80]!r} leaves its folder")
        found.append(_array(entry.name[:-4], _head(file, entry), entry.unpacked, "npz"))
    return tuple(found)


def _head(file: BinaryIO, entry: Entry) -> bytes:
    """The beginning of an entry, which is nonetheless unpacked to its end."""
    pieces: Iterator[bytes] = unpack(file, entry)
    head = b""
    for piece in pieces:
        if len(head) < MAX_HEADER + CHUNK:
            head += piece
    return head


def _array(name: str, head: bytes, size: int, kind: str) -> Tensor:
    if head[:6] != NPY_MAGIC or len(head) < 12 or head[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise refused(kind, f"{name!r} is no npy array")
    width = 2 if head[6] == 1 else 4
    start = 8 + width
    length = int.from_bytes(head[8:start], "little")
    if length > MAX_HEADER or len(head) < start + length:
        raise refused(kind, f"{name!r} has a header of {length} bytes, the limit is {MAX_HEADER}")
    match = _HEADER.fullmatch(head[start : start + length])
    if match is None:
        raise refused(kind, f"{name!r} has a header that is not that of a plain array", _NO_OBJECTS)
    dtype = match[1].decode("latin-1")
    shape = tuple(int(part.rstrip(b"L")) for part in match[2].replace(b" ", b"").split(b",") if part)
    if len(shape) > 64 or start + length + extent(shape, _item_size(name, dtype, kind)) != size:
        raise refused(kind, f"{name!r} of type {dtype} and shape {shape[:64]} does not fill its {size} bytes")
    return Tensor(name, dtype, shape)


def _item_size(name: str, dtype: str, kind: str) -> int:
    match = _DTYPE.fullmatch(dtype)
    if match is None:
        raise refused(kind, f"{name!r} has the type {dtype!r}, which is no plain number or text", _NO_OBJECTS)
    letter, digits = match[1], match[2]
    size = int(digits) if digits else 1
    if letter in _SIZES and size not in _SIZES[letter]:
        raise refused(kind, f"{name!r} has the type {dtype!r}, which does not exist")
    return 4 * size if letter == "U" else size
