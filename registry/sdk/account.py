"""A member's own account: escrow and the transactions that move it."""

from registry.core.ids import to_address
from registry.sdk.session import Session
from registry.wire import AccountBody


class Account:
    """Escrow of the client's own address, in wei."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def show(self, address: str | None = None) -> AccountBody:
        """Balance, reservation, roles and namespace, of oneself or of another address."""
        return self._session.account(None if address is None else to_address(address))

    def deposit(self, wei: int) -> str:
        """Move coin into one's escrow; answers the transaction's hash."""
        address = self._session.signer().address
        return self._session.transact("/v1/transactions", "TwinRegistry", "deposit", [address], value=wei)

    def withdraw(self, wei: int) -> str:
        """Take escrow back."""
        return self._session.transact("/v1/transactions", "TwinRegistry", "withdraw", [wei])
