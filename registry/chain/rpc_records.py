"""Between a node's JSON and the records of base.py; headers and receipts also back to the bytes they hash
from."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from registry.chain.base import Block, Head, Log, Receipt
from registry.core.ids import address_of, keccak, to_address
from registry.core.receipt_proof import prove_receipt
from registry.core.rlp import Encodable, encode
from registry.errors import VerificationFailed

# The header's fields in the order they are hashed; those after `nonce` came with later forks.
_BYTES, _NUMBER = bytes, int
_HEADER: tuple[tuple[str, type], ...] = (
    ("parentHash", _BYTES),
    ("sha3Uncles", _BYTES),
    ("miner", _BYTES),
    ("stateRoot", _BYTES),
    ("transactionsRoot", _BYTES),
    ("receiptsRoot", _BYTES),
    ("logsBloom", _BYTES),
    ("difficulty", _NUMBER),
    ("number", _NUMBER),
    ("gasLimit", _NUMBER),
    ("gasUsed", _NUMBER),
    ("timestamp", _NUMBER),
    ("extraData", _BYTES),
    ("mixHash", _BYTES),
    ("nonce", _BYTES),
    ("baseFeePerGas", _NUMBER),
    ("withdrawalsRoot", _BYTES),
    ("blobGasUsed", _NUMBER),
    ("excessBlobGas", _NUMBER),
    ("parentBeaconBlockRoot", _BYTES),
    ("requestsHash", _BYTES),
)
_FIRST_FORK = 15
# Logs are of the few contracts that were asked for.
_address = lru_cache(maxsize=64)(to_address)


def number_of(text: str) -> int:
    """A JSON-RPC quantity."""
    return int(text, 16)


def bytes_of(text: str) -> bytes:
    """JSON-RPC data."""
    return bytes.fromhex(text[2:])


def head_of(block: dict[str, Any]) -> Head:
    """The head that a block's JSON describes."""
    return Head(
        number=number_of(block["number"]),
        hash=bytes_of(block["hash"]),
        parent_hash=bytes_of(block["parentHash"]),
        time=number_of(block["timestamp"]),
    )


def block_of(block: dict[str, Any]) -> Block:
    """The block that its JSON describes."""
    head = head_of(block)
    return Block(head.number, head.hash, head.parent_hash, head.time, header_rlp(block))


def header_rlp(block: dict[str, Any]) -> bytes:
    """The header's bytes, or none where they do not hash to the block's hash.

    Besu's QBFT is such a chain: its hash leaves out the commit seals.
    """
    fields: list[bytes] = []
    for place, (name, kind) in enumerate(_HEADER):
        given = block.get(name)
        if given is None:
            if place < _FIRST_FORK:
                return b""
            break
        fields.append(_minimal(given) if kind is _NUMBER else bytes_of(given))
    encoded = encode(fields)
    return encoded if keccak(encoded) == bytes_of(block["hash"]) else b""


def log_of(log: dict[str, Any]) -> Log:
    """The log that its JSON describes."""
    return Log(
        address=_address(log["address"]),
        topics=tuple([bytes_of(topic) for topic in log["topics"]]),  # a generator takes half as long again
        data=bytes_of(log["data"]),
        block_number=number_of(log["blockNumber"]),
        block_hash=bytes_of(log["blockHash"]),
        tx_hash=bytes_of(log["transactionHash"]),
        tx_index=number_of(log["transactionIndex"]),
        index=number_of(log["logIndex"]),
    )


def receipt_of(receipt: dict[str, Any]) -> Receipt:
    """The receipt that its JSON describes."""
    created = receipt.get("contractAddress")
    succeeded = number_of(receipt["status"]) == 1
    return Receipt(
        tx_hash=bytes_of(receipt["transactionHash"]),
        block_number=number_of(receipt["blockNumber"]),
        block_hash=bytes_of(receipt["blockHash"]),
        tx_index=number_of(receipt["transactionIndex"]),
        succeeded=succeeded,
        gas_used=number_of(receipt["gasUsed"]),
        logs=tuple(log_of(log) for log in receipt["logs"]),
        contract_address=address_of(bytes_of(created)) if created and succeeded else None,
    )


def receipt_nodes(header: bytes, receipts: Sequence[dict[str, Any]], index: int) -> tuple[bytes, ...] | None:
    """The trie nodes that prove one of a block's receipts; None when their bytes do not give its root."""
    try:
        return prove_receipt(header, [_encode_receipt(receipt) for receipt in receipts], index)
    except VerificationFailed:
        return None


def _encode_receipt(receipt: dict[str, Any]) -> bytes:
    logs: list[Encodable] = [
        [bytes_of(log["address"]), [bytes_of(t) for t in log["topics"]], bytes_of(log["data"])]
        for log in receipt["logs"]
    ]
    status, total = _minimal(receipt["status"]), _minimal(receipt["cumulativeGasUsed"])
    body = encode([status, total, bytes_of(receipt["logsBloom"]), logs])
    kind = number_of(receipt.get("type") or "0x0")
    return (bytes((kind,)) if kind else b"") + body


def _minimal(quantity: str) -> bytes:
    value = number_of(quantity)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
