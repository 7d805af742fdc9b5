"""Is every value in the embedded chain's file the one that its blocks say? Read-only, without executing.

What lies under a hash (trie nodes, headers, code) must have that hash. What finds it must follow from the
blocks between the head and the genesis: number to block from the headers' parent hashes, transaction to
block and place from the tries of transactions that the headers name, gas, logs and created contract from
those tries and the receipts'. Only the bytes with which a failed transaction reverted are nowhere else:
to check them it would have to be executed.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import rlp
from trie.exceptions import MissingTraversalNode, MissingTrieNode
from trie.hexary import HexaryTrie

from registry.chain.kv import HASH_BYTES
from registry.core.ids import keccak

CHAIN_FILE = "chain.sqlite"
_HEAD = b"v1:canonical_head_hash"
_GAPS = (b"v1:chain_gaps", b"v1:header_chain_gaps")
_NUMBER = b"block-number-to-hash:"
_SCORE = b"block-hash-to-score:"
_PLACE = b"transaction-hash-to-block:"
_MINED = b"twinledger:tx:"
_CHAIN_ID = b"twinledger:chain-id"
_PARENT_FIELD, _TRANSACTIONS_FIELD, _RECEIPTS_FIELD, _NUMBER_FIELD, _EXTRA_FIELD = 0, 4, 5, 8, 12
_LIST = 0xC0  # where a legacy transaction's or receipt's first byte begins; below it is the type
_TO_FIELDS = {1: 4, 2: 5}


def check_file(path: Path) -> Iterator[str]:
    """Every difference, by the key it lies under."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT k, v FROM kv").fetchall()
    except sqlite3.Error as e:
        yield f"{path} cannot be read: {e}"
        return
    held = {bytes(key): bytes(value) for key, value in rows}
    hashed = {key: value for key, value in held.items() if len(key) == HASH_BYTES}
    sound = {key: value for key, value in hashed.items() if keccak(value) == key}
    for key in hashed.keys() - sound.keys():
        yield f"the value under 0x{key.hex()} is not of this hash"
    yield from _found(held, sound)


def _found(held: Mapping[bytes, bytes], sound: dict[bytes, bytes]) -> Iterator[str]:
    """Everything but hashes' values follows from exactly the blocks from the head down to the genesis."""
    wanted: dict[bytes, bytes] = {}
    here, number = held.get(_HEAD, b""), None
    while here in held:
        try:
            header = rlp.decode(held[here])
            stated = int.from_bytes(header[_NUMBER_FIELD], "big")
            extra = header[_EXTRA_FIELD]
        except (rlp.DecodingError, IndexError, TypeError) as e:
            yield f"the block 0x{here.hex()} has no header: {e}"
            return
        if number is None:
            gaps = rlp.encode([[], (stated + 1).to_bytes(32, "big")])
            wanted |= {_HEAD: here, **dict.fromkeys(_GAPS, gaps)}
        elif stated != number - 1:
            yield f"the parent of block {number} calls itself {stated}"
            return
        number = stated
        wanted[_NUMBER + str(number).encode()] = rlp.encode(here)
        # Without difficulty a block scores its number more than its parent.
        wanted[_SCORE + repr(here).encode()] = rlp.encode(number * (number + 1) // 2)
        try:
            wanted |= _places(sound, header, number, held)
        except (MissingTrieNode, MissingTraversalNode, rlp.DecodingError, LookupError, TypeError) as e:
            yield f"the transactions of block {number} are not whole: {e}"
        here = header[_PARENT_FIELD]
    if number != 0:
        yield f"the blocks from the head down end at {number}, not at the genesis"
    else:
        wanted[_CHAIN_ID] = extra.rpartition(b":")[2]
    found = {key: value for key, value in held.items() if len(key) != HASH_BYTES}
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            yield f"{key.decode('ascii', 'backslashreplace')} leads to something else than the blocks do"


def _places(
    nodes: dict[bytes, bytes], header: list[bytes], number: int, held: Mapping[bytes, bytes]
) -> dict[bytes, bytes]:
    """Where each transaction of a block is said to be, and what became of it, under the keys of the store."""
    block = HexaryTrie(nodes, root_hash=header[_TRANSACTIONS_FIELD])
    receipts = HexaryTrie(nodes, root_hash=header[_RECEIPTS_FIELD])
    found: dict[bytes, bytes] = {}
    gas = logs = 0
    place = 0
    while raw := block.get(rlp.encode(place)):
        tx_hash = keccak(raw)
        receipt = receipts.get(rlp.encode(place))
        status, used, _bloom, events = rlp.decode(receipt if receipt[0] >= _LIST else receipt[1:])
        spent = int.from_bytes(used, "big")
        key = _MINED + tx_hash
        failure = b"" if status else rlp.decode(held[key])[-1]
        contract = _created(raw) if status else b""
        found[_PLACE + repr(tx_hash).encode()] = rlp.encode([number, place])
        found[key] = rlp.encode([number, place, spent - gas, logs, contract, failure])
        gas, logs, place = spent, logs + len(events), place + 1
    return found


def _created(raw: bytes) -> bytes:
    """The address of the contract that a transaction created; empty when it called one."""
    fields = rlp.decode(raw if raw[0] >= _LIST else raw[1:])
    if fields[_TO_FIELDS.get(raw[0], 3)]:
        return b""
    # Only here, for the few: importing py-evm takes a second.
    from eth.vm.forks.paris import ParisVM

    transaction = ParisVM.get_transaction_builder().decode(raw)
    return keccak(rlp.encode([transaction.sender, transaction.nonce]))[12:]
