"""What FWT is measured against: three readings of 'the existing protocol' [R].

The paper's exact baseline is unknown. All three price a byte at one miner's cost c_min while the network
stores it M times, and all three are charged C s x in welfare.
"""

import math
from dataclasses import dataclass

from incentives.fwt import Game, Rates, Users, Waits, optimum
from incentives.roots import increasing_zero


@dataclass(frozen=True, slots=True)
class TwoFees:
    """E2: the atomic equilibrium of two fee levels, and the premium D per tx that separates them."""

    rates: Rates
    premium: float


def one_fee(game: Game) -> Rates:
    """E1: one fee c_min, first come first served, no tax; strategic users of both types share one wait."""
    queue = game.queue

    def replies(total: float) -> Rates:
        wait = queue.wait(total)
        steepness = (queue.slope(total) - wait) / total
        return Rates(
            _fifo_rate(game, game.high, wait, steepness), _fifo_rate(game, game.low, wait, steepness)
        )

    def surplus(total: float) -> float:
        if total == 0:
            return -1.0
        sent = replies(total).totals(game)
        return total - sent[0] - sent[1]

    total = increasing_zero(surplus, 0.0, queue.limit * (1 - 1e-12))
    rates = replies(total)
    return Rates(rates.high if game.high.count else 0.0, rates.low if game.low.count else 0.0)


def fifo_welfare(game: Game, rates: Rates) -> float:
    """SW when both types share one queue: each tx waits W(x) at its own sender's cost."""
    x_high, x_low = rates.totals(game)
    total = x_high + x_low
    gross = game.high.count * game.high.scale * math.log1p(rates.high / game.kappa)
    gross += game.low.count * game.low.scale * math.log1p(rates.low / game.kappa)
    delay = (game.high.delay_cost * x_high + game.low.delay_cost * x_low) * game.queue.wait(total)
    return gross - delay - game.storage * total


def _fifo_rate(game: Game, users: Users, wait: float, steepness: float) -> float:
    """The positive root of (c + gamma W + gamma W' lambda)(kappa + lambda) = a, without cancellation."""
    price = game.own_storage + users.delay_cost * wait
    square = users.delay_cost * steepness
    linear = price + square * game.kappa
    constant = price * game.kappa - users.scale
    if constant >= 0:
        return 0.0
    return -2 * constant / (linear + math.sqrt(linear * linear - 4 * square * constant))


def two_fees(game: Game) -> TwoFees:
    """E2: L pays c_min, H pays c_min + D/s with D = gamma_L (W_L - W_H), the least premium that separates.

    Users take D as given; it is then the one their own waits produce.
    """
    edge = game.queue.limit * (1 - 1e-12)

    def low_total(x_high: float) -> float:
        if not game.low.count:
            return 0.0
        return increasing_zero(lambda x: _excess_price(game, game.low, x_high, x, 0.0), 0.0, edge - x_high)

    def premium(x_high: float) -> float:
        waits = Waits.at(game.queue, x_high, low_total(x_high))
        return game.low.delay_cost * (waits.low - waits.high)

    x_high = 0.0
    if game.high.count:
        x_high = increasing_zero(
            lambda x: _excess_price(game, game.high, 0.0, x, premium(x)), 0.0, edge * (1 - 1e-9)
        )
    x_low = low_total(x_high)
    rates = Rates(x_high / max(1, game.high.count), x_low / max(1, game.low.count))
    return TwoFees(rates, premium(x_high))


def _excess_price(game: Game, users: Users, ahead: float, own: float, premium: float) -> float:
    """Marginal price minus marginal utility at class total `own` behind `ahead`: rises in `own`."""
    waits = Waits.at(game.queue, ahead, own)
    wait, slope = (waits.low, waits.slope_all) if ahead else (waits.all, waits.slope_all)
    price = game.own_storage + premium + users.delay_cost * (wait + (slope - wait) / users.count)
    return price - users.scale / (game.kappa + own / users.count)


def bidding_market(game: Game) -> Rates:
    """E3: delay perfectly priced by bidding, storage priced at c_min: isolates the storage externality."""
    return optimum(game, storage=game.own_storage)
