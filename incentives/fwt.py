"""Fee and Waiting Tax: the three-stage game whose equilibrium is the social optimum.

Users n choose a class and a rate; the designer sets storage fees rho >= C and waiting taxes p_ab, what a
class-a user pays to each other class-b user per tx [P]. Forms are [R]:

    U_n = a_n ln(1 + lambda_n/kappa) - lambda_n (gamma_n W_k + s rho_k + sum p_k,t(j)) + receipts
    SW  = sum R_n - (gamma_H - gamma_L) G(x_H) - gamma_L G(x) - C s x

A tax equal to what one more tx costs everybody else makes each user's problem the designer's.

>>> from incentives.queueing import ExponentialBlocks
>>> queue = ExponentialBlocks(interval=5, capacity=20)
>>> game = Game(Users(20, 6, 4), Users(20, 3, 1), kappa=0.02, storage=3.0, own_storage=0.3, queue=queue)
>>> best = optimum(game)
>>> round(best.high, 6), round(best.low, 6)
(0.080038, 0.06325)
>>> taxes = optimal_taxes(game, best)
>>> played = equilibrium(game, game.storage + taxes.atomic_high, game.storage + taxes.atomic_low)
>>> abs(played.high / best.high - 1) < 1e-12
True
"""

import math
from dataclasses import dataclass
from typing import Literal

from incentives.queueing import Queue
from incentives.roots import increasing_zero
from registry.errors import Malformed

Choice = Literal["H", "L"]

# Closer to capacity than this the queue's own digits are gone; no finite willingness to pay gets there.
_EDGE = 1 - 1e-12


@dataclass(frozen=True, slots=True)
class Users:
    """`count` like users: utility `scale` ln(1 + lambda/kappa), `delay_cost` lost per tx and second."""

    count: int
    scale: float
    delay_cost: float

    def demand(self, price: float, kappa: float) -> float:
        """One user's rate where its marginal utility scale/(kappa + lambda) is `price`."""
        return max(0.0, self.scale / price - kappa)


@dataclass(frozen=True, slots=True)
class Game:
    """The players and the queue; `storage` is C s and `own_storage` c_min s, money per tx."""

    high: Users
    low: Users
    kappa: float
    storage: float
    own_storage: float
    queue: Queue

    def __post_init__(self) -> None:
        if self.high.delay_cost < self.low.delay_cost:
            raise Malformed(
                f"gamma_H {self.high.delay_cost} is below gamma_L {self.low.delay_cost}", field="gH"
            )


@dataclass(frozen=True, slots=True)
class Rates:
    """What each H user and each L user sends, tx/s."""

    high: float
    low: float

    def totals(self, game: Game) -> tuple[float, float]:
        """(x_H, x_L); a class nobody is in sends nothing."""
        return self.high * game.high.count, self.low * game.low.count


@dataclass(frozen=True, slots=True)
class Waits:
    """Mean waits and marginal delay at the class totals (x_H, x_L)."""

    high: float
    low: float
    all: float
    slope_high: float
    slope_all: float

    @classmethod
    def at(cls, queue: Queue, x_high: float, x_low: float) -> "Waits":
        total = x_high + x_low
        slope_high, slope_all = queue.slope(x_high), queue.slope(total)
        # Below this share the difference of two G has no digits; the limit is G'(x_H).
        negligible = x_low <= 1e-9 * total
        low = slope_high if negligible else (queue.count(total) - queue.count(x_high)) / x_low
        return cls(queue.wait(x_high), low, queue.wait(total), slope_high, slope_all)


@dataclass(frozen=True, slots=True)
class Taxes:
    """The paper's four rates p_ab (money/tx to EACH other class-b user) and their totals per tx."""

    p_hh: float
    p_hl: float
    p_lh: float
    p_ll: float
    atomic_high: float
    atomic_low: float
    taking_high: float
    taking_low: float


def welfare(game: Game, rates: Rates) -> float:
    """SW per second; transfers cancel and every miner's storage is charged."""
    x_high, x_low = rates.totals(game)
    total, low_cost = x_high + x_low, game.low.delay_cost
    gross = sum(
        users.count * users.scale * math.log1p(rate / game.kappa)
        for users, rate in ((game.high, rates.high), (game.low, rates.low))
    )
    delay = (game.high.delay_cost - low_cost) * game.queue.count(x_high) + low_cost * game.queue.count(total)
    return gross - delay - game.storage * total


def optimum(game: Game, *, storage: float | None = None) -> Rates:
    """The unique maximiser of SW, by R' = C s + m_k; `storage` prices bytes at another cost (baseline E3).

    m_L = gamma_L G'(x) and m_H = (gamma_H - gamma_L) G'(x_H) + gamma_L G'(x).
    """
    cost = game.storage if storage is None else storage
    edge = game.queue.limit * _EDGE

    def low_rate(total: float) -> float:
        return game.low.demand(cost + game.low.delay_cost * game.queue.slope(total), game.kappa)

    def high_total(total: float) -> float:
        base = cost + game.low.delay_cost * game.queue.slope(total)
        gap = game.high.delay_cost - game.low.delay_cost
        return increasing_zero(
            lambda x: x - game.high.count * game.high.demand(base + gap * game.queue.slope(x), game.kappa),
            0.0,
            edge,
        )

    total = increasing_zero(lambda x: x - high_total(x) - game.low.count * low_rate(x), 0.0, edge)
    high = high_total(total) / game.high.count if game.high.count else 0.0
    return Rates(high, low_rate(total) if game.low.count else 0.0)


def optimal_taxes(game: Game, rates: Rates) -> Taxes:
    """p_ab = lambda_b gamma_b dW_b/dx_a at `rates`; p_LH = 0 because H never waits for L.

    With x_b = N_b lambda_b the products lambda dW/dx are slope differences over N_b, finite at rate 0 too.
    """
    waits = Waits.at(game.queue, *rates.totals(game))
    n_high, n_low = game.high.count, game.low.count
    own_high = game.high.delay_cost * (waits.slope_high - waits.high)
    high_on_low = game.low.delay_cost * (waits.slope_all - waits.slope_high) if n_low else 0.0
    own_low = game.low.delay_cost * (waits.slope_all - waits.low) if n_low else 0.0
    p_hh = own_high / n_high if n_high else 0.0
    p_hl, p_ll = (high_on_low / n_low, own_low / n_low) if n_low else (0.0, 0.0)
    return Taxes(
        p_hh,
        p_hl,
        0.0,
        p_ll,
        atomic_high=max(0, n_high - 1) * p_hh + n_low * p_hl,
        atomic_low=max(0, n_low - 1) * p_ll,
        taking_high=n_high * p_hh + high_on_low,
        taking_low=own_low,
    )


def equilibrium(game: Game, charge_high: float, charge_low: float) -> Rates:
    """What strategic users send at fixed charges per tx, each counting its own effect on its own wait.

    The condition a/(kappa + lambda) = charge + gamma (W + lambda dW/dx) has lambda dW/dx = (G' - W)/N.
    """
    x_high = 0.0
    if game.high.count:
        x_high = increasing_zero(
            lambda x: x - _reply_total(game, game.high, charge_high, 0.0, x), 0.0, game.queue.limit * _EDGE
        )
    rest = game.queue.limit * _EDGE - x_high
    x_low = 0.0
    if game.low.count and rest > 0:
        x_low = increasing_zero(lambda x: x - _reply_total(game, game.low, charge_low, x_high, x), 0.0, rest)
    return Rates(x_high / max(1, game.high.count), x_low / max(1, game.low.count))


def _reply_total(game: Game, users: Users, charge: float, ahead: float, own: float) -> float:
    """What `users` would send in all if their class total were `own` behind `ahead`."""
    slope = game.queue.slope(ahead + own)
    wait = game.queue.wait(own) if ahead == 0 else Waits.at(game.queue, ahead, own).low
    price = charge + users.delay_cost * (wait + (slope - wait) / users.count)
    return users.count * users.demand(price, game.kappa)


def utility(game: Game, taxes: Taxes, rates: Rates, kind: Choice, choice: Choice, rate: float) -> float:
    """U_n of one `kind` user sending `rate` in class `choice` while all others play `rates` in their own."""
    users = game.high if kind == "H" else game.low
    is_high, is_low = (1, 0) if kind == "H" else (0, 1)
    others_high = rates.high * (game.high.count - is_high)
    others_low = rates.low * (game.low.count - is_low)
    payees_high, payees_low = game.high.count - is_high, game.low.count - is_low
    if choice == "H":
        wait = game.queue.wait(others_high + rate)
        tax = taxes.p_hh * payees_high + taxes.p_hl * payees_low
    else:
        wait = Waits.at(game.queue, others_high, others_low + rate).low
        tax = taxes.p_lh * payees_high + taxes.p_ll * payees_low
    to_me = (taxes.p_hh, taxes.p_lh) if kind == "H" else (taxes.p_hl, taxes.p_ll)
    receipts = others_high * to_me[0] + others_low * to_me[1]
    cost = users.delay_cost * wait + game.storage + tax
    return users.scale * math.log1p(rate / game.kappa) - rate * cost + receipts
