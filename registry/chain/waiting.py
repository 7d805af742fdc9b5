"""The transactions that wait for the embedded chain's next block; they die with the process, by design.

The pool keeps what must survive (a signed submission is sealed again after a restart), so this list needs
no disk.
"""

from collections import OrderedDict
from collections.abc import Iterable

from eth.abc import SignedTransactionAPI

from registry.errors import ChainUnavailable, Conflict, FeeTooLow

MOST_WAITING = 10_000


class Waiting:
    """Accepted transactions in order of arrival, each executable after those before it. Not thread-safe."""

    def __init__(self) -> None:
        self._by_hash: OrderedDict[bytes, SignedTransactionAPI] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_hash)

    def __contains__(self, tx_hash: bytes) -> bool:
        return tx_hash in self._by_hash

    def in_order(self) -> tuple[SignedTransactionAPI, ...]:
        """All of them, oldest first."""
        return tuple(self._by_hash.values())

    def next_nonce(self, sender: bytes, mined_nonce: int) -> int:
        """The nonce that the sender's next transaction must have."""
        return mined_nonce + sum(1 for t in self._by_hash.values() if t.sender == sender)

    def add(self, tx_hash: bytes, transaction: SignedTransactionAPI, mined_nonce: int, balance: int) -> None:
        """Take a transaction that no earlier one can make impossible; otherwise say which rule refuses it."""
        if len(self) >= MOST_WAITING:
            raise ChainUnavailable(f"{MOST_WAITING} transactions wait for a block already")
        sender = transaction.sender
        expected = self.next_nonce(sender, mined_nonce)
        if transaction.nonce != expected:
            raise Conflict(
                f"0x{sender.hex()} is at nonce {expected}, the transaction has {transaction.nonce}",
                hint="sign it again with the nonce of `twinledger account show`",
                expected=expected,
            )
        reserved = sum(_cost(t) for t in self._by_hash.values() if t.sender == sender)
        if balance < reserved + _cost(transaction):
            raise FeeTooLow(
                f"0x{sender.hex()} holds {balance} wei, the transaction and those before it"
                f" need {reserved + _cost(transaction)}",
                hint="take coin out of its escrow with `twinledger account withdraw`, or send it some",
            )
        self._by_hash[tx_hash] = transaction

    def forget(self, tx_hashes: Iterable[bytes]) -> None:
        """Drop what was mined or refused."""
        for tx_hash in tx_hashes:
            self._by_hash.pop(tx_hash, None)


def _cost(transaction: SignedTransactionAPI) -> int:
    return int(transaction.value + transaction.gas * transaction.max_fee_per_gas)
