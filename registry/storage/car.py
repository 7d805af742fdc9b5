"""CARv1, the archive of blocks that IPFS programs exchange, streamed in both directions.

A CAR is a header that names the roots, then frames: varint length, CID, block. The header with one root has a
fixed length, so a writer that learns the root last patches it in place.

>>> roots, frames = read_header([car_header((Cid(DAG_PB, bytes(32)),))])
>>> roots[0].digest == bytes(32)
True
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from registry.core.cid import DAG_PB, Cid
from registry.errors import Malformed, TooLarge
from registry.storage.dagpb import decode_node, uvarint
from registry.storage.reader import MAX_BLOCK, verify_block

MAX_HEADER = 64 << 10
_MAX_FRAME = MAX_BLOCK + 36
_ROOT = b"\xd8\x2a\x58\x25\x00"  # DAG-CBOR: tag 42, a byte string of 37 bytes, the identity multibase prefix
HEADER_LENGTH = 59


def car_header(roots: tuple[Cid, ...]) -> bytes:
    """The header of a CARv1: a varint length and the DAG-CBOR map of roots and version."""
    body = b"\xa2\x65roots" + _array_head(len(roots)) + b"".join(_ROOT + r.raw for r in roots)
    body += b"\x67version\x01"
    return uvarint(len(body)) + body


def _array_head(length: int) -> bytes:
    if length < 24:
        return bytes((0x80 + length,))
    return b"\x98" + bytes((length,)) if length < 256 else b"\x99" + length.to_bytes(2, "big")


def frame_prefix(cid: Cid, block: bytes) -> bytes:
    """What precedes a block in a CAR."""
    return uvarint(36 + len(block)) + cid.raw


def write_car(roots: tuple[Cid, ...], blocks: Iterable[tuple[Cid, bytes]]) -> Iterator[bytes]:
    """The CAR of these blocks, in pieces no longer than a block."""
    yield car_header(roots)
    for cid, block in blocks:
        yield frame_prefix(cid, block)
        yield block


@dataclass(frozen=True, slots=True)
class Frame:
    """A block of a CAR and where its bytes begin."""

    cid: Cid
    block: bytes
    offset: int


class _Bytes:
    """A pull parser over pieces of any length; holds one piece and one frame."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()
        self._start = 0  # consumed bytes at the front of the buffer
        self.position = 0

    def exactly(self, count: int) -> bytes:
        self._fill(count)
        if len(self._buffer) - self._start < count:
            raise Malformed(f"the CAR ends at byte {self.position} inside a block")
        end = self._start + count
        taken = bytes(memoryview(self._buffer)[self._start : end])
        self._start = end
        self.position += count
        return taken

    def varint(self, limit: int) -> int | None:
        """The number, None at a clean end; TooLarge over the limit."""
        number = shift = 0
        self._fill(1)
        if self._start == len(self._buffer):
            return None
        while shift <= 56:
            byte = self.exactly(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if number > limit:
                    raise TooLarge(f"a CAR frame of {number} bytes at {self.position} is over {limit}")
                return number
        raise Malformed(f"the CAR has no frame length at byte {self.position}")

    def _fill(self, count: int) -> None:
        while len(self._buffer) - self._start < count:
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            if self._start:
                del self._buffer[: self._start]
                self._start = 0
            self._buffer += chunk


def read_header(chunks: Iterable[bytes]) -> tuple[tuple[Cid, ...], Iterator[Frame]]:
    """The roots of a CARv1, and its frames to come: each hashed, its dag-pb decodable, none over 2 MiB."""
    source = _Bytes(chunks)
    length = source.varint(MAX_HEADER)
    if length is None:
        raise Malformed("the CAR is empty")
    return _decode_header(source.exactly(length)), _frames(source)


def _frames(source: _Bytes) -> Iterator[Frame]:
    while (length := source.varint(_MAX_FRAME)) is not None:
        if length == 0:
            continue  # zero padding, as some writers leave at the end
        start = source.position
        frame = source.exactly(length)
        # A block under CIDv0 is the same dag-pb block under its CIDv1: one name here.
        prefix, cid = (
            (34, Cid(DAG_PB, frame[2:34])) if frame[:2] == b"\x12\x20" and length >= 34 else (36, None)
        )
        cid = cid or Cid.of_raw(frame[:36])
        block = frame[prefix:]
        verify_block(cid, block, f"the CAR at byte {start}")
        if cid.codec == DAG_PB:
            _ = [link.cid for link in decode_node(block).links]
        yield Frame(cid, block, start + prefix)


def _decode_header(body: bytes) -> tuple[Cid, ...]:
    count, at = _array_length(body)
    roots = []
    for _ in range(count):
        if body[at : at + 5] != _ROOT:
            raise Malformed("the CAR header names a root that is no CIDv1 with sha2-256")
        roots.append(Cid.of_raw(body[at + 5 : at + 41]))
        at += 41
    if car_header(tuple(roots)) != uvarint(len(body)) + body:
        raise Malformed("the CAR header is not DAG-CBOR {roots, version: 1}", hint="write it as CARv1")
    return tuple(roots)


def _array_length(body: bytes) -> tuple[int, int]:
    if not body.startswith(b"\xa2\x65roots") or len(body) < 17:
        raise Malformed("the CAR header is not DAG-CBOR {roots, version: 1}", hint="write it as CARv1")
    first = body[7]
    if 0x80 <= first < 0x98:
        return first - 0x80, 8
    if first == 0x98:
        return body[8], 9
    if first == 0x99:
        return int.from_bytes(body[8:10], "big"), 10
    raise Malformed(f"the CAR header has no list of roots (0x{first:02x})")
