"""The two encodings inside a dag-pb block: the node with its links, and the UnixFS message in its data.

Protobuf allows many spellings of one message; a CID names only one. Both decoders therefore accept exactly
what the encoders write, which is what Kubo and the JavaScript importer write (links before data, the name
present even when empty, varints minimal, block sizes unpacked).

>>> decode_node(encode_node((), encode_unixfs(UnixFs(DIRECTORY)))).links
()
"""

from dataclasses import dataclass

from registry.core.cid import DAG_PB, Cid
from registry.errors import Malformed

RAW_DATA, DIRECTORY, FILE, SHARD = 0, 1, 2, 5
_CIDV0_PREFIX = b"\x12\x20"


@dataclass(frozen=True, slots=True)
class NodeLink:
    """A link: the CID as written (36 bytes, or 34 for CIDv0), a name, the bytes of the DAG below."""

    raw_cid: bytes
    name: bytes
    dag_size: int

    @property
    def cid(self) -> Cid:
        """The CID, whichever version it was written in."""
        if len(self.raw_cid) == 34 and self.raw_cid.startswith(_CIDV0_PREFIX):
            return Cid(DAG_PB, self.raw_cid[2:])
        return Cid.of_raw(self.raw_cid)


@dataclass(frozen=True, slots=True)
class Node:
    """A dag-pb node."""

    links: tuple[NodeLink, ...]
    data: bytes | None


@dataclass(frozen=True, slots=True)
class UnixFs:
    """What a dag-pb node is in a file system: a directory, or a file with the sizes of its parts."""

    kind: int
    content: bytes | None = None
    size: int | None = None
    block_sizes: tuple[int, ...] = ()


def uvarint(number: int) -> bytes:
    """The shortest unsigned LEB128."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_uvarint(buffer: bytes, at: int) -> tuple[int, int]:
    """The number at a position, and the position after it; Malformed when it runs out or over 63 bits."""
    number = shift = 0
    while at < len(buffer) and shift < 63:
        byte = buffer[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise Malformed(f"a varint at byte {at} does not end")


def _field(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + uvarint(len(content)) + content


def _encode_link(link: NodeLink) -> bytes:
    return _field(0x0A, link.raw_cid) + _field(0x12, link.name) + b"\x18" + uvarint(link.dag_size)


def encode_node(links: tuple[NodeLink, ...], data: bytes | None) -> bytes:
    """The block of a dag-pb node."""
    out = bytearray()
    for link in links:
        out += _field(0x12, _encode_link(link))
    if data is not None:
        out += _field(0x0A, data)
    return bytes(out)


def encode_unixfs(message: UnixFs) -> bytes:
    """The UnixFS message that goes into a node's data."""
    out = bytearray((0x08, message.kind))
    if message.content is not None:
        out += _field(0x12, message.content)
    if message.size is not None:
        out += b"\x18" + uvarint(message.size)
    for size in message.block_sizes:
        out += b"\x20" + uvarint(size)
    return bytes(out)


def decode_node(block: bytes) -> Node:
    """Read a dag-pb block that is its own canonical form, else Malformed."""
    links: list[NodeLink] = []
    data: bytes | None = None
    for tag, value in _fields(block):
        if tag == 0x12 and isinstance(value, bytes):
            links.append(_decode_link(value))
        elif tag == 0x0A and isinstance(value, bytes):
            data = value
        else:
            raise Malformed(f"a dag-pb node has no field with tag {tag:#x}")
    node = Node(tuple(links), data)
    if encode_node(node.links, node.data) != block:
        raise Malformed("a dag-pb block is not in its canonical form")
    return node


def decode_unixfs(node: Node) -> UnixFs:
    """What a node is in the file system; Malformed when it is neither a file nor a plain directory."""
    kind, content, size, block_sizes = -1, None, None, []
    for tag, value in _fields(node.data or b""):
        if tag == 0x08 and isinstance(value, int):
            kind = value
        elif tag == 0x12 and isinstance(value, bytes):
            content = value
        elif tag == 0x18 and isinstance(value, int):
            size = value
        elif tag == 0x20 and isinstance(value, int):
            block_sizes.append(value)
        elif kind == SHARD:
            raise Malformed("a sharded directory (HAMT) is not read here", hint="make smaller directories")
        else:
            raise Malformed(f"a UnixFS message with field tag {tag:#x} is not supported")
    message = UnixFs(kind, content, size, tuple(block_sizes))
    if kind not in (RAW_DATA, DIRECTORY, FILE):
        raise Malformed(f"UnixFS type {kind} is neither a file nor a plain directory")
    if encode_unixfs(message) != node.data:
        raise Malformed("a UnixFS message is not in its canonical form")
    return message


def _decode_link(raw: bytes) -> NodeLink:
    match list(_fields(raw)):
        case [(0x0A, bytes(cid)), (0x12, bytes(name)), (0x18, int(dag_size))]:
            link = NodeLink(cid, name, dag_size)
            _ = link.cid  # a link that names nothing is refused here, not when it is followed
            return link
    raise Malformed("a dag-pb link has not exactly hash, name and size, in this order")


def _fields(raw: bytes) -> list[tuple[int, bytes | int]]:
    fields: list[tuple[int, bytes | int]] = []
    at = 0
    while at < len(raw):
        tag = raw[at]
        number, at = read_uvarint(raw, at + 1)
        if tag & 7 == 0:
            fields.append((tag, number))
        elif tag & 7 == 2 and at + number <= len(raw):
            fields.append((tag, raw[at : at + number]))
            at += number
        else:
            raise Malformed(f"a protobuf field with tag {tag:#x} runs over the end of its block")
    return fields
