"""The waiting-time formulas against textbook queues, a simulation-free oracle and each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from incentives.fwt import Waits
from incentives.queueing import ExponentialBlocks, FixedBlocks, poisson_excess
from registry.errors import Malformed

LOAD = st.floats(0.02, 0.97)
SIZE = st.integers(1, 60)
QUEUES = [cls(t, b) for cls in (ExponentialBlocks, FixedBlocks) for t, b in ((5.0, 1), (2.5, 8), (5.0, 20))]


@given(rho=LOAD, share=st.floats(0.05, 0.95), interval=st.floats(0.1, 20))
def test_one_tx_per_exponential_block_is_the_preemptive_mm1_queue(rho, share, interval):
    mu = 1 / interval
    x, x_high = rho * mu, rho * mu * share
    waits = Waits.at(ExponentialBlocks(interval, 1), x_high, x - x_high)
    assert waits.high == pytest.approx(1 / (mu - x_high), rel=1e-9)
    assert waits.low == pytest.approx(mu / ((mu - x_high) * (mu - x)), rel=1e-9)


@given(rho=LOAD, size=SIZE)
def test_the_exponential_root_satisfies_its_defining_sum(rho, size):
    queue = ExponentialBlocks(4.0, size)
    x = rho * queue.limit
    g = queue.count(x)
    r = g / (1 + g)
    powers = r ** np.arange(1, size + 1)
    assert powers.sum() / 4.0 == pytest.approx(x, rel=1e-10)
    slope = 1 / (np.sum(np.arange(1, size + 1) * powers / r) / 4.0) / (1 - r) ** 2
    assert queue.slope(x) == pytest.approx(slope, rel=1e-9)


@given(rho=st.floats(0.1, 0.7), size=st.integers(4, 60))
def test_spitzers_series_and_the_roots_are_the_same_number(rho, size):
    queue = FixedBlocks(1.0, size)
    series, roots = queue._by_series(rho * size), queue._by_roots(rho * size)
    assert series == pytest.approx(roots, rel=1e-9)


@pytest.mark.parametrize(("load", "size"), [(0.4, 1), (3.0, 4), (16.0, 20), (18.5, 20)])
def test_the_fixed_queue_agrees_with_the_stationary_chain(load, size):
    """Oracle: the transition matrix of (Q + A - B)^+ solved directly."""
    top = int(size + 40 / (1 - load / size))
    arrivals = poisson.pmf(np.arange(top + size + 1), load)
    chain = np.zeros((top, top))
    for q in range(top):
        for n, p in enumerate(arrivals):
            chain[q, min(top - 1, max(0, q + n - size))] += p
    system = np.vstack([chain.T - np.eye(top), np.ones(top)])
    stationary = np.linalg.lstsq(system, np.append(np.zeros(top), 1.0), rcond=None)[0]
    expected = stationary @ np.arange(top) + load / 2
    assert FixedBlocks(1.0, size).count(load) == pytest.approx(expected, rel=1e-5)


@given(mean=st.floats(0.01, 50), over=st.integers(1, 60))
def test_poisson_excess_is_the_textbook_tail(mean, over):
    level = math.ceil(mean) + over
    excess, tail = poisson_excess(mean, level)
    assert tail == pytest.approx(poisson.sf(level - 1, mean), rel=1e-9)
    direct = mean * poisson.sf(level - 2, mean) - level * poisson.sf(level - 1, mean)
    assert excess == pytest.approx(direct, rel=1e-6, abs=1e-13)


@pytest.mark.parametrize("queue", QUEUES)
def test_count_is_convex_and_wait_increasing_and_convex(queue):
    rates = np.linspace(0, 0.95 * queue.limit, 60)
    for values in ([queue.count(x) for x in rates], [queue.wait(x) for x in rates]):
        steps = np.diff(values)
        assert (steps > -1e-12).all()
        assert (np.diff(steps) > -1e-9).all()


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("rho", [0.001, 0.3, 0.7, 0.95, 0.9999])
def test_slope_is_the_derivative_of_count(queue, rho):
    x, h = rho * queue.limit, 1e-6 * (1 - rho) * rho * queue.limit
    measured = (queue.count(x + h) - queue.count(x - h)) / (2 * h)
    assert queue.slope(x) == pytest.approx(measured, rel=1e-4)


@pytest.mark.parametrize("queue", QUEUES)
def test_an_empty_system_waits_for_one_block_only(queue):
    assert queue.count(0) == 0
    assert queue.wait(0) == queue.slope(0) == pytest.approx(queue.wait(1e-7), rel=1e-6)


@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("factor", [-0.1, 1.0, 2.0, math.nan, math.inf])
def test_a_rate_outside_capacity_is_refused(queue, factor):
    with pytest.raises(Malformed):
        queue.count(factor * queue.limit)
