"""Calls on the state after one block of a node: what a check compares with the events up to that block.

The block is named by its hash (EIP-1898), so an answer is never of another one of that height. Nodes keep
the states of their newest blocks only (geth: 128).
"""

from collections.abc import Callable
from typing import Any

from registry.chain.base import Head, Reverted
from registry.chain.rpc_nodes import NodeRefused
from registry.chain.rpc_records import bytes_of
from registry.core.ids import Address
from registry.errors import ChainReorganised, ChainUnavailable

# JSON-RPC code of an execution that reverted, with or without a reason (geth, anvil).
_REVERTED = 3


def call_request(to: Address, data: bytes, sender: Address | None) -> dict[str, str]:
    """The first parameter of eth_call."""
    return {"to": to, "data": "0x" + data.hex()} | ({"from": sender} if sender else {})


class StateAfter:
    """The `Calls` of a node, as of one block."""

    def __init__(self, ask: Callable[..., Any], head: Head) -> None:
        self._ask = ask
        self._head = head

    def call(self, to: Address, data: bytes, sender: Address | None = None) -> bytes:
        """Run a call at that block's time; ChainReorganised once it is no block of the chain.

        ChainUnavailable where the node does not answer, as when it has the state no more.
        """
        block = {"blockHash": "0x" + self._head.hash.hex(), "requireCanonical": True}
        try:
            return bytes_of(self._ask("eth_call", call_request(to, data, sender), block))
        except NodeRefused as e:
            if e.data is not None or e.code == _REVERTED:
                raise Reverted(e.data or b"") from e
            raise self._explained(e) from e

    def _explained(self, refused: NodeRefused) -> ChainReorganised | ChainUnavailable:
        number = self._head.number
        found = self._ask("eth_getBlockByNumber", hex(number), False)
        if not found or bytes_of(found["hash"]) != self._head.hash:
            return ChainReorganised(
                f"block {number} was replaced while its state was read",
                hint="run it again; a chain whose newest blocks change all the time has to settle first",
            )
        return ChainUnavailable(f"the node does not answer as of block {number}: {refused}")
