"""Is every value in the embedded chain's file the one that its blocks say? Read-only, without executing.

What lies under a hash (trie nodes, headers, code) must have that hash. What finds it (head, number to
block, transaction to block) must lead along the headers' own parent hashes.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import rlp

from registry.chain.kv import HASH_BYTES
from registry.core.ids import keccak

CHAIN_FILE = "chain.sqlite"
_HEAD = b"v1:canonical_head_hash"
_NUMBER = b"block-number-to-hash:"
_PARENT_FIELD, _NUMBER_FIELD = 0, 8


def check_file(path: Path) -> Iterator[str]:
    """Every difference, by the key it lies under."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT k, v FROM kv").fetchall()
    except sqlite3.Error as e:
        yield f"{path} cannot be read: {e}"
        return
    held = {bytes(key): bytes(value) for key, value in rows}
    yield from _hashed(held)
    yield from _found(held)


def _hashed(held: Mapping[bytes, bytes]) -> Iterator[str]:
    for key, value in held.items():
        if len(key) == HASH_BYTES and keccak(value) != key:
            yield f"the value under 0x{key.hex()} is not of this hash"


def _found(held: Mapping[bytes, bytes]) -> Iterator[str]:
    """The numbers lead to exactly the blocks from the head down to the genesis."""
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
        here = header[_PARENT_FIELD]
    if number != 0:
        yield f"the blocks from the head down end at {number}, not at the genesis"
    found = {key: value for key, value in held.items() if key.startswith(_NUMBER)}
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            yield f"{key.decode('ascii', 'replace')} leads to another block than the headers do"
