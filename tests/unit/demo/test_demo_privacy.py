"""Differential privacy: the stated epsilon covers the exact one, and the cost is counted honestly."""

from math import exp, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.demo.federated import Schedule, cohort_of
from registry.demo.learner import SIZES, Samples, clipped_gradient_sum, draw_twin, parameter_count
from registry.demo.privacy import Privacy, calibrate, epsilon_spent, noisy_slope, privacy_cost
from registry.demo.uplink import Uplink
from registry.demo.world import BuiltinSource, plan_cells

PHI = NormalDist().cdf


def exact_delta(epsilon, steps, sigma):
    """δ(ε) of so many Gaussian steps: one Gaussian of μ = √steps / σ (Balle and Wang, 2018)."""
    mu = sqrt(steps) / sigma
    return PHI(mu / 2 - epsilon / mu) - exp(epsilon) * PHI(-mu / 2 - epsilon / mu)


@settings(max_examples=40, deadline=None)
@given(steps=st.integers(1, 500), noise=st.floats(0.5, 5.0), power=st.integers(3, 9))
def test_the_stated_epsilon_covers_the_exact_one(steps, noise, power):
    delta, sigma = 10.0**-power, noise * sqrt(steps)
    epsilon = epsilon_spent(steps, sigma, delta)
    assert exact_delta(epsilon, steps, sigma) <= delta * (1 + 1e-9)


def test_the_accountant_is_not_wasteful():
    # The exact curve at nine tenths of the stated epsilon already needs a larger delta.
    epsilon = epsilon_spent(150, 7.81, 1e-5)
    assert exact_delta(0.9 * epsilon, 150, 7.81) > 1e-5


def test_more_steps_and_less_noise_spend_more():
    base = epsilon_spent(100, 8.0, 1e-5)
    assert epsilon_spent(200, 8.0, 1e-5) > base
    assert epsilon_spent(100, 4.0, 1e-5) > base
    assert epsilon_spent(100, 8.0, 1e-7) > base


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 8.0])
def test_calibration_spends_just_what_is_allowed(epsilon):
    terms = calibrate(150, epsilon=epsilon, delta=1e-5, clip=0.3)
    assert terms.epsilon == epsilon_spent(150, terms.sigma, 1e-5)
    assert 0.99 * epsilon <= terms.epsilon <= epsilon


def test_the_noise_has_the_stated_size():
    rng = np.random.default_rng(0)
    samples = Samples(rng.standard_normal((50, SIZES[0])), rng.standard_normal((50, SIZES[-1])))
    twin, terms = draw_twin(rng), Privacy(clip=0.3, sigma=2.0, epsilon=1.0, delta=1e-5)
    clean = clipped_gradient_sum(twin, samples, 0.3) / 50
    slopes = [noisy_slope(terms)(twin, samples, rng) - clean for _ in range(40)]
    assert np.std(slopes) == pytest.approx(2.0 * 0.3 / 50, rel=0.03)
    assert slopes[0].size == parameter_count(SIZES)


def test_overwhelming_noise_costs_accuracy_and_the_private_run_sets_the_target():
    cell = plan_cells(1, "new-cell")[0]
    source = BuiltinSource(mean_samples=60)
    cohorts = [(s, cohort_of(cell, source.tracks(cell, 3, s), Uplink())) for s in (1, 2)]
    terms = calibrate(24, epsilon=0.2, delta=1e-6, clip=0.3)
    cost = privacy_cost(cohorts, Schedule(4), terms)
    assert cost.error_db > 0.0
    assert cost.rounds.mean >= 0.0
    assert all(0 <= r.cold_rounds <= 4 for r in cost.rounds.runs)
