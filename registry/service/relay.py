"""Ordinary transactions of members: read, checked against the chain, handed in.

The contract decides; the check here only spares the caller a transaction that cannot succeed.
"""

import time
from collections.abc import Callable, Collection

from registry.chain.base import Reverted
from registry.chain.gateway import Contracts
from registry.chain.reverts import decode_revert
from registry.core.ids import Address
from registry.core.transaction import Transaction, read_transaction
from registry.errors import Malformed, NotAuthorized
from registry.service.acts import Check

_PATIENCE_S = 5.0
CONTRACTS = ("Consortium", "TwinRegistry", "StorageMarket", "RewardPool", "AuditAnchor")
# Coin sent to an address, with no call: how a new member comes by what its first transactions cost.
PAYMENT = "anyone as a plain payment"


class Relay:
    """Relays what members signed."""

    def __init__(self, contracts: Contracts, projected: Callable[[int, float], bool]) -> None:
        self._contracts = contracts
        self._projected = projected
        self._names = {contracts.address(name): name for name in contracts.deployment.names}

    def send(self, raw: bytes, *, to: Collection[str] = CONTRACTS, check: Check | None = None) -> bytes:
        """Hand in a transaction to one of our contracts, or a plain payment; answers its hash.

        Malformed for another chain, NotAuthorized for another contract, else the contract's own refusal.
        `check` is asked about calls of the TwinRegistry; what the council proposes it judges itself.
        """
        transaction, sender = read_transaction(raw)
        chain_id = self._contracts.link.chain_id
        if transaction.chain_id != chain_id:
            raise Malformed(
                f"the transaction is for chain {transaction.chain_id}, this is chain {chain_id}",
                hint="take the chain id from `GET /v1/deployment`",
            )
        name = self._addressee(transaction)
        if name not in to:
            raise NotAuthorized(
                f"this route relays transactions to {', '.join(to)}, not to {transaction.to}",
                hint="take the contract's address from `GET /v1/deployment`",
            )
        if check is not None and name == "TwinRegistry":
            check(transaction.payload)
        self._try(transaction, sender)
        tx_hash = self._contracts.link.send(raw)
        self._settle(tx_hash)
        return tx_hash

    def _addressee(self, transaction: Transaction) -> str | None:
        if transaction.to in self._names:
            return self._names[transaction.to]
        return PAYMENT if transaction.value and not transaction.payload else None

    def _settle(self, tx_hash: bytes) -> None:
        """Wait a moment for the block, so that who acts next sees it; a refusal is told at once."""
        link = self._contracts.link
        until = time.monotonic() + _PATIENCE_S
        while (left := until - time.monotonic()) > 0:
            head = link.head()
            receipt = link.receipt(tx_hash)
            if receipt is None:
                link.wait_head(head.number, min(left, 1.0))
                continue
            if not receipt.succeeded:
                raise decode_revert(link.failure(tx_hash))
            self._projected(receipt.block_number, left)
            return

    def _try(self, transaction: Transaction, sender: Address) -> None:
        link = self._contracts.link
        if transaction.nonce != link.nonce(sender) or transaction.value:
            # A later or a repeated transaction cannot be tried on the present state.
            return
        try:
            link.call(transaction.to, transaction.payload, sender)
        except Reverted as e:
            raise decode_revert(e.data) from e
