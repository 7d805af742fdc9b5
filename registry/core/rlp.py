"""RLP, strict and small: every value has one encoding, and any other is refused.

The `rlp` package takes 0.6 s to import and an offline verifier should rest on little code; a vector test
compares the two.
"""

from collections.abc import Sequence
from typing import TypeAlias

from registry.errors import Malformed

Item: TypeAlias = bytes | list["Item"]
Encodable: TypeAlias = bytes | Sequence["Encodable"]
MAX_DEPTH = 24


def encode(item: Encodable) -> bytes:
    """The encoding of bytes, or of a sequence of such."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _prefix(0x80, len(item)) + item
    body = b"".join(encode(part) for part in item)
    return _prefix(0xC0, len(body)) + body


def encode_int(value: int) -> bytes:
    """The encoding of a whole number: big-endian without leading zeros."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def decode(raw: bytes) -> Item:
    """The one value that these bytes encode; Malformed when they are anything else."""
    item, end = _item(raw, 0, len(raw), MAX_DEPTH)
    if end != len(raw):
        raise Malformed(f"{len(raw) - end} bytes follow the RLP value")
    return item


def as_int(item: Item) -> int:
    """A decoded whole number."""
    if not isinstance(item, bytes) or item[:1] == b"\0":
        raise Malformed("an RLP value is no whole number")
    return int.from_bytes(item, "big")


def as_bytes(item: Item, size: int | None = None) -> bytes:
    """Decoded bytes, of this size if one is given."""
    if not isinstance(item, bytes) or (size is not None and len(item) != size):
        raise Malformed("an RLP value is not the bytes it must be")
    return item


def as_list(item: Item) -> list[Item]:
    """A decoded list."""
    if not isinstance(item, list):
        raise Malformed("an RLP value is no list")
    return item


def _prefix(base: int, size: int) -> bytes:
    if size < 56:
        return bytes((base + size,))
    width = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((base + 55 + len(width),)) + width


def _item(raw: bytes, start: int, end: int, depth: int) -> tuple[Item, int]:
    if start >= end or depth == 0:
        raise Malformed("an RLP value ends early or is nested too deep")
    first = raw[start]
    if first < 0x80:
        return raw[start : start + 1], start + 1
    base = 0x80 if first < 0xC0 else 0xC0
    body, stop = _extent(raw, start, end, first - base)
    if base == 0x80:
        if stop - body == 1 and raw[body] < 0x80:
            raise Malformed("an RLP byte has a length in front that it must not have")
        return raw[body:stop], stop
    items: list[Item] = []
    while body < stop:
        item, body = _item(raw, body, stop, depth - 1)
        items.append(item)
    return items, stop


def _extent(raw: bytes, start: int, end: int, short: int) -> tuple[int, int]:
    """Where the body of a value begins and ends."""
    if short < 56:
        body, size = start + 1, short
    else:
        body = start + 1 + short - 55
        width = raw[start + 1 : body]
        size = int.from_bytes(width, "big")
        if width[:1] == b"\0" or size < 56:
            raise Malformed("an RLP length is not in its shortest form")
    if body + size > end:
        raise Malformed("an RLP value reaches past its end")
    return body, body + size
