"""What the parsers of weight files share: the tensor they find, and how they refuse.

None of them loads a tensor or trusts a size that the file states: a parser reads headers, compares them with
the length of the file, and answers names, types and shapes.
"""

from dataclasses import dataclass
from typing import BinaryIO

from registry.errors import Malformed

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array in a file of weights."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def refused(kind: str, why: str, hint: str | None = None) -> Malformed:
    """The error for a file that is not what its format says."""
    return Malformed(f"this is no well-formed {kind} file: {why}", hint=hint or f"write it again as {kind}")


def length_of(file: BinaryIO) -> int:
    """The size of the file; the position is then its start."""
    size = file.seek(0, 2)
    file.seek(0)
    return size


def read_at(file: BinaryIO, offset: int, size: int, kind: str) -> bytes:
    """Exactly these bytes; a file that ends before them is refused."""
    file.seek(offset)
    found = file.read(size)
    if len(found) != size:
        raise refused(kind, f"it ends within the {size} bytes at {offset}")
    return found


def extent(shape: tuple[int, ...], each: int) -> int:
    """The exact size of an array; Python's integers cannot overflow as a loader's may."""
    total = each
    for size in shape:
        total *= size
    return total
