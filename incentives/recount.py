"""Every epoch once more, from the chain's events alone: the reference ledger says what they should have said.

An event is input (a deposit, a sealed item, a post, an enrolment) or the contract's own result (a menu, a
close, a rebate, a credit) or both. Inputs move the ledger; results are compared with it to the wei. What
differs is kept, with its place on chain; when the inputs contradict themselves the recount ends there.

The tests run whole histories of the real contracts through it, and histories in which one number was changed.
"""

from collections.abc import Callable, Iterable

from incentives.backlog import Pending, lower_median
from incentives.ledger import Ledger, Rules
from incentives.market_events import FOREVER, Difference, Line, MarketEvent, Recounted, Standing
from registry.errors import RegistryError

__all__ = ["Difference", "MarketEvent", "Recount", "Recounted"]
_SUBMITTER = 1
_PRIORITY = 1


class Recount:
    """Follows one deployment's events in chain order."""

    def __init__(self, rules: Rules, *, slots_per_epoch: int) -> None:
        self.ledger = Ledger(rules, prices={}, accounts=[])
        self.epochs: list[Recounted] = []
        self.differences: list[Difference] = []
        self.is_broken = False
        self._slots = slots_per_epoch
        self._prices: dict[str, int] = {}
        self._members = Standing()
        self._items: list[MarketEvent] = []
        self._credits: dict[tuple[str, int], int] = {}
        self._steps: dict[str, Callable[[MarketEvent], None]] = {
            "Deposited": self._deposited,
            "Withdrawn": self._withdrawn,
            "AccountChanged": self._account_changed,
            "Enrolled": self._enrolled,
            "Left": self._left,
            "PriceSet": self._price_set,
            "MinerRetired": self._retired,
            "MenuSet": self._menu_set,
            "Registered": self._items.append,
            "BatchSealed": self._sealed,
            "BacklogPosted": self._posted,
            "EpochClosed": self._closed,
            "IdleEpochsClosed": self._idle_closed,
            "RebatePaid": self._rebate_paid,
            "RebatesCompleted": self._rebates_completed,
            "CreditCollected": self._credit_taken,
            "CreditForfeited": self._forfeited,
            "CarryAdded": self._carry_added,
        }

    def take_all(self, events: Iterable[MarketEvent]) -> None:
        """Follow events in chain order, up to the first that the ledger cannot follow."""
        for event in events:
            if self.is_broken:
                return
            self.take(event)

    def take(self, event: MarketEvent) -> None:
        """Follow one event; those that move no money and set no price are passed over."""
        step = self._steps.get(event.name)
        if step is None or event.contract not in ("TwinRegistry", "StorageMarket"):
            return
        try:
            step(event)
        except (RegistryError, AssertionError, KeyError, ValueError, TypeError) as e:
            self.is_broken = True
            self._differ(event, "the ledger refuses it", str(dict(event.args)), str(e) or type(e).__name__)

    def balance(self, account: str) -> int:
        """Escrow of an account: what the ledger gave it, less the credits it has not collected."""
        held = sum(wei for (miner, _epoch), wei in self._credits.items() if miner == account)
        return self.ledger.balances.get(account, 0) - held

    # ------------------------------------------------------------------ money in and out

    def _deposited(self, event: MarketEvent) -> None:
        self.ledger.deposit(event.text("account"), event.number("amount"))

    def _withdrawn(self, event: MarketEvent) -> None:
        self.ledger.withdraw(event.text("account"), event.number("amount"))

    def _credit_taken(self, event: MarketEvent) -> None:
        place = (event.text("miner"), event.number("epoch"))
        self._compare(event, f"credit of {place[0]}", event.number("amount"), self._credits.pop(place, 0))

    def _forfeited(self, event: MarketEvent) -> None:
        self._credit_taken(event)
        self.ledger.penalise(event.text("miner"), event.number("amount"))

    def _carry_added(self, event: MarketEvent) -> None:
        # A slashed bond comes from outside the market: it enters and goes to the carry in one step.
        self.ledger.deposit("bonds", event.number("amount"))
        self.ledger.penalise("bonds", event.number("amount"))

    # ------------------------------------------------------------------ who takes part

    def _account_changed(self, event: MarketEvent) -> None:
        account, namespace = event.text("account"), event.number("namespaceId")
        is_submitter = bool(event.number("roles") & _SUBMITTER)
        self._members.namespace[account] = namespace
        index = self._members.representative.get(namespace, 0) if is_submitter else 0
        self._members.enrolment[account] = index

    def _enrolled(self, event: MarketEvent) -> None:
        account, index = event.text("account"), event.number("index")
        self.ledger.enrol(account)
        first = self.ledger.roll.lines[-1].first
        self._compare(event, f"first epoch of {account}", event.number("first"), first)
        self._members.lines[index] = Line(account, first, FOREVER)
        self._members.representative[event.number("namespaceId")] = index

    def _left(self, event: MarketEvent) -> None:
        index = event.number("index")
        self.ledger.retire(event.text("account"))
        line = self._members.lines[index]
        # One that was never active in an epoch with a seal is as if it had not been enrolled.
        was_active = self.ledger.has_begun and line.first <= self.ledger.epoch
        line.last = event.number("last") if was_active else -1
        for namespace, standing in list(self._members.representative.items()):
            if standing == index:
                self._members.representative[namespace] = 0

    def _price_set(self, event: MarketEvent) -> None:
        self._prices[event.text("miner")] = event.number("price")
        self.ledger.set_prices(self._prices)

    def _retired(self, event: MarketEvent) -> None:
        del self._prices[event.text("miner")]
        self.ledger.set_prices(self._prices)

    # ------------------------------------------------------------------ sealing

    def _sealed(self, event: MarketEvent) -> None:
        epoch, miner = event.number("epoch"), event.text("miner")
        self._compare(event, "open epoch", epoch, self.ledger.epoch)
        slot = event.number("slot") - epoch * self._slots
        self.ledger.begin(slot)
        items, self._items[:] = list(self._items), []
        for item in items:
            self._include(item, slot, miner)
        sums = [sum(i.number(name) for i in items) for name in ("fee", "tax")]
        for name, total in zip(("fee", "tax"), sums, strict=True):
            self._compare(event, f"{name} of the batch", event.number(name), total)

    def _include(self, item: MarketEvent, slot: int, sealer: str) -> None:
        high, size = item.number("feeClass") == _PRIORITY, item.number("size")
        payer, menu = item.text("submitter"), self.ledger.menu
        rho, tax = (menu.rho_high, menu.tax_high) if high else (menu.rho_low, menu.tax_low)
        epoch = self.ledger.epoch
        taxpayer = self._members.taxpayer(payer, epoch) if tax * size else None
        self.ledger.include(payer, size, high=high, slot=slot, sealer=sealer, taxpayer=taxpayer)
        self._compare(item, "fee of an item", item.number("fee"), rho * size)
        self._compare(item, "tax of an item", item.number("tax"), tax * size)
        for miner, price in self.ledger.prices.items():
            margin = (rho - menu.rho_low) * size if miner == sealer else 0
            place = (miner, epoch)
            self._credits[place] = self._credits.get(place, 0) + price * size + margin

    # ------------------------------------------------------------------ epochs

    def _posted(self, event: MarketEvent) -> None:
        high, every = event.number("bitmapH"), event.number("bitmapAny")
        pending = [Pending(bool(high >> k & 1), bool(every >> k & 1)) for k in range(self._slots)]
        self.ledger.post(event.text("miner"), pending)

    def _closed(self, event: MarketEvent) -> None:
        epoch, miners = self.ledger.epoch, list(self.ledger.prices)
        self.ledger.close()
        views = [self.ledger.estimates.get(miner) for miner in miners] if epoch else []
        rebate = self.ledger.rebate
        # Where fewer than two share there was no tax, and no rebate is begun.
        taxes = (0, 0, self.ledger.carry) if rebate is None else (rebate.inside, rebate.outside, rebate.carry)
        accounts = self.ledger.roll.active(epoch)
        found = {
            "epoch": epoch,
            "estH": lower_median([v.high if v else 0 for v in views]) if views else 0,
            "estL": lower_median([v.low if v else 0 for v in views]) if views else 0,
            "tauH": self.ledger.tau[0],
            "tauL": self.ledger.tau[1],
            **dict(zip(("taxes", "outside", "carry"), taxes, strict=True)),
            "accounts": accounts,
        }
        for name, value in found.items():
            self._compare(event, f"{name} of epoch {epoch}", event.number(name), value)
        self._note(epoch, epoch, is_idle=False, taxes=taxes[0] + taxes[1], accounts=accounts)

    def _idle_closed(self, event: MarketEvent) -> None:
        first, last = event.number("first"), event.number("last")
        self._compare(event, "first idle epoch", first, self.ledger.epoch)
        self.ledger.close_idle(last - first + 1)
        for name, value in zip(("tauH", "tauL"), self.ledger.tau, strict=True):
            self._compare(event, f"{name} after epoch {last}", event.number(name), value)
        self._note(first, last, is_idle=True, taxes=0, accounts=self.ledger.roll.active(last))

    def _note(self, first: int, last: int, *, is_idle: bool, taxes: int, accounts: int) -> None:
        high, low = self.ledger.tau
        self.epochs.append(Recounted(first, last, is_idle, high, low, taxes, self.ledger.carry, accounts))

    def _menu_set(self, event: MarketEvent) -> None:
        menu = self.ledger.menu
        self._compare(event, "epoch of the menu", event.number("epoch"), self.ledger.epoch)
        stated = {"rhoH": menu.rho_high, "rhoL": menu.rho_low, "taxH": menu.tax_high, "taxL": menu.tax_low}
        for name, value in stated.items():
            self._compare(event, f"{name} of the menu", event.number(name), value)

    def _rebate_paid(self, event: MarketEvent) -> None:
        account, before = event.text("account"), self.ledger.balances.get(event.text("account"), 0)
        # Lines that share nothing make no event: pay on until this account was paid.
        while self.ledger.balances.get(account, 0) == before and not self.ledger.pay_rebates(1):
            pass
        paid = self.ledger.balances.get(account, 0) - before
        self._compare(event, f"rebate of {account}", event.number("amount"), paid)

    def _rebates_completed(self, event: MarketEvent) -> None:
        self.ledger.pay_rebates(len(self.ledger.roll.lines))
        self._compare(event, "carry after the rebates", event.number("carry"), self.ledger.carry)

    # ------------------------------------------------------------------ what differs

    def _compare(self, event: MarketEvent, what: str, stated: int, recomputed: int) -> None:
        if stated != recomputed:
            self._differ(event, what, str(stated), str(recomputed))

    def _differ(self, event: MarketEvent, what: str, stated: str, recomputed: str) -> None:
        self.differences.append(Difference(self.ledger.epoch, event.place, what, stated, recomputed))
