"""Accounts: what the chain holds of an address, and what this gateway has reserved of it."""

from dataclasses import dataclass

from registry.chain.base import FeePolicy
from registry.chain.gateway import Contracts
from registry.core.ids import Address, FeeClass, Role
from registry.index import Index
from registry.pool import Pool


@dataclass(frozen=True, slots=True)
class AccountView:
    """Everything a client needs before it signs."""

    address: Address
    nonce: int
    chain_time: int
    fees: FeePolicy
    coin: int
    balance: int
    reserved: int
    namespace: str | None
    namespace_id: int
    roles: Role


@dataclass(frozen=True, slots=True)
class Quote:
    """What sealing `size` bytes costs in a class at the menu in force, in wei."""

    fee_class: FeeClass
    size: int
    rho: int
    tax: int

    @property
    def total(self) -> int:
        """The whole price."""
        return self.size * (self.rho + self.tax)


class Accounts:
    """Escrow, membership and prices."""

    def __init__(self, contracts: Contracts, index: Index, pool: Pool) -> None:
        self._contracts = contracts
        self._index = index
        self._pool = pool

    def show(self, address: Address) -> AccountView:
        """One address as the chain and this gateway see it now."""
        link = self._contracts.link
        account = self._contracts.account(address)
        member = self._index.member(address)
        return AccountView(
            address=address,
            nonce=link.nonce(address),
            chain_time=link.head().time,
            fees=link.fee_policy(),
            coin=link.balance(address),
            balance=account.balance,
            reserved=self._pool.reserved(address),
            namespace=member.namespace if member else None,
            namespace_id=account.namespace_id,
            roles=account.roles,
        )

    def quote(self, size: int, fee_class: FeeClass) -> Quote:
        """The price of so many bytes now."""
        menu = self._contracts.menu()
        return Quote(fee_class, size, menu.rho[fee_class], menu.tax[fee_class])
