"""Blocks, mempools and adaptive users: does the live market find the optimum that formulas promise?

`observe` runs a queue at fixed rates and compares its waits and the header-measured externality with the
formulas. `closed_loop` lets users follow the menu and the waits they see while `incentives.ledger` sets the
taxes from the backlog, wei by wei. All randomness comes from the generator that is passed in.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from incentives.backlog import DelayCosts, Pending, runs
from incentives.fwt import Game, Rates, Waits, optimal_taxes, optimum, welfare
from incentives.ledger import Ledger, Rules
from incentives.queueing import ExponentialBlocks, FixedBlocks

EPOCH_SLOTS = 64
ITEM_BYTES = 300
WEI = 10**6  # wei per unit of money: prices keep four digits or more
_MINERS = 3


@dataclass(frozen=True, slots=True)
class Traffic:
    """Blocks of one run: served and left behind per class, and the mean waits in seconds."""

    served_high: list[int]
    served_low: list[int]
    left_high: list[int]
    left_low: list[int]
    wait_high: float
    wait_low: float


def observe(
    queue: ExponentialBlocks | FixedBlocks, rates: tuple[float, float], blocks: int, rng: np.random.Generator
) -> Traffic:
    """Run `blocks` blocks at class rates (x_H, x_L); waits by Little's law from time in the mempool."""
    if isinstance(queue, ExponentialBlocks):
        intervals = rng.exponential(queue.interval, blocks)
    else:
        intervals = np.full(blocks, queue.interval)
    arrived = [rng.poisson(rate * intervals) for rate in rates]
    traffic = Traffic([], [], [], [], 0.0, 0.0)
    high = low = 0
    for new_high, new_low in zip(arrived[0].tolist(), arrived[1].tolist(), strict=True):
        high, low = high + new_high, low + new_low
        served = min(high, queue.capacity)
        rest = min(low, queue.capacity - served)
        high, low = high - served, low - rest
        traffic.served_high.append(served)
        traffic.served_low.append(rest)
        traffic.left_high.append(high)
        traffic.left_low.append(low)
    waits = [
        (float(np.dot(left[:-1], intervals[1:])) + float(np.dot(new, intervals)) / 2) / max(1, int(new.sum()))
        for left, new in zip((traffic.left_high, traffic.left_low), arrived, strict=True)
    ]
    return Traffic(
        traffic.served_high, traffic.served_low, traffic.left_high, traffic.left_low, waits[0], waits[1]
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """The mean externality per tx that headers show, and its standard error over batches."""

    high: float
    low: float
    error_high: float
    error_low: float


def measure(traffic: Traffic, game: Game, interval: float, *, batches: int = 20) -> Measured:
    """The estimate of `incentives.backlog` in money per tx, without the floor of wei."""
    pending = [Pending(h > 0, h + w > 0) for h, w in zip(traffic.left_high, traffic.left_low, strict=True)]
    delays = runs(pending, len(pending))
    run_high = np.array([d.run_high for d in delays], dtype=np.float64)
    run_all = np.array([d.run_all for d in delays], dtype=np.float64)
    costs = game.high.delay_cost * interval, game.low.delay_cost * interval
    on_high = costs[0] * run_high + costs[1] * (run_all - np.minimum(run_high, run_all))
    found = []
    for values, served in ((on_high, traffic.served_high), (costs[1] * run_all, traffic.served_low)):
        weights = np.array(served, dtype=np.float64)
        parts = [
            float(np.average(v, weights=w))
            for v, w in zip(np.array_split(values, batches), np.array_split(weights, batches), strict=True)
            if w.sum() > 0
        ]
        mean = float(np.average(values, weights=weights))
        found.append((mean, float(np.std(parts, ddof=1) / np.sqrt(len(parts)))))
    return Measured(found[0][0], found[1][0], found[0][1], found[1][1])


@dataclass(frozen=True, slots=True)
class Setting:
    """A closed loop: the share of users' delay cost that the market charges, eta, the users' step."""

    tax_share: float
    eta: int
    step: float
    epochs: int


@dataclass(frozen=True, slots=True)
class EpochSeen:
    """One epoch of a closed loop; welfare is realised: utility of rates less delay suffered less storage."""

    load: float
    welfare_share: float
    wait_high: float
    wait_low: float
    tax_high: float
    tax_low: float


class Population:
    """Price-taking users who follow the menu and the waits they see, one step at a time."""

    def __init__(self, game: Game, start: Rates, step: float) -> None:
        self._kappa, self._step = game.kappa, step
        counts = game.high.count, game.low.count
        self.scale = np.repeat((game.high.scale, game.low.scale), counts)
        self.delay_cost = np.repeat((game.high.delay_cost, game.low.delay_cost), counts)
        self.rate = np.repeat((start.high, start.low), counts)
        self.in_high = np.repeat((True, False), counts)

    @property
    def utility(self) -> float:
        """Gross utility per second at the present rates."""
        return float(np.sum(self.scale * np.log1p(self.rate / self._kappa)))

    def adapt(
        self, price_high: float, price_low: float, waits: tuple[float, float], rng: np.random.Generator
    ) -> None:
        """Some users reconsider their class; all move their rate towards what the price is worth to them."""
        cost_high = price_high + self.delay_cost * waits[0]
        cost_low = price_low + self.delay_cost * waits[1]
        thinking = rng.random(len(self.rate)) < self._step
        self.in_high = np.where(thinking, cost_high <= cost_low, self.in_high)
        wanted = np.maximum(0.0, self.scale / np.where(self.in_high, cost_high, cost_low) - self._kappa)
        self.rate = self.rate + self._step * (wanted - self.rate)


class Mempool:
    """Two lines of (slot of arrival, user), served high first; it sums what waiting costs."""

    def __init__(self, capacity: int, interval: float) -> None:
        self._lines: tuple[deque[tuple[int, int]], deque[tuple[int, int]]] = (deque(), deque())
        self._capacity, self._interval = capacity, interval

    def arrive(
        self, slot: int, users: np.ndarray[tuple[int], np.dtype[np.int64]], users_high: list[bool]
    ) -> None:
        for user in users.tolist():
            self._lines[0 if users_high[user] else 1].append((slot, user))

    def serve(self, slot: int) -> list[tuple[int, bool, float]]:
        """Up to a block of (user, is high, wait in seconds)."""
        served: list[tuple[int, bool, float]] = []
        for line, high in zip(self._lines, (True, False), strict=True):
            while line and len(served) < self._capacity:
                came, user = line.popleft()
                served.append((user, high, (slot - came + 0.5) * self._interval))
        return served

    def pending(self) -> Pending:
        return Pending(bool(self._lines[0]), bool(self._lines[0] or self._lines[1]))

    def oldest_wait(self, slot: int, high: bool) -> float:
        """How long the head of a line has waited; 0 when it is empty."""
        line = self._lines[0 if high else 1]
        return (slot - line[0][0]) * self._interval if line else 0.0

    def waiting(self, weights: list[float]) -> float:
        """What one second of everybody's waiting costs now."""
        return sum(weights[user] for line in self._lines for _, user in line)


def live_market(game: Game, setting: Setting, interval: float) -> Ledger:
    """A ledger in wei whose prices and delay costs are those of `game`."""
    per_slot = setting.tax_share * interval / ITEM_BYTES * WEI
    delay = DelayCosts(
        round(game.high.delay_cost * per_slot), round(game.low.delay_cost * per_slot), 2 * EPOCH_SLOTS
    )
    taxes = optimal_taxes(game, optimum(game))
    start = [
        round(setting.tax_share * t / 2 / ITEM_BYTES * WEI) for t in (taxes.taking_high, taxes.taking_low)
    ]
    price = round(game.storage / ITEM_BYTES * WEI / _MINERS)
    users = [f"u{k}" for k in range(game.high.count + game.low.count)]
    ledger = Ledger(
        Rules(delay, eps=1, eta=setting.eta, tau0=(start[0], start[1])),
        prices={f"m{k}": price for k in range(_MINERS)},
        accounts=users,
    )
    for user in users:
        ledger.deposit(user, 10**18)
    return ledger


def closed_loop(
    game: Game, queue: FixedBlocks, setting: Setting, rng: np.random.Generator
) -> list[EpochSeen]:
    """Users and market follow each other for `setting.epochs` epochs, from half the optimal rates."""
    goal, best = welfare(game, optimum(game)), optimum(game)
    population = Population(game, Rates(best.high / 2, best.low / 2), setting.step)
    ledger = live_market(game, setting, queue.interval)
    pool = Mempool(queue.capacity, queue.interval)
    x_high, x_low = (x / 2 for x in best.totals(game))
    first = Waits.at(queue, x_high, x_low)
    waits, seen = (first.high, first.low), []
    for epoch in range(setting.epochs):
        menu = ledger.menu
        served, bits, delay, sent = _run_epoch(population, pool, epoch * EPOCH_SLOTS, rng)
        for slot, block in enumerate(served):
            for user, high, _ in block:
                ledger.include(f"u{user}", ITEM_BYTES, high=high, slot=slot, sealer=f"m{slot % _MINERS}")
        for miner in ledger.prices:
            ledger.post(miner, bits)
        ledger.pay_rebates(len(ledger.roll.lines))
        ledger.close()
        span = EPOCH_SLOTS * queue.interval
        realised = population.utility - delay / EPOCH_SLOTS - game.storage * sent / span
        waits = _seen_waits(served, pool, (epoch + 1) * EPOCH_SLOTS, waits)
        per_tx = ITEM_BYTES / WEI
        seen.append(
            EpochSeen(
                sent / span / queue.limit,
                realised / goal,
                *waits,
                menu.tax_high * per_tx,
                menu.tax_low * per_tx,
            )
        )
        population.adapt(menu.price(True) * per_tx, menu.price(False) * per_tx, waits, rng)
    return seen


def _run_epoch(
    population: Population, pool: Mempool, start: int, rng: np.random.Generator
) -> tuple[list[list[tuple[int, bool, float]]], list[Pending], float, int]:
    """(blocks served, pending bits, summed delay cost per slot-second, tx sent) of one epoch."""
    interval = pool._interval
    arrivals = rng.poisson(population.rate * interval, size=(EPOCH_SLOTS, len(population.rate)))
    weights, in_high = population.delay_cost.tolist(), population.in_high.tolist()
    blocks, bits, delay = [], [], 0.0
    for slot in range(EPOCH_SLOTS):
        delay += pool.waiting(weights) + float(np.dot(arrivals[slot], population.delay_cost)) / 2
        users = rng.permutation(np.repeat(np.arange(len(population.rate)), arrivals[slot]))
        pool.arrive(start + slot, users, in_high)
        blocks.append(pool.serve(start + slot))
        bits.append(pool.pending())
    return blocks, bits, delay, int(arrivals.sum())


def _seen_waits(
    blocks: list[list[tuple[int, bool, float]]], pool: Mempool, slot: int, before: tuple[float, float]
) -> tuple[float, float]:
    """Half of what was known, half of this epoch's mean waits; a starved line shows its oldest item."""
    now = []
    for high, known in zip((True, False), before, strict=True):
        waits = [w for block in blocks for _, is_high, w in block if is_high == high]
        mean = sum(waits) / len(waits) if waits else 0.0
        latest = max(mean, pool.oldest_wait(slot, high) if not waits else 0.0)
        now.append((known + latest) / 2 if latest else known)
    return now[0], now[1]
