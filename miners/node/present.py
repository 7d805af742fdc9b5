"""What the chain says now, each thing asked once per block: a step of a miner needs most of it repeatedly."""

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from registry.chain.base import Head
from registry.chain.gateway import Account, Contracts, Menu, OpenEpoch, Rebate
from registry.core.ids import Address

_T = TypeVar("_T")


class Present:
    """The newest block when it was last looked at, and the contracts' answers since then."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._answers: dict[object, object] = {}
        self.head = contracts.link.head()

    def look(self) -> Head:
        """The newest block; what was answered before it came is forgotten."""
        head = self._contracts.link.head()
        if head.hash != self.head.hash:
            self._answers.clear()
        self.head = head
        return head

    def menu(self) -> Menu:
        """The prices of the open epoch."""
        return self._once("menu", self._contracts.menu)

    def miners(self) -> Sequence[Address]:
        """The miners of the open epoch in turn order."""
        return self._once("miners", lambda: [miner for miner, _price in self._contracts.roster()])

    def open_epoch(self) -> OpenEpoch:
        """Where closing stands."""
        return self._once("open_epoch", self._contracts.open_epoch)

    def rebate(self) -> Rebate:
        """Where paying rebates stands."""
        return self._once("rebate", self._contracts.rebate)

    def account(self, address: Address) -> Account:
        """Escrow and membership of an address."""
        return self._once(address, lambda: self._contracts.account(address))

    def _once(self, question: object, ask: Callable[[], _T]) -> _T:
        # Asked about the newest state: of an answer that is younger than the head, the next look hears.
        if question not in self._answers:
            self._answers[question] = ask()
        return cast("_T", self._answers[question])
