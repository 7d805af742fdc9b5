"""Who gains by not playing along: in the game of formulas, and in the live market with its own rules [R].

A user may change rate or class, split itself into several accounts, or fill the pool with submissions
that cannot or will not be sealed; a miner may lie about what it sees pending.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from incentives.backlog import DelayCosts, Pending
from incentives.fwt import Choice, Game, Rates, Waits, optimal_taxes, optimum, utility
from incentives.ledger import Ledger, Rules
from incentives.roots import best_point
from miners.simulate import EPOCH_SLOTS, ITEM_BYTES, Traffic

Lie = Literal["always pending", "never pending"]


def game_gain(game: Game, kind: Choice, choice: Choice) -> float:
    """The most a `kind` user gains in class `choice` at any rate under the optimal taxes, relative."""
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    honest_rate = best.high if kind == "H" else best.low
    honest = utility(game, taxes, best, kind, kind, honest_rate)
    found, _ = best_point(
        lambda rate: utility(game, taxes, best, kind, choice, rate), 0.0, _most(game, best, honest_rate)
    )
    return (found - honest) / abs(honest)


def live_gain(game: Game, kind: Choice, choice: Choice) -> float:
    """The same in the live market's steady state, where the tax follows the deviator's own traffic too.

    Taxes are the price-taking ones measured at the new totals, and the rebate is an equal share of what the
    others then pay: a user can move its own rebate a little by moving the measured tax.
    """
    best = optimum(game)
    honest_rate = best.high if kind == "H" else best.low
    honest = _live_utility(game, best, kind, kind, honest_rate)
    found, _ = best_point(
        lambda rate: _live_utility(game, best, kind, choice, rate), 0.0, _most(game, best, honest_rate)
    )
    return (found - honest) / abs(honest)


def _most(game: Game, best: Rates, honest_rate: float) -> float:
    spare = game.queue.limit - sum(best.totals(game)) + honest_rate
    return min(0.999 * spare, 20 * honest_rate + 0.1)


def _live_utility(game: Game, best: Rates, kind: Choice, choice: Choice, rate: float) -> float:
    users = game.high if kind == "H" else game.low
    others_high = best.high * (game.high.count - (kind == "H"))
    others_low = best.low * (game.low.count - (kind == "L"))
    x_high = others_high + (rate if choice == "H" else 0.0)
    x_low = others_low + (rate if choice == "L" else 0.0)
    waits = Waits.at(game.queue, x_high, x_low)
    gap = game.high.delay_cost * (waits.slope_high - waits.high)
    tax_high = gap + game.low.delay_cost * (waits.slope_all - waits.slope_high)
    tax_low = game.low.delay_cost * (waits.slope_all - waits.low)
    wait, tax = (waits.high, max(tax_high, tax_low)) if choice == "H" else (waits.low, tax_low)
    rebate = (others_high * max(tax_high, tax_low) + others_low * tax_low) / (
        game.high.count + game.low.count - 1
    )
    gross = users.scale * float(np.log1p(rate / game.kappa))
    return gross - rate * (users.delay_cost * wait + game.storage + tax) + rebate


def sybil_refund(accounts: int, members: int) -> float:
    """The share of its own tax that one person gets back by holding `accounts` of all `members`."""
    names = [f"u{k}" for k in range(members)]
    rules = Rules(DelayCosts(0, 0, 1), eps=1, eta=1, tau0=(10**9, 10**9))
    ledger = Ledger(rules, prices={"m": 1}, accounts=names)
    ledger.deposit("u0", 10**18)
    ledger.include("u0", 10**6, high=False, slot=0, sealer="m")
    ledger.post("m", [Pending(False, False)])
    ledger.close()
    before = {name: ledger.balances.get(name, 0) for name in names}
    ledger.pay_rebates(members)
    returned = sum(ledger.balances[name] - before[name] for name in names[:accounts])
    return returned / (10**6 * 10**9)


def with_phantoms(traffic: Traffic, capacity: int) -> Traffic:
    """The same blocks with a payable class-L item in the pool that its owner always cancels in time.

    Selection counts what stays behind a full block only, so the phantom shows exactly where the block is
    full and nothing real was left.
    """
    full = [high + low == capacity for high, low in zip(traffic.served_high, traffic.served_low, strict=True)]
    left = [low + (1 if is_full else 0) for low, is_full in zip(traffic.left_low, full, strict=True)]
    return Traffic(
        traffic.served_high, traffic.served_low, traffic.left_high, left, traffic.wait_high, traffic.wait_low
    )


@dataclass(frozen=True, slots=True)
class Panel:
    """Miners that post, how many of them lie, and how."""

    miners: int
    liars: int
    lie: Lie


def posted_taxes(traffic: Traffic, panel: Panel, rules: Rules) -> list[tuple[int, int]]:
    """The taxes (H, L) after each epoch when some miners post a lie and the rest what they saw."""
    names = [f"m{k}" for k in range(panel.miners)]
    ledger = Ledger(rules, prices=dict.fromkeys(names, 1), accounts=["u0", "u1"])
    ledger.deposit("u0", 10**30)
    taxes = []
    for start in range(0, len(traffic.served_high) - EPOCH_SLOTS + 1, EPOCH_SLOTS):
        span = range(start, start + EPOCH_SLOTS)
        for slot, k in enumerate(span):
            for count, high in ((traffic.served_high[k], True), (traffic.served_low[k], False)):
                ledger.include("u0", count * ITEM_BYTES, high=high, slot=slot, sealer="m0")
        seen = [
            Pending(traffic.left_high[k] > 0, traffic.left_high[k] + traffic.left_low[k] > 0) for k in span
        ]
        told = [Pending(panel.lie == "always pending", panel.lie == "always pending")] * EPOCH_SLOTS
        for place, name in enumerate(names):
            ledger.post(name, told if place < panel.liars else seen)
        ledger.pay_rebates(2)
        ledger.close()
        taxes.append(ledger.tau)
    return taxes


def largest_shift(one: Sequence[tuple[int, int]], two: Sequence[tuple[int, int]]) -> int:
    """The largest difference in wei per byte between two histories of taxes."""
    return max(abs(a - b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))
