"""Miners: what each sealed, stores, was audited on, earned and still has to wait for."""

from collections import defaultdict
from dataclasses import dataclass, field

from registry.chain.gateway import Contracts
from registry.core.ids import Address, to_address
from registry.errors import NotFound
from registry.index import Index
from registry.index.epochs import EpochHistory, Happening

_FAILED, _ABSENT, _ANSWERED = 1, 2, 3


@dataclass(slots=True)
class MinerView:
    """One miner; money in wei. `held` is earned and neither collected nor forfeited."""

    address: Address
    price: int = 0
    is_enrolled: bool = False
    sealed: int = 0
    sealed_bytes: int = 0
    stored_bytes: int = 0
    audited: int = 0
    failed: int = 0
    absent: int = 0
    earned: int = 0
    collected: int = 0
    forfeited: int = 0
    bond: int = 0

    @property
    def held(self) -> int:
        """Credits that wait for the end of their audit, or to be collected."""
        return self.earned - self.collected - self.forfeited


@dataclass(frozen=True, slots=True)
class _Roster:
    first: int
    prices: dict[str, int]


@dataclass(slots=True)
class _Book:
    """Miners by address, made when first named."""

    views: dict[str, MinerView] = field(default_factory=dict)

    def of(self, address: str) -> MinerView:
        return self.views.setdefault(address, MinerView(to_address(address)))


class Miners:
    """Adds up the market's history by miner."""

    def __init__(self, contracts: Contracts, index: Index) -> None:
        self._contracts = contracts
        self._history = EpochHistory(index.engine)

    def all(self) -> list[MinerView]:
        """Every address that ever was on a roster, by address."""
        book = _Book()
        rosters = self._rosters()
        self._add_work(book, rosters)
        for event in self._history.named("CreditCollected", "CreditForfeited", "Bonded", "Unbonded"):
            _add_money(book.of(event.args["miner"]), event)
        for event in self._history.named("Penalised"):
            book.of(event.args["miner"]).bond -= int(event.args["fromBond"])
        self._add_audits(book, rosters)
        for address, price in rosters[-1].prices.items() if rosters else ():
            book.of(address).price, book.of(address).is_enrolled = price, True
        return [book.views[address] for address in sorted(book.views)]

    def show(self, address: Address) -> MinerView:
        """One miner; NotFound for an address that never mined."""
        for view in self.all():
            if view.address == address:
                return view
        raise NotFound(f"{address} is no miner", hint="list them: twinledger miner list")

    def _add_work(self, book: _Book, rosters: list[_Roster]) -> None:
        eps = self._contracts.params().eps
        kept = int(self._contracts.read("StorageMarket", "retentionEpochs"))
        oldest = self._history.open_epoch() - kept
        sealed_in: dict[int, int] = defaultdict(int)
        for batch in self._history.sealed():
            view = book.of(batch.miner)
            view.sealed += batch.items
            view.sealed_bytes += batch.bytes_h + batch.bytes_l
            view.earned += eps * batch.bytes_h
            sealed_in[batch.epoch] += batch.bytes_h + batch.bytes_l
        for epoch, size in sealed_in.items():
            for address, price in _in_force(rosters, epoch).items():
                book.of(address).earned += price * size
                book.of(address).stored_bytes += size if epoch >= oldest else 0

    def _add_audits(self, book: _Book, rosters: list[_Roster]) -> None:
        for event in self._history.named("BeaconDrawn"):
            for address in _in_force(rosters, int(event.args["epoch"])):
                book.of(address).audited += 1
        for event in self._history.named("VerdictReached"):
            view, verdict = book.of(event.args["miner"]), int(event.args["verdict"])
            view.failed += verdict == _FAILED
            view.absent += (verdict == _ABSENT) - (verdict == _ANSWERED)

    def _rosters(self) -> list[_Roster]:
        found = []
        for event in self._history.named("RosterChanged"):
            prices = [int(price) for price in event.args["prices"]]
            found.append(
                _Roster(int(event.args["epoch"]), dict(zip(event.args["miners"], prices, strict=True)))
            )
        return found


def _in_force(rosters: list[_Roster], epoch: int) -> dict[str, int]:
    known = [roster for roster in rosters if roster.first <= epoch]
    return known[-1].prices if known else {}


def _add_money(view: MinerView, event: Happening) -> None:
    amount = int(event.args["amount"])
    if event.name == "CreditCollected":
        view.collected += amount
    elif event.name == "CreditForfeited":
        view.forfeited += amount
    else:
        view.bond += amount if event.name == "Bonded" else -amount
