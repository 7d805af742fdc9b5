"""Differential privacy of a device's measurements: clip each sample's gradient, add Gaussian noise.

The guarantee is per measurement: two runs whose reports differ by the presence of one row of one device are
(ε, δ)-indistinguishable to whoever sees every update of that device (Abadi et al., 2016, without
subsampling: every local step uses all the device's rows). A device's reports along a street resemble each
other, so what is promised for one row is not promised for a whole way; and the figures that a manifest
states about the cell (its held-out error, its channel statistics) are not covered.

Accounting is by Rényi differential privacy: K steps of noise multiplier σ have divergence Kα/(2σ²) at order
α (Mironov, 2017), turned into ε by the conversion of Canonne, Kamath and Steinke (2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p
from statistics import fmean

import numpy as np

from registry.demo.federated import Cohort, Schedule, SlopeRule, federate
from registry.demo.learner import Samples, Twin, clipped_gradient_sum, draw_twin
from registry.demo.radio import Floats
from registry.demo.transfer import TARGET_MARGIN, Comparison, Savings, summarise

ORDERS = tuple(1.0 + i / 20.0 for i in range(1, 200)) + tuple(float(a) for a in range(11, 512))


@dataclass(frozen=True, slots=True)
class Privacy:
    """The terms under which measurements are used; `sigma` is the noise over the clip."""

    clip: float
    sigma: float
    epsilon: float
    delta: float


def epsilon_spent(steps: int, sigma: float, delta: float) -> float:
    """The ε of so many noisy steps at this δ, an upper bound."""
    rho = steps / (2.0 * sigma**2)
    return max(0.0, min(rho * a + log1p(-1.0 / a) - (log(delta) + log(a)) / (a - 1.0) for a in ORDERS))


def calibrate(steps: int, *, epsilon: float, delta: float, clip: float) -> Privacy:
    """The least noise, to one part in 10⁴, with which so many steps spend at most ε."""
    low, high = 1e-2, 1.0
    while epsilon_spent(steps, high, delta) > epsilon:
        low, high = high, 2.0 * high
    while high - low > 1e-4 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if epsilon_spent(steps, middle, delta) > epsilon else (low, middle)
    return Privacy(clip, high, epsilon_spent(steps, high, delta), delta)


def noisy_slope(privacy: Privacy) -> SlopeRule:
    """The gradient rule of a device that keeps its measurements private."""

    def slope(twin: Twin, samples: Samples, rng: np.random.Generator, /) -> Floats:
        clean = clipped_gradient_sum(twin, samples, privacy.clip)
        noise = rng.standard_normal(clean.size) * (privacy.sigma * privacy.clip)
        return np.asarray((clean + noise) / len(samples), dtype=np.float64)

    return slope


@dataclass(frozen=True, slots=True)
class PrivacyCost:
    """What privacy cost: rounds to the error that both reach, and error after all rounds."""

    rounds: Savings
    error_db: float


def privacy_cost(cohorts: Sequence[tuple[int, Cohort]], schedule: Schedule, privacy: Privacy) -> PrivacyCost:
    """Train each seed with and without noise; the target is 5 % above the best error of the *noisy* run.

    So the noisy run always arrives, and the clean one has the same number of rounds to do so.
    """
    runs, errors = [], []
    for seed, cohort in cohorts:
        start = draw_twin(np.random.default_rng([seed, 0]))
        rng = np.random.default_rng([seed, 1])
        noisy = federate(start, cohort, schedule, rng, slope=noisy_slope(privacy))
        target = TARGET_MARGIN * min(r.error_db for r in noisy.rounds)
        noisy_rounds = next(r.number for r in noisy.rounds if r.error_db <= target)
        clean = federate(start, cohort, schedule, np.random.default_rng([seed, 1]))
        clean_rounds = next((r.number for r in clean.rounds if r.error_db <= target), schedule.rounds)
        runs.append(Comparison(seed, target, noisy_rounds, clean_rounds, clean.error_db <= target))
        errors.append(min(r.error_db for r in noisy.rounds) - min(r.error_db for r in clean.rounds))
    return PrivacyCost(summarise(runs), fmean(errors))
