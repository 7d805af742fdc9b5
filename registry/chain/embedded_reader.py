"""The committed blocks of an embedded chain, read from its file beside the process that holds the chain.

`EmbeddedChain` is alone in its folder because it writes. Who only checks needs no lock: a block is one SQLite
transaction, so a reader sees whole blocks, and never one that is being made.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from eth_typing import Address as Canonical

from registry.chain.base import Calls, Head, Log, Reverted
from registry.chain.kv import HashedCache
from registry.chain.views import View, revert_data
from registry.core.ids import Address, address_bytes
from registry.errors import ChainUnavailable, NotFound


class EmbeddedReader:
    """The `ChainHistory` of a folder, as of its newest block when it was opened."""

    def __init__(self, folder: Path, chain_id: int, *, cache_entries: int = 20_000) -> None:
        self.chain_id = chain_id
        path = folder / "chain.sqlite"
        if not path.is_file():
            raise NotFound(f"there is no embedded chain {path}", hint="name a node with --rpc URL")
        try:
            self._view = View(path, chain_id, HashedCache(cache_entries))
        except sqlite3.Error as e:
            raise ChainUnavailable(f"{path} cannot be read: {e}") from e
        self._header = self._view.head()
        self.genesis_hash = bytes(self._view.header(0).hash)

    def head(self) -> Head:
        """The block as of which everything is answered."""
        header = self._header
        return Head(header.block_number, bytes(header.hash), bytes(header.parent_hash), header.timestamp)

    def call(self, to: Address, data: bytes, sender: Address | None = None) -> bytes:
        """Run a call on the state after that block."""
        state = self._view.state_after(self._header, self._header.timestamp + 1)
        computation = self._view.run(state, sender, to, data, 0)
        if computation.is_error:
            raise Reverted(revert_data(computation))
        return bytes(computation.output)

    def after(self, head: Head) -> Calls:
        """Of its own block, which is the only head that it ever tells."""
        if head != self.head():
            raise NotFound(
                f"block {head.number} is not block {self._header.block_number}, which is read here"
            )
        return self

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        """Every log of these contracts in blocks first to last."""
        wanted = frozenset(address_bytes(address) for address in addresses)
        last = min(last, self._header.block_number)
        return [log for n in range(max(first, 0), last + 1) for log in self._view.logs_of_block(n, wanted)]

    def code(self, address: Address) -> bytes:
        """The contract's code; empty for an ordinary account."""
        state = self._view.state_after(self._header, self._header.timestamp + 1)
        return bytes(state.get_code(Canonical(address_bytes(address))))

    def close(self) -> None:
        """Close the file."""
        self._view.close()
