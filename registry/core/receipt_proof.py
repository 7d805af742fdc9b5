"""Proof that a block contains a receipt, for whoever trusts the block's hash.

A header commits to `receiptsRoot`, the root of a Merkle-Patricia trie from the RLP of a transaction's index
to the receipt's encoding. The proof is the header and the trie nodes from the root down to that receipt, in
that order and no others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from registry.core.ids import Address, address_of, hex32, keccak
from registry.core.rlp import Item, as_bytes, as_int, as_list, decode, encode, encode_int
from registry.errors import Malformed, VerificationFailed

MAX_NODES = 16
_RECEIPTS_ROOT, _NUMBER, _TIME = 5, 8, 11
_Pairs = list[tuple[bytes, bytes]]  # nibbles left, value


@dataclass(frozen=True, slots=True)
class ProvenLog:
    """One event of a proven receipt, as the contract emitted it."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """What the block says became of a transaction."""

    block_hash: bytes
    block_number: int
    block_time: int
    parent_hash: bytes
    tx_index: int
    succeeded: bool
    logs: tuple[ProvenLog, ...]


def verify_receipt_proof(
    header_rlp: bytes, tx_index: int, nodes: Sequence[bytes], block_hash: bytes
) -> tuple[ProvenLog, ...]:
    """The logs of the receipt at `tx_index` of the block with this hash, or VerificationFailed."""
    return open_receipt_proof(header_rlp, tx_index, nodes, block_hash).logs


def open_receipt_proof(
    header_rlp: bytes, tx_index: int, nodes: Sequence[bytes], block_hash: bytes
) -> ProvenReceipt:
    """The receipt at `tx_index` of the block with this hash; VerificationFailed says what does not fit."""
    if keccak(header_rlp) != block_hash:
        raise VerificationFailed(
            f"the header hashes to {hex32(keccak(header_rlp))}, not to the block hash {hex32(block_hash)}"
        )
    if not 0 <= tx_index < 1 << 32:
        raise VerificationFailed(f"{tx_index} is no index of a transaction")
    try:
        header = as_list(decode(header_rlp))
        if len(header) < 15:
            raise Malformed(f"a header has at least 15 fields, this one has {len(header)}")
        raw = _walk(as_bytes(header[_RECEIPTS_ROOT], 32), _nibbles(encode_int(tx_index)), nodes)
        succeeded, logs = _receipt(raw)
        return ProvenReceipt(
            block_hash=block_hash,
            block_number=as_int(header[_NUMBER]),
            block_time=as_int(header[_TIME]),
            parent_hash=as_bytes(header[0], 32),
            tx_index=tx_index,
            succeeded=succeeded,
            logs=logs,
        )
    except Malformed as e:
        raise VerificationFailed(f"the receipt proof cannot be read: {e.message}") from e


def prove_receipt(header_rlp: bytes, receipts: Sequence[bytes], tx_index: int) -> tuple[bytes, ...]:
    """The nodes that prove a receipt, from the encodings of all receipts of its block, in their order."""
    pairs = [(_nibbles(encode_int(index)), receipt) for index, receipt in enumerate(receipts)]
    held: dict[bytes, bytes] = {}
    top = encode(_node(pairs, held))
    nodes = (top, *_path(decode(top), _nibbles(encode_int(tx_index)), held))
    open_receipt_proof(header_rlp, tx_index, nodes, keccak(header_rlp))
    return nodes


def _walk(root: bytes, nibbles: bytes, nodes: Sequence[bytes]) -> bytes:
    """Follow the key through exactly these nodes to its value."""
    if not 1 <= len(nodes) <= MAX_NODES:
        raise VerificationFailed(f"a receipt proof has 1 to {MAX_NODES} nodes, got {len(nodes)}")
    wanted: Item = root
    for position, raw in enumerate(nodes):
        if wanted != keccak(raw):
            raise VerificationFailed(f"node {position} of the receipt proof is not the one its parent names")
        wanted, nibbles, ended = _descend(decode(raw), nibbles)
        if ended and position + 1 != len(nodes):
            raise VerificationFailed(f"{len(nodes) - position - 1} nodes of the receipt proof are not used")
        if ended:
            return as_bytes(wanted)
    raise VerificationFailed("the receipt proof ends before the receipt")


def _descend(node: Item, nibbles: bytes) -> tuple[Item, bytes, bool]:
    """From a node to the hash of the next one, or to the value; nodes under 32 bytes lie within others."""
    while True:
        parts = as_list(node)
        if len(parts) == 17:
            if not nibbles:
                return _present(parts[16]), b"", True
            node, nibbles = parts[nibbles[0]], nibbles[1:]
        elif len(parts) == 2:
            path, is_leaf = _compact(as_bytes(parts[0]))
            if not nibbles.startswith(path) or (is_leaf and nibbles != path):
                raise VerificationFailed("the trie has no receipt at this index")
            nibbles, node = nibbles[len(path) :], parts[1]
            if is_leaf:
                return _present(node), b"", True
        else:
            raise Malformed(f"a trie node has 2 or 17 parts, this one has {len(parts)}")
        if isinstance(node, bytes):
            return as_bytes(_present(node), 32), nibbles, False


def _present(item: Item) -> Item:
    if item == b"":
        raise VerificationFailed("the trie has no receipt at this index")
    return item


def _receipt(raw: bytes) -> tuple[bool, tuple[ProvenLog, ...]]:
    # A typed receipt (EIP-2718) has its type in front of the list.
    body = raw[1:] if raw[:1] and 0 < raw[0] < 0x80 else raw
    parts = as_list(decode(body))
    if len(parts) != 4 or parts[0] not in (b"", b"\1"):
        raise Malformed("a receipt has a status, gas, a bloom filter and logs")
    as_int(parts[1])
    as_bytes(parts[2], 256)
    return parts[0] == b"\1", tuple(_log(log) for log in as_list(parts[3]))


def _log(item: Item) -> ProvenLog:
    parts = as_list(item)
    if len(parts) != 3:
        raise Malformed("a log has an address, topics and data")
    topics = tuple(as_bytes(topic, 32) for topic in as_list(parts[1]))
    return ProvenLog(address_of(as_bytes(parts[0], 20)), topics, as_bytes(parts[2]))


def _nibbles(key: bytes) -> bytes:
    return bytes(half for byte in key for half in (byte >> 4, byte & 15))


def _compact(raw: bytes) -> tuple[bytes, bool]:
    """Undo the hex-prefix encoding: the nibbles, and whether the node is a leaf."""
    nibbles = _nibbles(raw)
    if not nibbles or nibbles[0] > 3 or (not nibbles[0] & 1 and nibbles[1] != 0):
        raise Malformed("a trie node's path is not in hex-prefix form")
    return nibbles[1 if nibbles[0] & 1 else 2 :], nibbles[0] >= 2


def _hex_prefix(nibbles: bytes, flag: int) -> bytes:
    odd = len(nibbles) & 1
    padded = bytes((flag | odd,)) + (b"" if odd else b"\0") + nibbles
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))


def _node(pairs: _Pairs, held: dict[bytes, bytes]) -> list[Item]:
    """The trie node of these pairs; nodes below it that are named by hash go into `held`."""
    if len(pairs) == 1:
        return [_hex_prefix(pairs[0][0], 2), pairs[0][1]]
    shared = _shared([nibbles for nibbles, _ in pairs])
    if shared:
        below: _Pairs = [(nibbles[shared:], value) for nibbles, value in pairs]
        return [_hex_prefix(pairs[0][0][:shared], 0), _reference(below, held)]
    branch: list[Item] = []
    for nibble in range(16):
        under: _Pairs = [(nibbles[1:], value) for nibbles, value in pairs if nibbles[:1] == bytes((nibble,))]
        branch.append(_reference(under, held) if under else b"")
    return [*branch, next((value for nibbles, value in pairs if not nibbles), b"")]


def _shared(keys: list[bytes]) -> int:
    first, last = min(keys), max(keys)
    return next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )


def _reference(pairs: _Pairs, held: dict[bytes, bytes]) -> Item:
    node = _node(pairs, held)
    raw = encode(node)
    if len(raw) < 32:
        return node
    held[keccak(raw)] = raw
    return keccak(raw)


def _path(node: Item, nibbles: bytes, held: dict[bytes, bytes]) -> Iterator[bytes]:
    wanted, nibbles, ended = _descend(node, nibbles)
    while not ended:
        raw = held[as_bytes(wanted)]
        yield raw
        wanted, nibbles, ended = _descend(decode(raw), nibbles)
