"""The other payees of the survey's Fig. 10: aggregators, hosts, gateways, operators, storage slots [R].

Second-score and uniform-price awards are Vickrey auctions in one parameter, so no unilateral lie gains.

>>> second_score([Offer("e0", 84, 68), Offer("e3", 90, 33)], reserve_score=5)
Award(winner='e3', payment=74)
>>> uniform_price([Ask("a0", 27), Ask("a1", 18), Ask("a5", 5)], slots=2, reserve=35)
Slots(winners=('a5', 'a1'), price=27)
>>> audit_bond(cost=900, wage=1000, p_ppm=50_000), sla_bonus(effort=500, high_ppm=990_000, low_ppm=600_000)
(17000, 1283)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from incentives.auction import require_one_spelling, user_order
from registry.errors import Malformed

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Offer:
    """A server's offer: worth `value` to the buyer at `price`."""

    bidder: str
    value: int
    price: int

    @property
    def score(self) -> int:
        return self.value - self.price


@dataclass(frozen=True, slots=True)
class Award:
    """Who does the job and what it is paid; nobody, for nothing, when no score reaches the reserve."""

    winner: str | None
    payment: int


def second_score(offers: Sequence[Offer], *, reserve_score: int) -> Award:
    """The best score wins and is paid value - max(reserve, runner-up's score); ties go to the lower id."""
    _require_distinct([o.bidder for o in offers])
    ranking = sorted(offers, key=lambda o: (-o.score, user_order(o.bidder)))
    if not ranking or ranking[0].score < reserve_score:
        return Award(None, 0)
    runner_up = ranking[1].score if len(ranking) > 1 else reserve_score
    return Award(ranking[0].bidder, ranking[0].value - max(reserve_score, runner_up))


@dataclass(frozen=True, slots=True)
class Ask:
    """One seller's ask for one slot."""

    seller: str
    price: int


@dataclass(frozen=True, slots=True)
class Slots:
    """The sellers of the slots, cheapest first, and the one price all are paid."""

    winners: tuple[str, ...]
    price: int


def uniform_price(asks: Sequence[Ask], *, slots: int, reserve: int) -> Slots:
    """The `slots` lowest asks not above the reserve win at the next remaining ask, else at the reserve."""
    _require_distinct([a.seller for a in asks])
    if slots < 0:
        raise Malformed(f"{slots} slots cannot be procured", field="k")
    remaining = sorted((a for a in asks if a.price <= reserve), key=lambda a: (a.price, user_order(a.seller)))
    price = remaining[slots].price if len(remaining) > slots else reserve
    return Slots(tuple(a.seller for a in remaining[:slots]), price)


def audit_bond(*, cost: int, wage: int, p_ppm: int) -> int:
    """max(0, ceil(cost 10^6 / p) - wage): the least bond at which honest work beats an unaudited fake.

    Working earns wage - cost, faking (1-p) wage - p bond.
    """
    if not 0 < p_ppm <= PPM:
        raise Malformed(f"an audit probability of {p_ppm} ppm is not within 1 and {PPM}", field="p_ppm")
    if cost < 0 or wage < 0:
        raise Malformed(f"cost {cost} and wage {wage} cannot be negative", field="cost or wage")
    return max(0, -(-cost * PPM // p_ppm) - wage)


def sla_bonus(*, effort: int, high_ppm: int, low_ppm: int) -> int:
    """ceil(effort / (q_H - q_L)): the least bonus per passed epoch that makes effort pay."""
    if not 0 <= low_ppm < high_ppm <= PPM:
        raise Malformed(f"success with effort {high_ppm} ppm must exceed {low_ppm} ppm", field="qh_ppm")
    if effort < 0:
        raise Malformed(f"effort cannot cost {effort}", field="effort")
    return -(-effort * PPM // (high_ppm - low_ppm))


@dataclass(frozen=True, slots=True)
class PostedPrice:
    """An operator's price per rate unit, what each buyer takes (largest first), and the profit."""

    price: float
    rates: tuple[float, ...]
    profit: float


def posted_price(weights: Sequence[float], *, cost: float, capacity: float) -> PostedPrice:
    """The profit-maximal price to users w ln(1+x) - q x, who take x = w/q - 1.

    Serving the k keenest, q_k = max(sqrt(c W_k/k), W_k/(Cap + k), w_{k+1}), valid while q_k < w_k.
    Without a buyer worth serving the price is one that nobody pays, and the profit 0.
    """
    ranked = sorted((w for w in weights if w > 0), reverse=True)
    served, best_price, best_profit = 0, max([cost, *ranked[:1]]), 0.0
    for k, total in enumerate(accumulate(ranked), start=1):
        after = ranked[k] if k < len(ranked) else 0.0
        price = max(math.sqrt(cost * total / k), total / (capacity + k), after)
        if price < ranked[k - 1]:
            profit = (price - cost) * (total / price - k)
            if profit > best_profit:
                served, best_price, best_profit = k, price, profit
    return PostedPrice(best_price, tuple(w / best_price - 1 for w in ranked[:served]), best_profit)


def _require_distinct(ids: Sequence[str]) -> None:
    if len(set(ids)) != len(ids):
        raise Malformed("a bidder may bid once", field="bids")
    require_one_spelling(ids)
