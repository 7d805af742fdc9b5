"""Is every value in the embedded chain's file the one that its blocks say? Read-only, without executing.

What lies under a hash (trie nodes, headers, code) must have that hash. What finds it must follow from the
blocks between the head and the genesis: number to block from the headers' parent hashes, transaction to
block and place from the tries of transactions that the headers name. A block's total difficulty is not
checked: the embedded chain has no forks to choose between.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path

import rlp
from trie.exceptions import MissingTraversalNode, MissingTrieNode
from trie.hexary import HexaryTrie

from registry.chain.kv import HASH_BYTES
from registry.core.ids import keccak

CHAIN_FILE = "chain.sqlite"
_HEAD = b"v1:canonical_head_hash"
_NUMBER = b"block-number-to-hash:"
_PLACE = b"transaction-hash-to-block:"
_PARENT_FIELD, _TRANSACTIONS_FIELD, _NUMBER_FIELD = 0, 4, 8


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
    """Numbers and transactions lead to exactly the blocks from the head down to the genesis."""
    wanted: dict[bytes, bytes] = {}
    here, number = held.get(_HEAD, b""), None
    while here in held:
        try:
            header = rlp.decode(held[here])
            stated = int.from_bytes(header[_NUMBER_FIELD], "big")
        except (rlp.DecodingError, IndexError, TypeError) as e:
            yield f"the block 0x{here.hex()} has no header: {e}"
            return
        if number is not None and stated != number - 1:
            yield f"the parent of block {number} calls itself {stated}"
            return
        number = stated
        wanted[_NUMBER + str(number).encode()] = rlp.encode(here)
        try:
            wanted |= _places(sound, header[_TRANSACTIONS_FIELD], number)
        except (MissingTrieNode, MissingTraversalNode) as e:
            yield f"the transactions of block {number} are not whole: {e}"
        here = header[_PARENT_FIELD]
    if number != 0:
        yield f"the blocks from the head down end at {number}, not at the genesis"
    found = {key: value for key, value in held.items() if key.startswith((_NUMBER, _PLACE))}
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            yield f"{key.decode('ascii', 'replace')} leads to another block than the headers do"


def _places(nodes: dict[bytes, bytes], root: bytes, number: int) -> dict[bytes, bytes]:
    """Where each transaction of a block is said to be, under the keys of py-evm."""
    block = HexaryTrie(nodes, root_hash=root)
    found: dict[bytes, bytes] = {}
    for place in count():
        raw = block.get(rlp.encode(place))
        if not raw:
            return found
        found[_PLACE + repr(keccak(raw)).encode()] = rlp.encode([number, place])
    return found
