"""Contracts that separate device types (Kang et al.): one item (f, R) per type, chosen truthfully [M].

    E_i(f) = psi/theta_i zeta c s f^2 + E_com        T_i(f) = psi/theta_i c s / f + T_com
    device    V_i(f, R) = R - mu E_i(f)
    publisher N sum p_i [ omega ln(T_max - T_i(f_i)) - l R_i ]

Individual rationality of type 1 and each downward neighbour bind, so R follows from f and every type's
f maximises a virtual surplus; where these fall instead of rising, neighbours share one item (ironing).

>>> published = publish(EXAMPLE, types=[0.574, 0.578, 1.203], shares=[1/3, 1/3, 1/3])
>>> [round(f, 3) for f in published.frequencies], published.blocks
([3.314, 3.314, 3.524], ((0, 1), (2,)))
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from incentives.roots import increasing_zero
from registry.errors import Malformed

Vector = NDArray[np.float64]
MOST_TYPES_ON_CHAIN = 32
# Frequencies closer than this are equal up to rounding and are not pooled.
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class Publisher:
    """The task publisher's constants, in the symbols of the paper."""

    psi: float
    zeta: float
    cycles: float
    samples: float
    energy_com: float
    time_com: float
    time_max: float
    omega: float
    reward_weight: float
    mu: float
    f_min: float
    f_max: float
    devices: int

    @property
    def energy_factor(self) -> float:
        """mu psi zeta c s: money per (1/theta) f^2."""
        return self.mu * self.psi * self.zeta * self.cycles * self.samples

    def workload(self, types: Vector) -> Vector:
        """A_i = psi c s / theta_i: cycles in all, so T_i = A_i / f + T_com."""
        return self.psi * self.cycles * self.samples / types

    def cost(self, types: Vector | float, frequencies: Vector | float) -> Vector:
        """mu E_i(f), money."""
        square = np.square(frequencies)
        return np.asarray(self.energy_factor * square / types + self.mu * self.energy_com, dtype=np.float64)


EXAMPLE = Publisher(1.0, 0.002, 5.0, 4.0, 0.2, 1.0, 120.0, 20.0, 1.0, 1.0, 0.5, 12.0, 10)


@dataclass(frozen=True, slots=True)
class Menu:
    """One item per type (equal within a block), and the publisher's profit when all choose their own."""

    publisher: Publisher
    types: tuple[float, ...]
    frequencies: tuple[float, ...]
    rewards: tuple[float, ...]
    blocks: tuple[tuple[int, ...], ...]
    profit: float

    def utilities(self) -> Vector:
        """V[i, j]: what type i has from item j; the diagonal is >= 0 and the largest of its row."""
        costs = self.publisher.cost(np.array(self.types)[:, None], np.array(self.frequencies)[None, :])
        return np.asarray(np.array(self.rewards)[None, :] - costs, dtype=np.float64)


def publish(publisher: Publisher, types: Sequence[float], shares: Sequence[float]) -> Menu:
    """The profit-maximal menu under hidden types; `types` ascend, `shares` are their frequencies."""
    theta, p = _checked(publisher, types, shares)
    at_least = np.cumsum(p[::-1])[::-1] / theta  # P_i / theta_i
    weights = at_least - np.append(at_least[1:], 0.0)
    blocks, frequencies = _ironed(publisher, publisher.workload(theta), p, weights)
    costs = publisher.cost(theta, frequencies)
    lower = publisher.cost(theta[1:], frequencies[:-1])
    rewards = np.cumsum(np.append(costs[0], costs[1:] - lower))
    return _menu(publisher, theta, p, frequencies, rewards, blocks)


def publish_knowing_types(publisher: Publisher, types: Sequence[float], shares: Sequence[float]) -> Menu:
    """The full-information benchmark: every type is asked its efficient f and paid its cost."""
    theta, p = _checked(publisher, types, shares)
    workload = publisher.workload(theta)
    wanted = _single_optima(publisher, workload, p, p / theta)
    frequencies = np.clip(wanted, publisher.f_min, publisher.f_max)
    blocks = tuple((k,) for k in range(len(theta)))
    return _menu(publisher, theta, p, frequencies, publisher.cost(theta, frequencies), blocks)


def _menu(
    publisher: Publisher,
    theta: Vector,
    shares: Vector,
    frequencies: Vector,
    rewards: Vector,
    blocks: tuple[tuple[int, ...], ...],
) -> Menu:
    spare = publisher.time_max - publisher.time_com - publisher.workload(theta) / frequencies
    if np.min(spare) <= 0:
        raise Malformed("the slowest type misses T_max even at its own frequency", field="Tmax")
    worth = publisher.omega * np.log(spare) - publisher.reward_weight * rewards
    profit = publisher.devices * float(np.sum(shares * worth))
    return Menu(
        publisher, tuple(theta.tolist()), tuple(frequencies.tolist()), tuple(rewards.tolist()), blocks, profit
    )


def _checked(publisher: Publisher, types: Sequence[float], shares: Sequence[float]) -> tuple[Vector, Vector]:
    theta, p = np.array(types, dtype=np.float64), np.array(shares, dtype=np.float64)
    if len(theta) == 0 or len(theta) != len(p):
        raise Malformed(f"{len(theta)} types have {len(p)} shares", field="probs")
    if np.min(theta) <= 0 or np.any(np.diff(theta) < 0):
        raise Malformed("types must be positive and ascend", field="types")
    if np.min(p) <= 0 or abs(float(np.sum(p)) - 1) > 1e-3:
        raise Malformed("shares must be positive and sum to 1", field="probs")
    slowest = float(np.max(publisher.workload(theta))) / publisher.f_max
    if slowest >= publisher.time_max - publisher.time_com:
        raise Malformed("the slowest type misses T_max even at f_max", field="Tmax")
    return theta, p


def _single_optima(publisher: Publisher, workload: Vector, shares: Vector, weights: Vector) -> Vector:
    """Each type's own root of K f^2 (D f - A) = p omega A, by Newton from above (convex and increasing)."""
    free = publisher.time_max - publisher.time_com
    k = 2 * publisher.reward_weight * publisher.energy_factor * weights
    goal = shares * publisher.omega * workload
    f = workload / free + np.cbrt(goal / (k * free))
    for _ in range(80):
        step = (k * f * f * (free * f - workload) - goal) / (k * f * (3 * free * f - 2 * workload))
        f = f - step
        if np.all(np.abs(step) <= 1e-15 * f):
            break
    return np.asarray(f, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Block:
    first: int
    end: int
    frequency: float


def _ironed(
    publisher: Publisher, workload: Vector, shares: Vector, weights: Vector
) -> tuple[tuple[tuple[int, ...], ...], Vector]:
    """Pool adjacent violators: while an item would fall, its block joins the one before."""
    clipped = np.clip(_single_optima(publisher, workload, shares, weights), publisher.f_min, publisher.f_max)
    stack: list[_Block] = []
    for k, frequency in enumerate(clipped.tolist()):
        block = _Block(k, k + 1, frequency)
        while stack and block.frequency < stack[-1].frequency * (1 - _SAME):
            below = stack.pop()
            span = slice(below.first, block.end)
            pooled = _pooled_optimum(
                publisher,
                workload[span],
                shares[span],
                float(np.sum(weights[span])),
                (block.frequency, below.frequency),
            )
            block = _Block(below.first, block.end, pooled)
        stack.append(block)
    frequencies = np.concatenate([np.full(b.end - b.first, b.frequency) for b in stack])
    blocks = tuple(tuple(range(b.first, b.end)) for b in stack)
    return blocks, np.maximum.accumulate(frequencies)


def _pooled_optimum(
    publisher: Publisher, workload: Vector, shares: Vector, weight: float, between: tuple[float, float]
) -> float:
    """The block's common root, which lies between those of its two parts."""
    free = publisher.time_max - publisher.time_com
    k = 2 * publisher.reward_weight * publisher.energy_factor * weight
    gain = shares * publisher.omega * workload
    floor = float(np.max(workload)) / free

    def marginal_cost(f: float) -> float:
        if f <= floor:
            return -math.inf
        return k * f - float(np.sum(gain / (f * (free * f - workload))))

    return increasing_zero(marginal_cost, *between)


@dataclass(frozen=True, slots=True)
class IntegerMenu:
    """A menu the contract can check: rewards R_j and costs c_ij in wei."""

    rewards: tuple[int, ...]
    costs: tuple[tuple[int, ...], ...]


def integer_menu(menu: Menu, wei_per_unit: int) -> IntegerMenu:
    """c_ij = ceil(mu E_i(f_j)); R_1 = c_11, R_i = R_{i-1} + c_ii - c_{i,i-1}, on those integers."""
    if len(menu.types) > MOST_TYPES_ON_CHAIN:
        raise Malformed(f"a menu on chain has at most {MOST_TYPES_ON_CHAIN} types", field="types")
    exact = menu.publisher.cost(np.array(menu.types)[:, None], np.array(menu.frequencies)[None, :])
    costs = tuple(tuple(math.ceil(Fraction(c) * wei_per_unit) for c in row) for row in exact.tolist())
    found = IntegerMenu(integer_rewards(costs), costs)
    verify_menu(found)
    return found


def integer_rewards(costs: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The binding rewards of a square matrix of integer costs c_ij (type i, item j)."""
    rewards = [costs[0][0]]
    for below, k in pairwise(range(len(costs))):
        rewards.append(rewards[-1] + costs[k][k] - costs[k][below])
    return tuple(rewards)


def verify_menu(menu: IntegerMenu) -> None:
    """Refuse a menu under which some type would stay away or take another type's item."""
    for i, row in enumerate(menu.costs):
        own = menu.rewards[i] - row[i]
        if own < 0:
            raise Malformed(f"type {i} loses {-own} wei by taking its item", field="rewards")
        for j, cost in enumerate(row):
            if menu.rewards[j] - cost > own:
                raise Malformed(f"type {i} prefers item {j} to its own", field="rewards")
