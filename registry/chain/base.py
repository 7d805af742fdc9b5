"""What every chain backend promises, and the few records that cross that seam.

A `ChainLink` is a view of one Ethereum-like chain. It never holds keys: transactions arrive signed. Every
backend must satisfy tests/conformance/test_chain_link.py:

- a block number that exists keeps its hash for ever, unless the chain reorganises;
- `send` of the same raw transaction is idempotent, also after it was mined;
- what was acknowledged by a receipt survives `kill -9` of this process;
- a transaction that reverts is mined, its receipt says so and `failure` gives the revert data;
- a backend that does not answer is ChainUnavailable; a transaction no block can take is Rejected at `send`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.core.ids import Address


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block."""

    number: int
    hash: bytes
    parent_hash: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Block:
    """A block's identity; `header_rlp` is empty where the header cannot be encoded back to its hash."""

    number: int
    hash: bytes
    parent_hash: bytes
    time: int
    header_rlp: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """One event as the chain keeps it; `index` counts within the block."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    tx_index: int
    index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a mined transaction."""

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    tx_index: int
    succeeded: bool
    gas_used: int
    logs: tuple[Log, ...]
    contract_address: Address | None


@dataclass(frozen=True, slots=True)
class ReceiptProof:
    """The header and the trie nodes that prove one receipt to whoever trusts the block hash."""

    header: bytes
    tx_index: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """How a transaction must pay: legacy where `tip` is None, else EIP-1559 with `gas_price` as the cap."""

    gas_price: int
    tip: int | None


class Reverted(Exception):  # a refusal by the contract's rules, not a fault of the chain
    """A call was refused by the contract; `encoding.decode_revert(data)` says which rule refused it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"the call reverted with 0x{data.hex()}")
        self.data = data


class Calls(Protocol):
    """What contracts answer on one state."""

    def call(self, to: Address, data: bytes, sender: Address | None = None) -> bytes:
        """Run a call; Reverted carries the reason of a refusal."""


class ChainReads(Calls, Protocol):
    """The part of a chain that a check needs: what is on it, and nothing that changes it.

    `call` runs on the newest state, at the pending block's time.
    """

    @property
    def chain_id(self) -> int: ...

    @property
    def genesis_hash(self) -> bytes: ...

    def head(self) -> Head: ...

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        """Every log of these contracts in blocks first to last, both included, in chain order."""

    def code(self, address: Address) -> bytes: ...

    def close(self) -> None: ...


class ChainHistory(ChainReads, Protocol):
    """What a recount needs besides: the events up to a block and the state after it agree with each other."""

    def after(self, head: Head) -> Calls:
        """Calls on the state after a block that was the head a moment ago, whatever came since."""


class ChainLink(ChainReads, Protocol):
    """One chain, as this process sees it. Safe to use from several threads."""

    @property
    def confirmations(self) -> int:
        """How many blocks must follow before a block counts as final."""

    @property
    def most_lag(self) -> int:
        """How many blocks apart two answers may be: 0 where one node answers them all."""

    def block(self, number: int) -> Block:
        """The block of that number; NotFound beyond the head."""

    def pending_time(self) -> int:
        """The earliest time the next block can have: what a call sees as `block.timestamp`."""

    def time_after(self, head: Head) -> int:
        """The pending time, for who has just asked for the head."""

    def send(self, raw: bytes) -> bytes:
        """Hand in a signed transaction and answer with its hash at once; mining happens on its own."""

    def receipt(self, tx_hash: bytes) -> Receipt | None:
        """The receipt of a mined transaction, None as long as it is not mined."""

    def failure(self, tx_hash: bytes) -> bytes:
        """The revert data of a mined transaction that did not succeed (empty: out of gas and the like)."""

    def nonce(self, address: Address) -> int:
        """The next nonce, with the transactions counted that wait to be mined."""

    def mined_nonce(self, address: Address) -> int:
        """How many transactions of the address are mined: a lower nonce can never be mined again."""

    def balance(self, address: Address) -> int: ...

    def fee_policy(self) -> FeePolicy: ...

    def estimate_gas(self, sender: Address, to: Address | None, data: bytes, value: int = 0) -> int:
        """A gas limit that carries this transaction on the present state; Reverted when it cannot succeed."""

    def receipt_proof(self, tx_hash: bytes) -> ReceiptProof | None:
        """The proof of a mined transaction's receipt; None where headers cannot be re-encoded."""

    def wait_head(self, after_number: int, timeout_s: float) -> Head:
        """The newest head, as soon as its number is above `after_number` or the time is up."""
