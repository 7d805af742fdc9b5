"""The other payees: offers and awarded services, as the contract has them."""

from collections.abc import Sequence

from registry.chain.gateway import Contracts
from registry.chain.rewards import RewardReads
from registry.core.ids import hex32
from registry.index.tasks import TaskIndex
from registry.wire_tasks import KINDS, EpochBody, OfferBody, ServiceBody, ServicesBody

_SERVICE, _OFFER = "service:", "offer:"


class Services:
    """Reads offers and services."""

    def __init__(self, contracts: Contracts, index: TaskIndex) -> None:
        self._reads = RewardReads(contracts)
        self._index = index

    def names(self) -> list[str]:
        """Every service and then every offer, in the order in which lists give them."""
        services = [f"{_SERVICE}{number}" for number in self._index.services()]
        return services + [f"{_OFFER}{number}" for number in self._index.offers()]

    def named(self, names: Sequence[str], following: str | None) -> ServicesBody:
        """One page: what these names stand for, and the name that the next page follows."""
        return ServicesBody(
            items=[self.service(number) for number in _numbers(names, _SERVICE)],
            next=following,
            offers=[self.offer(number) for number in _numbers(names, _OFFER)],
        )

    def offer(self, number: int) -> OfferBody:
        """One offer; NotFound."""
        found = self._reads.offer(number)
        return OfferBody(
            offer=number,
            provider=found.provider,
            kind=KINDS[found.kind],
            standing=found.standing,
            job=hex32(found.job),
            price=str(found.price),
            bond=str(found.bond),
        )

    def service(self, number: int) -> ServiceBody:
        """One service with its epochs; NotFound."""
        found = self._reads.service(number)
        epochs = [
            EpochBody(epoch=epoch, attested=attested, passed=passed, paid=paid)
            for epoch in range(found.epochs)
            for attested, passed, paid in (self._reads.epoch(number, epoch),)
        ]
        return ServiceBody(
            service=number,
            offer=found.offer,
            kind=KINDS[self._reads.offer(found.offer).kind],
            requester=found.requester,
            provider=found.provider,
            attestor=found.attestor,
            epochs=epochs,
            deadline=found.deadline,
            ended=found.ended,
            wage=str(found.wage),
            held=str(found.held),
            bond=str(found.bond),
        )


def _numbers(names: Sequence[str], prefix: str) -> list[int]:
    return [int(name.removeprefix(prefix)) for name in names if name.startswith(prefix)]
