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
from incentives.queueing import FixedBlocks
from incentives.roots import best_point
from miners.simulate import EPOCH_SLOTS, ITEM_BYTES, WEI, Traffic, observe

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


def price_taking_gap(game: Game, kind: Choice, choice: Choice) -> float:
    """How much more the best live deviation brings than a price taker would expect of it, relative.

    A price taker expects taxes, waits and rebate to stay as they are, and then the honest choice is best. So
    no live gain can pass this gap: it is what the user moves by being of some size.
    """
    best = optimum(game)
    honest_rate = best.high if kind == "H" else best.low
    honest = _live_utility(game, best, kind, kind, honest_rate)
    found, rate = best_point(
        lambda rate: _live_utility(game, best, kind, choice, rate), 0.0, _most(game, best, honest_rate)
    )
    expected = honest + _spent(game, best, kind, choice, rate) - _spent(game, best, kind, kind, honest_rate)
    return (found - expected) / abs(honest)


def _spent(game: Game, best: Rates, kind: Choice, choice: Choice, rate: float) -> float:
    """Gross utility less what waiting, storage and tax cost at the prices and waits of the optimum."""
    users, taxes = (game.high if kind == "H" else game.low), optimal_taxes(game, best)
    waits = Waits.at(game.queue, *best.totals(game))
    dear = max(taxes.taking_high, taxes.taking_low)
    wait, tax = (waits.high, dear) if choice == "H" else (waits.low, taxes.taking_low)
    gross = users.scale * float(np.log1p(rate / game.kappa))
    return gross - rate * (users.delay_cost * wait + game.storage + tax)


def with_phantoms(traffic: Traffic, capacity: int) -> Traffic:
    """The same blocks with a payable class-L item in the pool that its owner always cancels in time.

    A miner counts what was sealed later or still waits when it posts. So the phantom shows in the slots
    before the post through which it could wait untouched: the run of full blocks at the end of each epoch.
    """
    left = list(traffic.left_low)
    for end in range(EPOCH_SLOTS, len(left) + 1, EPOCH_SLOTS):
        k = end - 1
        while k >= end - EPOCH_SLOTS and traffic.served_high[k] + traffic.served_low[k] == capacity:
            left[k] += 1
            k -= 1
    return Traffic(
        traffic.served_high, traffic.served_low, traffic.left_high, left, traffic.wait_high, traffic.wait_low
    )


def net_payments(
    game: Game, traffic: Traffic, posts: Sequence[Traffic], rules: Rules, *, parts: int = 1
) -> tuple[int, int]:
    """What one H and one L user paid in all, rebates taken off, when the miners post these views.

    Users of a class take turns in its served items; u0 and the first L user are the ones looked at, and their
    items are sealed in `parts` equal parts.
    """
    names = [f"u{k}" for k in range(game.high.count + game.low.count)]
    watched = (names[0], names[game.high.count])
    ledger = Ledger(rules, prices={f"m{k}": 1 for k in range(len(posts))}, accounts=names)
    for name in names:
        ledger.deposit(name, 10**24)
    turns = [0, 0]
    for start in range(0, len(traffic.served_high) - EPOCH_SLOTS + 1, EPOCH_SLOTS):
        span = range(start, start + EPOCH_SLOTS)
        for slot, k in enumerate(span):
            for place, count in enumerate((traffic.served_high[k], traffic.served_low[k])):
                first, among = (0, game.high.count) if place == 0 else (game.high.count, game.low.count)
                for _ in range(count):
                    name = names[first + turns[place] % among]
                    turns[place] += 1
                    for _ in range(parts if name in watched else 1):
                        size = ITEM_BYTES // (parts if name in watched else 1)
                        ledger.include(name, size, high=place == 0, slot=slot, sealer="m0")
        for miner, view in enumerate(posts):
            ledger.post(f"m{miner}", [_bits(view, k) for k in span])
        ledger.pay_rebates(len(names))
        ledger.close()
    ledger.pay_rebates(len(names))
    high, low = (10**24 - ledger.balances[name] for name in watched)
    return high, low


def always_pending(traffic: Traffic) -> Traffic:
    """A view in which something of both classes waits after every slot."""
    ones = [1] * len(traffic.served_high)
    return Traffic(traffic.served_high, traffic.served_low, ones, ones, traffic.wait_high, traffic.wait_low)


def _bits(traffic: Traffic, k: int) -> Pending:
    return Pending(traffic.left_high[k] > 0, traffic.left_high[k] + traffic.left_low[k] > 0)


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


@dataclass(frozen=True, slots=True)
class Gain:
    """What one deviation brings an H and an L user, relative to their honest utility."""

    deviation: str
    high: float
    low: float


def ledger_gains(game: Game, queue: FixedBlocks, blocks: int, rng: np.random.Generator) -> list[Gain]:
    """The best that a user of the live market gains by each deviation, and the gap that bounds them, last.

    Rates and classes are searched in the steady state, where the expected tax is known exactly; what changes
    posts or items is played through the ledger, block by block, against the same blocks played honestly.
    """
    best, taxes = optimum(game), optimal_taxes(game, optimum(game))
    traffic = observe(queue, best.totals(game), blocks, rng)
    per_byte = WEI / ITEM_BYTES
    delay = DelayCosts(
        round(game.high.delay_cost * queue.interval * per_byte),
        round(game.low.delay_cost * queue.interval * per_byte),
        2 * EPOCH_SLOTS,
    )
    tau0 = (round(taxes.taking_high * per_byte), round(taxes.taking_low * per_byte))
    rules = Rules(delay, eps=1, eta=6, tau0=tau0)
    honest = net_payments(game, traffic, [traffic] * 5, rules)
    played = {
        "items split in two": net_payments(game, traffic, [traffic] * 5, rules, parts=2),
        "2 of 5 miners post 'always pending'": net_payments(
            game, traffic, [always_pending(traffic)] * 2 + [traffic] * 3, rules
        ),
        "a submission always cancelled in time": net_payments(
            game, traffic, [with_phantoms(traffic, queue.capacity)] * 5, rules
        ),
    }
    span = len(traffic.served_high) * queue.interval * WEI
    utility_high = _live_utility(game, best, "H", "H", best.high) * span
    utility_low = _live_utility(game, best, "L", "L", best.low) * span
    return [
        Gain("another rate", live_gain(game, "H", "H"), live_gain(game, "L", "L")),
        Gain("the other class, at any rate", live_gain(game, "H", "L"), live_gain(game, "L", "H")),
        *(
            Gain(name, (honest[0] - high) / utility_high, (honest[1] - low) / utility_low)
            for name, (high, low) in played.items()
        ),
        Gain("**price-taking gap**", price_taking_gap(game, "H", "H"), price_taking_gap(game, "L", "L")),
    ]
