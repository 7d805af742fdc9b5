"""A member's own account: escrow and the transactions that move it."""

from collections.abc import Iterator

from registry.core.ids import to_address
from registry.errors import Malformed
from registry.sdk.session import Session
from registry.wire import parse_body
from registry.wire_fees import EntryBody
from registry.wire_members import AccountBody


class Account:
    """Escrow of the client's own address, in wei."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def show(self, address: str | None = None) -> AccountBody:
        """Balance, reservation, roles and namespace, of oneself or of another address."""
        return self._session.account(None if address is None else to_address(address))

    def statement(self, address: str | None = None) -> Iterator[EntryBody]:
        """Every debit and credit, oldest first, each with its reason and the balance after it."""
        whose = self._session.signer().address if address is None else to_address(address)
        for item in self._session.http.items(f"/v1/accounts/{whose}/statement"):
            yield parse_body(EntryBody, item)

    def deposit(self, wei: int) -> str:
        """Move coin into one's escrow; answers the transaction's hash."""
        address = self._session.signer().address
        return self._session.transact("/v1/transactions", "TwinRegistry", "deposit", [address], value=wei)

    def withdraw(self, wei: int) -> str:
        """Take escrow back."""
        if not 0 <= wei < 1 << 128:
            raise Malformed(f"{wei} wei cannot be in escrow", hint="twinledger account show says what is")
        return self._session.transact("/v1/transactions", "TwinRegistry", "withdraw", [wei])
