"""JSON-RPC through a web3.py provider to each of several nodes of one chain: the first that can answer does.

Each node is asked for its chain id and genesis before it is trusted, and again after every failure, because
what answers at an address after a restart may be another chain. A node that fell behind the newest head
seen is passed over. No node is asked twice: a second try goes to the next node instead.

Results stay the plain JSON that nodes send. web3's block formatter would refuse the long extraData of
proof-of-authority chains (its middleware for them is not needed here), and headers are encoded back from
that JSON.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from urllib3.exceptions import HTTPError
from web3.exceptions import Web3Exception

from registry.chain.rpc_provider import KeptProvider
from registry.errors import ChainUnavailable

MOST_BEHIND = 8
_TRANSPORT = (HTTPError, Web3Exception, OSError, ValueError)


class NodeRefused(Exception):  # the node answered: it is no fault of the connection
    """A JSON-RPC error object; `data` is the revert data, however the node wraps it."""

    def __init__(self, code: int, message: str, data: bytes | None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code = code
        self.data = data


class _Unfit(Exception):  # caught below, where the next node is tried
    """The node answers, and must not be used now."""


class _Node:
    def __init__(self, url: str, timeout_s: float) -> None:
        self.url = url
        self.is_checked = False
        self._provider = KeptProvider(url, timeout_s)

    def close(self) -> None:
        self._provider.close()

    def ask(self, method: str, parameters: Sequence[object]) -> Any:
        response = self._provider.make_request(method, parameters)
        error = response.get("error")
        if error is None:
            return response.get("result")
        if not isinstance(error, dict):
            raise NodeRefused(0, str(error), None)
        message, code = str(error.get("message", "")), int(error.get("code", 0))
        raise NodeRefused(code, message, _revert_data(error.get("data")))


class Nodes:
    """The nodes of one chain, in order of preference; safe to use from several threads."""

    def __init__(
        self, urls: Sequence[str], *, chain_id: int | None, genesis_hash: bytes | None, timeout_s: float
    ) -> None:
        if not urls:
            raise ChainUnavailable("no node is configured", hint="set the chain's `urls`")
        self._nodes = [_Node(url, timeout_s) for url in urls]
        self._chain_id = chain_id
        self._genesis_hash = genesis_hash
        self._best_head = 0
        self._lock = threading.Lock()

    @property
    def chain_id(self) -> int:
        """The configured chain id, else the first node's."""
        if self._chain_id is None:
            self.ask("eth_chainId")
        assert self._chain_id is not None
        return self._chain_id

    @property
    def genesis_hash(self) -> bytes:
        """The configured genesis, else the first node's."""
        if self._genesis_hash is None:
            self.ask("eth_chainId")
        assert self._genesis_hash is not None
        return self._genesis_hash

    def ask(self, method: str, *parameters: object) -> Any:
        """The first fit node's answer; NodeRefused when it says no, ChainUnavailable when none answers."""
        return self._first(lambda node: node.ask(method, parameters))

    def newest_block(self) -> Any:
        """The newest block's JSON, from a node that is not behind."""
        return self._first(self._newest)

    @property
    def best_head(self) -> int:
        """The highest block that any node has told of."""
        return self._best_head

    def close(self) -> None:
        """Close the connections."""
        for node in self._nodes:
            node.close()

    def _first(self, question: Callable[[_Node], Any]) -> Any:
        complaints = []
        for node in self._nodes:
            try:
                if not node.is_checked:
                    self._check(node)
                return question(node)
            except _Unfit as e:
                complaints.append(f"{node.url} {e}")
            except _TRANSPORT as e:
                complaints.append(f"{node.url} does not answer: {type(e).__name__}")
            node.is_checked = False
        raise ChainUnavailable("no node of the chain can be used: " + "; ".join(complaints))

    def _check(self, node: _Node) -> None:
        chain_id = int(node.ask("eth_chainId", ()), 16)
        genesis = bytes.fromhex(node.ask("eth_getBlockByNumber", ("0x0", False))["hash"][2:])
        with self._lock:
            if self._chain_id not in (None, chain_id):
                raise _Unfit(f"is on chain {chain_id}, not {self._chain_id}")
            if self._genesis_hash not in (None, genesis):
                raise _Unfit(f"has another genesis: 0x{genesis.hex()}")
            self._chain_id, self._genesis_hash = chain_id, genesis
        self._newest(node)
        node.is_checked = True

    def _newest(self, node: _Node) -> Any:
        block = node.ask("eth_getBlockByNumber", ("latest", False))
        number = int(block["number"], 16)
        with self._lock:
            if number < self._best_head - MOST_BEHIND:
                raise _Unfit(f"is at block {number}, {self._best_head - number} behind")
            self._best_head = max(self._best_head, number)
        return block


def _revert_data(given: object) -> bytes | None:
    # Nodes send the data bare, with a word before it, or wrapped once more; messages are never looked at.
    if isinstance(given, dict):
        given = given.get("data", given.get("result"))
    if not isinstance(given, str) or "0x" not in given:
        return None
    try:
        return bytes.fromhex(given[given.index("0x") + 2 :])
    except ValueError:
        return None
