"""From a node's JSON to records, and back to the bytes that hashes commit to."""

import pytest

from registry.chain.rpc_nodes import Nodes
from registry.chain.rpc_records import block_of, header_rlp, receipt_nodes, receipt_of
from registry.core.ids import address_of, keccak
from registry.core.receipt_proof import open_receipt_proof
from registry.core.rlp import encode
from registry.errors import ChainUnavailable

# Ethereum mainnet's block 1: the oldest form of a header, with a known hash.
FIRST = {
    "parentHash": "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
    "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
    "miner": "0x05a56e2d52c817161883f50c441c3228cfe54d9f",
    "stateRoot": "0xd67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3",
    "transactionsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
    "logsBloom": "0x" + "00" * 256,
    "difficulty": "0x3ff800000",
    "number": "0x1",
    "gasLimit": "0x1388",
    "gasUsed": "0x0",
    "timestamp": "0x55ba4224",
    "extraData": "0x476574682f76312e302e302f6c696e75782f676f312e342e32",
    "mixHash": "0x969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59",
    "nonce": "0x539bd4979fef1ec4",
    "hash": "0x88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6",
}


def test_a_header_encodes_back_to_its_hash() -> None:
    block = block_of(FIRST)
    assert keccak(block.header_rlp) == block.hash
    assert (block.number, block.time) == (1, 0x55BA4224)


@pytest.mark.parametrize("change", [{"extraData": "0x"}, {"nonce": None}, {"baseFeePerGas": "0x7"}])
def test_a_header_that_does_not_hash_to_its_block_has_no_bytes(change: dict[str, str | None]) -> None:
    assert header_rlp(FIRST | change) == b""


def receipt(index: int, kind: str) -> dict[str, object]:
    return {
        "transactionHash": "0x" + f"{index:064x}",
        "transactionIndex": hex(index),
        "blockNumber": "0x1",
        "blockHash": FIRST["hash"],
        "status": "0x1" if index != 1 else "0x0",
        "cumulativeGasUsed": hex(21_000 * (index + 1)),
        "gasUsed": "0x5208",
        "logsBloom": "0x" + "00" * 256,
        "logs": [],
        "type": kind,
        "contractAddress": "0x" + "22" * 20,
    }


@pytest.mark.parametrize("count", [1, 2, 17, 130])
def test_every_receipt_of_a_block_is_proved_from_their_json(count: int) -> None:
    from trie import HexaryTrie

    receipts = [receipt(n, hex(n % 3)) for n in range(count)]
    trie = HexaryTrie({})
    for n, one in enumerate(receipts):
        status = b"\1" if one["status"] == "0x1" else b""
        total = (21_000 * (n + 1)).to_bytes(4, "big").lstrip(b"\0")
        prefix = bytes((n % 3,)) if n % 3 else b""
        trie[encode(n.to_bytes(1, "big") if n else b"")] = prefix + encode([status, total, bytes(256), []])
    fields = [b"\0" * 32] * 5 + [bytes(trie.root_hash)] + [b"\1"] * 9
    header = encode(fields)
    for index in {0, count // 2, count - 1}:
        nodes = receipt_nodes(header, receipts, index)
        assert nodes is not None
        proven = open_receipt_proof(header, index, nodes, keccak(header))
        assert proven.succeeded == (index != 1)
    assert receipt_nodes(header, receipts + receipts[:1], 0) is None


def test_only_a_successful_creation_has_a_contract_address() -> None:
    assert receipt_of(receipt(0, "0x0")).contract_address == address_of(b"\x22" * 20)
    assert receipt_of(receipt(1, "0x0")).contract_address is None


def test_no_node_at_all_is_unavailable() -> None:
    with pytest.raises(ChainUnavailable):
        Nodes([], chain_id=None, genesis_hash=None, timeout_s=1)
