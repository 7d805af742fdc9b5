"""The integer reference of the live Fee and Waiting Tax: wei, bytes, slots; no division touches a debit.

One inclusion of b bytes in class k debits b (rho_k + tax_k): each storing miner m gets b c[m], the sealer
b (rho_k - C), the pool b tax_k. A close sets the next taxes from what lay pending; one epoch later the tax
goes back to all enrolled accounts but its payer's share, so nobody's own choice moves his rebate.
The contract must equal this to the wei after every last page [R, protocol.md 2-3].

>>> rules = Rules(DelayCosts(high=40, low=10, run_cap=64), eps=1, eta=2, tau0=(12, 5))
>>> ledger = Ledger(rules, prices={"m0": 7, "m1": 5}, accounts=["ana", "bo"])
>>> ledger.deposit("ana", 10_000)
>>> ledger.include("ana", 100, high=True, slot=0, sealer="m1")
2400
>>> for miner in ("m0", "m1"):
...     ledger.post(miner, [Pending(False, False)])
>>> ledger.close()
>>> ledger.pay_rebates(2)
True
>>> ledger.balances["bo"], ledger.carry
(1100, 0)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from incentives.backlog import DelayCosts, Estimate, Pending, SealedBytes, estimate, lower_median
from incentives.rebates import Enrolment, Rebate, Roll
from registry.errors import Conflict, FeeTooLow, Malformed, NotFound

__all__ = ["DelayCosts", "Enrolment", "Ledger", "Menu", "Pending", "Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """Constructor values: delay costs, the priority step, the EWMA shift and the first taxes (H, L)."""

    delay: DelayCosts
    eps: int
    eta: int
    tau0: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Menu:
    """The prices of one whole epoch, wei per byte."""

    rho_high: int
    rho_low: int
    tax_high: int
    tax_low: int

    def price(self, high: bool) -> int:
        return self.rho_high + self.tax_high if high else self.rho_low + self.tax_low


class Ledger:
    """All money of the market; every public call leaves the invariants of mechanisms.md 2.6 true."""

    def __init__(self, rules: Rules, *, prices: Mapping[str, int], accounts: Iterable[str]) -> None:
        self.rules = rules
        self.epoch = 0  # the one that is open or waits for its close
        self.prices = dict(prices)
        self.roll = Roll([Enrolment(a, 0, None) for a in accounts])
        self.balances: dict[str, int] = {}
        self.pool = self.carry = self.supply = 0
        self.estimates: dict[str, Estimate] = {}  # each present miner's view at the last close
        self._reimbursed: dict[str, int] = {}
        self._numerators = [t << rules.eta for t in rules.tau0]
        self._next_prices: dict[str, int] | None = None
        self._sealed: dict[int, SealedBytes] = {}
        self._sealed_before: dict[int, SealedBytes] = {}
        self._posts: dict[str, tuple[Pending, ...]] = {}
        self._posts_before: dict[str, tuple[Pending, ...]] = {}
        self._tax: dict[str, int] = {}
        self._ever_sealed = False
        self._rebate: Rebate | None = None
        self.menu = self._menu()

    @property
    def tau(self) -> tuple[int, int]:
        """The measured externalities (H, L) in force, wei per byte."""
        high, low = (n >> self.rules.eta for n in self._numerators)
        return high, low

    @property
    def rebate(self) -> Rebate | None:
        """The rebate that is being paid, None when there is none due."""
        return self._rebate

    @property
    def has_begun(self) -> bool:
        """Whether anything was ever sealed: from then on terms change at a close only."""
        return self._ever_sealed

    def begin(self, slot: int) -> None:
        """A batch is sealed in `slot`: even an empty one ends idleness, and the time before all seals."""
        self._ever_sealed = True
        self._sealed.setdefault(slot, SealedBytes(0, 0))

    def deposit(self, account: str, amount: int) -> None:
        """New money enters the market for `account`."""
        if amount < 0:
            raise Malformed(f"a deposit of {amount} wei cannot be", field="amount")
        self.balances[account] = self.balances.get(account, 0) + amount
        self.supply += amount

    def withdraw(self, account: str, amount: int) -> None:
        """Money leaves the market."""
        self._take(account, amount)
        self.supply -= amount

    def include(
        self, payer: str, size: int, *, high: bool, slot: int, sealer: str, taxpayer: str | None = None
    ) -> int:
        """Charge one sealed item and share it out; `taxpayer` is the payer's namespace's enrolled account."""
        if size < 0 or slot < 0:
            raise Malformed(f"an item of {size} bytes in slot {slot} cannot be", field="txs")
        if sealer not in self.prices:
            raise NotFound(f"{sealer} is not an enrolled miner", field="sealer")
        menu = self.menu
        rho, tax = (menu.rho_high, menu.tax_high) if high else (menu.rho_low, menu.tax_low)
        self._take(payer, size * (rho + tax))
        self._ever_sealed = True
        for miner, price in self.prices.items():
            self._give(miner, price * size)
            self._reimbursed[miner] = self._reimbursed.get(miner, 0) + price * size
        self._give(sealer, (rho - menu.rho_low) * size)
        self.pool += tax * size
        owner = taxpayer or payer
        self._tax[owner] = self._tax.get(owner, 0) + tax * size
        before = self._sealed.get(slot, SealedBytes(0, 0))
        self._sealed[slot] = SealedBytes(
            before.high + (size if high else 0), before.low + (0 if high else size)
        )
        return size * (rho + tax)

    def post(self, miner: str, pending: Sequence[Pending]) -> None:
        """Keep one miner's view of the open epoch's slots; the first post counts."""
        if miner not in self.prices:
            raise NotFound(f"{miner} is not an enrolled miner", field="miner")
        if miner in self._posts:
            raise Conflict(f"{miner} has posted for epoch {self.epoch}")
        agreed = all(len(other) == len(pending) for other in self._posts.values())
        if not agreed or len(pending) <= max(self._sealed, default=-1):
            raise Malformed(f"a post of {len(pending)} slots does not cover epoch {self.epoch}", field="post")
        self._posts[miner] = tuple(pending)

    def close(self) -> None:
        """End the open epoch: set taxes and menu, freeze its rebate; the last rebate must be paid."""
        self._require_paid()
        if self.epoch > 0:
            self._estimate()
        self._rebate = Rebate.frozen(self.epoch, self._tax, self.roll, self.carry)
        self._settle()
        self._advance()

    def close_idle(self, epochs: int) -> None:
        """Close a run of idle epochs in one bounded call: taxes decay, no rebate, the carry waits."""
        self._require_paid()
        if epochs < 1 or self._sealed or self._sealed_before or self._posts:
            raise Conflict(f"epoch {self.epoch} is not idle")
        decays = epochs - 1 if self.epoch == 0 else epochs  # nothing is estimated at close(0)
        while decays and any(n >> self.rules.eta for n in self._numerators):
            self._numerators = [n - (n >> self.rules.eta) for n in self._numerators]
            decays -= 1
        self.epoch += epochs - 1
        self._advance()

    def pay_rebates(self, count: int) -> bool:
        """Pay the closed epoch's rebates to the next `count` entries of the roll; True when all are paid."""
        if self._rebate is None:
            return True
        for account, amount in self._rebate.page(count):
            self._give(account, amount)
            self.pool -= amount
        self._settle()
        self.check()
        return self._rebate is None

    def enrol(self, account: str) -> None:
        """Take `account` into the rebates from the next epoch on; at once while nothing was ever sealed."""
        self.roll.enrol(account, first=self.epoch + self._ever_sealed)
        self._refresh()

    def retire(self, account: str) -> None:
        """Let `account` have its last rebate for the open epoch; none while nothing was ever sealed."""
        self.roll.retire(account, last=self.epoch - 1 + self._ever_sealed)
        self._refresh()

    def set_prices(self, prices: Mapping[str, int]) -> None:
        """Enrol exactly these miners from the next epoch on; at once while nothing was ever sealed."""
        self._next_prices = dict(prices)
        self._refresh()

    def penalise(self, miner: str, amount: int) -> None:
        """Move a failed audit's penalty from the miner's credits to the carry, as its own entry."""
        self._take(miner, amount)
        self.pool += amount
        self.carry += amount

    def check(self) -> None:
        """Assert I1 to I6 and I10: conservation to the wei, pool identity, bounded dust, exact cost cover."""
        unsettled = self._rebate.pooled - self._rebate.paid if self._rebate else 0
        assert sum(self.balances.values()) + self.pool == self.supply
        assert self.pool == self.carry + unsettled + sum(self._tax.values())
        assert self.carry >= 0 and min(self.balances.values(), default=0) >= 0
        stored = sum(s.high + s.low for s in self._sealed.values())
        assert all(self._reimbursed.get(m, 0) == c * stored for m, c in self.prices.items())
        menu, cost = self.menu, sum(self.prices.values())
        assert menu.rho_low >= cost and menu.rho_high > menu.rho_low
        assert menu.price(True) >= menu.price(False) + self.rules.eps
        assert min(menu.tax_high, menu.tax_low, *self.tau) >= 0

    def _menu(self) -> Menu:
        """rho_L = C, rho_H = C + eps; tax_H keeps class H dearer by eps; a lone account pays no tax."""
        cost, eps, (tau_high, tau_low) = sum(self.prices.values()), self.rules.eps, self.tau
        if self.roll.active(self.epoch) < 2:
            return Menu(cost + eps, cost, 0, 0)
        return Menu(cost + eps, cost, max(tau_high, tau_low + eps) - eps, tau_low)

    def _estimate(self) -> None:
        found = {miner: self._view(miner) for miner in self.prices}
        self.estimates = {miner: view for miner, view in found.items() if view is not None}
        views = list(found.values())
        seen = ([v.high if v else 0 for v in views], [v.low if v else 0 for v in views])
        for k, values in enumerate(seen):
            measured = lower_median(values) if values else 0
            self._numerators[k] += measured - (self._numerators[k] >> self.rules.eta)

    def _view(self, miner: str) -> Estimate | None:
        """What one miner's two posts say of the last epoch's bytes; None when it is absent."""
        before, now = self._posts_before.get(miner), self._posts.get(miner)
        if before is None or now is None:
            return None
        sealed = [self._sealed_before.get(k, SealedBytes(0, 0)) for k in range(len(before))]
        return estimate(sealed, before, now, self.rules.delay)

    def _advance(self) -> None:
        self.epoch += 1
        self._sealed_before, self._sealed = self._sealed, {}
        self._posts_before, self._posts = self._posts, {}
        self._tax, self._reimbursed = {}, {}
        self._take_terms()
        self.check()

    def _take_terms(self) -> None:
        """What was decided for this epoch comes into force, and the menu with it."""
        if self._next_prices is not None:
            self.prices, self._next_prices = self._next_prices, None
        self.menu = self._menu()

    def _refresh(self) -> None:
        if not self._ever_sealed:
            self._take_terms()

    def _settle(self) -> None:
        """Once every line is paid, what floors left over joins the carry (I3: under 2 wei an account)."""
        done = self._rebate
        if done is None or not done.is_complete:
            return
        assert done.count < 2 or 0 <= done.dust < (3 if done.outside else 2) * done.count
        self.carry += done.pooled - done.paid
        self._rebate = None

    def _require_paid(self) -> None:
        if self._rebate is not None:
            raise Conflict(f"the rebates of epoch {self._rebate.epoch} are not all paid")

    def _take(self, account: str, amount: int) -> None:
        held = self.balances.get(account, 0)
        if not 0 <= amount <= held:
            raise FeeTooLow(f"{account} holds {held} wei, {amount} are needed", account=account)
        self.balances[account] = held - amount

    def _give(self, account: str, amount: int) -> None:
        self.balances[account] = self.balances.get(account, 0) + amount
