"""The fee market as a client sees it, and the recount that believes none of it."""

from collections.abc import Iterator

from incentives.backlog import DelayCosts
from incentives.ledger import Rules
from incentives.market_events import MarketEvent
from incentives.recount import Recount
from registry.core.ids import to_address
from registry.errors import Malformed
from registry.sdk.session import Session
from registry.wire import QuoteBody, parse_body
from registry.wire_fees import EpochBody, EpochDetail, EpochParams, MenuBody, MinerBody

CLASSES = {"standard": 0, "priority": 1}


class Fees:
    """Prices, epochs and miners."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def menu(self) -> MenuBody:
        """The prices in force, wei per byte."""
        return parse_body(MenuBody, self._session.http.get("/v1/fees/menu"))

    def quote(self, size: int, fee: str = "standard") -> QuoteBody:
        """What sealing so many bytes costs now, and how long it would wait."""
        if fee not in CLASSES:
            raise Malformed(f"the fee class is {fee!r}, not standard or priority")
        body = {"size": size, "fee_class": CLASSES[fee]}
        return parse_body(QuoteBody, self._session.http.post("/v1/fees/quote", body))

    def epochs(self) -> Iterator[EpochBody]:
        """Closed epochs, oldest first; a run of idle ones is one item."""
        for item in self._session.http.items("/v1/fees/epochs"):
            yield parse_body(EpochBody, item)

    def epoch(self, number: int) -> EpochDetail:
        """One epoch with every event that it follows from."""
        return parse_body(EpochDetail, self._session.http.get(f"/v1/fees/epochs/{number}"))

    def recompute(self) -> Recount:
        """Every epoch once more from the events this gateway tells; `differences` is empty when all agree.

        It shows a gateway that contradicts itself or miscounts. `twinledger fees recompute` reads the chain.
        """
        details = [self.epoch(epoch.first) for epoch in self.epochs()]
        number = details[-1].last + 1 if details else 0
        details.append(self.epoch(number))
        recount = recount_of(details[0].params)
        for detail in details:
            recount.take_all(_events(detail))
        return recount

    def miners(self) -> list[MinerBody]:
        """Every miner: sealed, stored, audited, earned, held."""
        return [parse_body(MinerBody, item) for item in self._session.http.items("/v1/miners")]

    def miner(self, address: str) -> MinerBody:
        """One miner."""
        return parse_body(MinerBody, self._session.http.get(f"/v1/miners/{to_address(address)}"))


def recount_of(params: EpochParams) -> Recount:
    """A recount from the first event on, for a market with these constructor values."""
    rules = Rules(
        DelayCosts(high=params.g_h, low=params.g_l, run_cap=params.run_cap),
        eps=params.eps,
        eta=params.eta,
        tau0=(params.tau0_h, params.tau0_l),
    )
    return Recount(rules, slots_per_epoch=params.slots_per_epoch)


def _events(detail: EpochDetail) -> Iterator[MarketEvent]:
    for event in detail.events:
        yield MarketEvent(f"{event.block}:{event.log_index}", event.contract, event.name, event.args)
