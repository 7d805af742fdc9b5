"""Mean waits in a block chain's mempool: two classes, priority first, equal-size transactions.

Any two-class order that serves H first, and in which the count waiting does not depend on order, obeys

    W_H = G(x_H) / x_H          W_L = (G(x) - G(x_H)) / x_L

with G(x) the mean number waiting at total rate x [R]. G(0) = 0, G is convex, so W = G/x rises.

>>> round(ExponentialBlocks(interval=5, capacity=1).wait(0.11), 9)  # M/M/1: 1 / (mu - x)
11.111111111
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from incentives.roots import increasing_zero
from registry.errors import Malformed

# Spitzer's series loses this many nats per term at least; below it the roots are the shorter way.
_FAST_DECAY = 0.6
_MOST_ROOTS = 1_000_000


class Queue(Protocol):
    """G, its slope and the mean wait of a stable arrival rate; an unstable rate is Malformed."""

    @property
    def limit(self) -> float:
        """The arrival rate that capacity can just not bear, tx/s."""

    def count(self, rate: float) -> float:
        """G: the mean number waiting."""

    def slope(self, rate: float) -> float:
        """G': what one more tx/s adds to the number waiting."""

    def wait(self, rate: float) -> float:
        """W = G/x in seconds; at rate 0 its limit G'(0)."""


@dataclass(frozen=True, slots=True)
class _Blocks:
    interval: float
    capacity: int

    def __post_init__(self) -> None:
        if not (self.interval > 0 and math.isfinite(self.interval)):
            raise Malformed(f"the block interval must be positive, got {self.interval}", field="T")
        if self.capacity < 1:
            raise Malformed(f"a block must hold at least one tx, got {self.capacity}", field="B")

    @property
    def limit(self) -> float:
        return self.capacity / self.interval

    def _load(self, rate: float) -> float:
        """Mean arrivals per block, refused at or above capacity."""
        if not 0 <= rate < self.limit:
            raise Malformed(f"rate {rate} is not within 0 and the capacity {self.limit} tx/s", field="x")
        return rate * self.interval


@dataclass(frozen=True, slots=True)
class ExponentialBlocks(_Blocks):
    """Blocks at exponential times with mean `interval`, each taking up to `capacity` tx.

    G = r/(1-r) with mu (r + ... + r^B) = x. Solved for G itself, because r near 1 has no digits left:
    with r = G/(1+G) the sum is G (1 - (1 + 1/G)^-B).
    """

    def count(self, rate: float) -> float:
        load = self._load(rate)
        if load == 0:
            return 0.0
        high = 2 * load + 1
        while self._served(high) < load and math.isfinite(high):
            high *= 2
        return increasing_zero(lambda g: self._served(g) - load, load, high)

    def slope(self, rate: float) -> float:
        """G' = T / (1 - r^B (1 + B (1 - r)))."""
        g = self.count(rate)
        if g == 0:
            return self.interval
        kept = math.log1p(self.capacity / (1 + g)) - self.capacity * math.log1p(1 / g)
        return self.interval / -math.expm1(kept)

    def wait(self, rate: float) -> float:
        return self.count(rate) / rate if rate > 0 else self.interval

    def _served(self, g: float) -> float:
        return -g * math.expm1(-self.capacity * math.log1p(1 / g))


@dataclass(frozen=True, slots=True)
class FixedBlocks(_Blocks):
    """A block every `interval` seconds with up to `capacity` tx, Poisson arrivals.

    Spitzer: G = a/2 + sum_k E[(Pois(ka) - kB)^+]/k and G' = T (1/2 + sum_k P(Pois(ka) >= kB)), a = xT.
    Near saturation the series is long and the B-1 roots of z^B = e^{a(z-1)} inside the unit circle
    give the same number: G = a/(2(B-a)) + sum_k (1/(1-z_k) - 1/2).
    """

    def count(self, rate: float) -> float:
        return self._moments(rate)[0]

    def slope(self, rate: float) -> float:
        return self._moments(rate)[1]

    def wait(self, rate: float) -> float:
        return self._moments(rate)[0] / rate if rate > 0 else self.interval / 2

    def _moments(self, rate: float) -> tuple[float, float]:
        load, size = self._load(rate), self.capacity
        if load == 0:
            return 0.0, self.interval / 2
        decay = size * math.log(size / load) - size + load
        count, slope = self._by_series(load) if decay >= _FAST_DECAY else self._by_roots(load)
        return count, slope * self.interval

    def _by_series(self, load: float) -> tuple[float, float]:
        count, slope, k = load / 2, 0.5, 0
        while True:
            k += 1
            excess, tail = poisson_excess(k * load, k * self.capacity)
            count, slope = count + excess / k, slope + tail
            if tail < 1e-18 * slope:
                return count, slope

    def _by_roots(self, load: float) -> tuple[float, float]:
        size = self.capacity
        if size > _MOST_ROOTS:
            raise Malformed(f"blocks of {size} tx this close to saturation are not evaluated", field="B")
        free = size - load
        z = unit_disc_roots(load, size)
        count = load / (2 * free) + float(np.sum((1 + z) / (2 * (1 - z))).real)
        slope = size / (2 * free * free) - float(np.sum(z / ((1 - z) * (size - load * z))).real)
        return count, slope


def poisson_excess(mean: float, level: int) -> tuple[float, float]:
    """(E[(X - level)^+], P(X >= level)) of a Poisson X whose mean is below `level`, all terms positive."""
    term = math.exp(level * math.log(mean) - mean - math.lgamma(level + 1))
    excess, tail, j = 0.0, term, 0
    while term * (j + 1) > 1e-17 * tail:
        j += 1
        term *= mean / (level + j)
        tail += term
        excess += j * term
    return excess, tail


def unit_disc_roots(load: float, size: int) -> NDArray[np.complex128]:
    """The size-1 solutions z != 1 of z^size = exp(load (z-1)) in the unit disc, by Newton steps."""
    turns: NDArray[np.complex128] = np.exp(2j * np.pi * np.arange(1, size) / size)
    ratio = load / size
    z: NDArray[np.complex128] = turns * np.exp(ratio * (turns - 1))
    for _ in range(200):
        image = turns * np.exp(ratio * (z - 1))
        step = (z - image) / (1 - ratio * image)
        z = z - step
        if size == 1 or np.max(np.abs(step)) < 1e-15:
            break
    return z
