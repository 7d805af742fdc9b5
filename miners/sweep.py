"""What the fee and waiting tax is worth over 144 markets, in formulas (mechanisms.md 1.5) [R].

Utilities, delay costs and block size are fixed; users, miners, storage cost and block interval vary. The
paper's own baseline and parameters are unknown, so gains are reported against three readings of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from incentives.fwt import Game, Users, Waits, equilibrium, optimal_taxes, optimum, welfare
from incentives.fwt_baselines import bidding_market, fifo_welfare, one_fee, two_fees
from incentives.queueing import ExponentialBlocks

_BYTES = 300
_KAPPA = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """One market: users (half of each type), miners, each one's cost per byte, mean block interval."""

    users: int
    miners: int
    cost: float
    interval: float

    def game(self) -> Game:
        half = self.users // 2
        own = self.cost * _BYTES
        return Game(
            Users(half, 6.0, 4.0),
            Users(self.users - half, 3.0, 1.0),
            kappa=_KAPPA,
            storage=self.miners * own,
            own_storage=own,
            queue=ExponentialBlocks(self.interval, 20),
        )


def all_cases() -> list[Case]:
    """The 144 markets of the sweep."""
    axes = product((20, 40, 60, 80), (5, 10, 20, 40), (0.001, 0.003, 0.006), (2.5, 5.0, 10.0))
    return [Case(*axis) for axis in axes]


@dataclass(frozen=True, slots=True)
class Solved:
    """Welfare and waits of one market under the optimum, the taxed equilibrium and the baselines."""

    case: Case
    best: float
    taxed: float
    rate_error: float
    one_fee: float
    two_fees: float
    bidding: float
    wait_all: tuple[float, float, float]  # FWT, E1, E2
    wait_low: tuple[float, float, float]
    cover: float  # what E2 takes in over what storage costs


def solve(case: Case) -> Solved:
    """All readings of one market."""
    game = case.game()
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    played = equilibrium(game, game.storage + taxes.atomic_high, game.storage + taxes.atomic_low)
    first, second, third = one_fee(game), two_fees(game), bidding_market(game)
    ours, theirs = (Waits.at(game.queue, *r.totals(game)) for r in (played, second.rates))
    common = game.queue.wait(sum(first.totals(game)))
    x_high, x_low = second.rates.totals(game)
    income = game.own_storage * (x_high + x_low) + second.premium * x_high
    return Solved(
        case,
        best=welfare(game, best),
        taxed=welfare(game, played),
        rate_error=max(_relative(played.high, best.high), _relative(played.low, best.low)),
        one_fee=fifo_welfare(game, first),
        two_fees=welfare(game, second.rates),
        bidding=welfare(game, third),
        wait_all=(ours.all, common, theirs.all),
        wait_low=(ours.low, common, theirs.low),
        cover=income / (game.storage * (x_high + x_low)),
    )


def _relative(found: float, goal: float) -> float:
    return abs(found - goal) / goal if goal else abs(found)


def mistaxed(case: Case, factor: float) -> float:
    """Welfare, as a share of the optimum, when both taxes are set to `factor` of what they should be."""
    game = case.game()
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    played = equilibrium(
        game, game.storage + factor * taxes.atomic_high, game.storage + factor * taxes.atomic_low
    )
    return welfare(game, played) / welfare(game, best)


@dataclass(frozen=True, slots=True)
class Cover:
    """Jain's index and mean over miners of (storage reimbursement / storage cost)."""

    fairness: float
    mean: float


def storage_cover(costs: Sequence[float], blocks: int, rng: np.random.Generator) -> dict[str, Cover]:
    """Who is covered when miners' costs differ: fees to the sealer, fees split equally, FWT.

    The existing fee is the least cost per byte and goes to a random sealer; FWT pays each miner its own.
    """
    price = min(costs)
    sealed = np.bincount(rng.integers(len(costs), size=blocks), minlength=len(costs)) / blocks
    cost = np.array(costs)
    return {
        "to the sealer": _cover(price * sealed / cost),
        "split equally": _cover(price / len(costs) / cost),
        "FWT": _cover(cost / cost),
    }


def _cover(shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Cover:
    fairness = float(shares.sum() ** 2 / (len(shares) * (shares**2).sum()))
    return Cover(fairness, float(shares.mean()))
