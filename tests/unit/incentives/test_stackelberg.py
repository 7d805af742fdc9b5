"""Devices answer a posted rate as well as they can, and the server posts as well as it can."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import lambertw

from incentives.stackelberg import (
    Device,
    Server,
    best_response,
    entry_point,
    participation,
    pay,
    post_reward,
    reward_for,
    theta_ppm,
    utility,
)
from registry.errors import Malformed

DEVICES = st.builds(Device, st.floats(0.01, 3), st.floats(0.05, 3))
SERVERS = st.builds(
    Server,
    beta=st.floats(5, 100),
    a=st.floats(0.05, 0.5),
    b=st.just(0.0),
    delta=st.floats(2, 15),
    theta_max=st.floats(0.3, 1),
    reward_max=st.just(80.0),
    k_min=st.integers(1, 3),
)


@given(device=DEVICES, reward=st.floats(0.1, 60))
def test_the_best_response_is_lamberts_other_branch(device, reward):
    g = (reward + device.communication) / device.computation - 1
    assume(1 + 1e-6 < g < 700)
    expected = -1 / lambertw(-math.exp(-g), k=-1).real
    assert best_response(device, reward) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=300)
@given(device=DEVICES, reward=st.floats(0, 60), other=st.floats(1e-6, 1))
def test_no_accuracy_beats_the_best_response(device, reward, other):
    best = utility(device, reward, best_response(device, reward))
    assert utility(device, reward, other) <= best + 1e-12 * (1 + reward)


@given(device=DEVICES, theta=st.floats(0.001, 0.99))
def test_the_inverse_rate_buys_its_accuracy(device, theta):
    reward = reward_for(device, theta)
    assume(reward >= 0)
    assert best_response(device, reward) == pytest.approx(theta, rel=1e-8)


@given(device=DEVICES)
def test_at_its_threshold_a_device_gains_nothing(device):
    reward, theta = participation(device)
    assert best_response(device, reward) == pytest.approx(theta, rel=1e-7)
    assert utility(device, reward, theta) == pytest.approx(0, abs=1e-9 * (1 + reward))


@given(device=DEVICES, reward=st.floats(0.1, 50), more=st.floats(0, 5))
def test_accuracy_improves_with_the_rate_and_worsens_with_the_cost_of_work(device, reward, more):
    assert best_response(device, reward + more) <= best_response(device, reward) + 1e-15
    dearer = Device(device.communication, device.computation + more)
    assert best_response(dearer, reward) >= best_response(device, reward) - 1e-15


@pytest.mark.parametrize("g", [1e3, 1e8, 1e300])
def test_a_rate_beyond_the_exponential_still_has_its_root(g):
    y = 1 / best_response(Device(0.0, 1.0), g + 1)
    assert y - math.log(y) == pytest.approx(g, rel=1e-12)


@settings(deadline=None, max_examples=25)
@given(server=SERVERS, devices=st.lists(DEVICES, min_size=3, max_size=6))
def test_no_rate_on_a_grid_beats_the_posted_one(server, devices):
    """Oracle: the leader's utility recomputed from scratch at 400 rates and at every entry point."""
    assume(sorted(entry_point(server, d) for d in devices)[server.k_min - 1] <= server.reward_max)
    posted = post_reward(server, devices)
    entries = [entry_point(server, d) for d in devices]
    for reward in [*np.linspace(0, server.reward_max, 400), *(e for e in entries if e <= server.reward_max)]:
        thetas = [best_response(d, reward) for d, e in zip(devices, entries, strict=True) if e <= reward]
        if len(thetas) >= server.k_min:
            gain = server.value(max(thetas)) - reward * sum(1 - t for t in thetas)
            assert gain <= posted.server_utility + 1e-7 * (1 + abs(gain))


@settings(deadline=None, max_examples=40)
@given(server=SERVERS, devices=st.lists(DEVICES, min_size=3, max_size=6))
def test_everyone_hired_gains_and_reaches_the_admitted_accuracy(server, devices):
    assume(sorted(entry_point(server, d) for d in devices)[server.k_min - 1] <= server.reward_max)
    posted = post_reward(server, devices)
    assert len(posted.hired) >= server.k_min
    for hire in posted.hired:
        assert hire.utility >= -1e-9 * (1 + posted.reward)
        assert hire.theta <= server.theta_max * (1 + 1e-9)
        assert hire.payment == pytest.approx(posted.reward * (1 - hire.theta))


def test_without_a_minimum_the_leader_hires_few():
    devices = [Device(0.3, 0.5), Device(0.4, 0.6), Device(0.2, 0.9), Device(0.6, 0.4)]
    server = Server(60, 0.3, 0.0, 10, 0.8, 60, k_min=1)
    assert len(post_reward(server, devices).hired) == 1


def test_a_rate_limit_nobody_accepts_is_malformed():
    with pytest.raises(Malformed):
        post_reward(Server(60, 0.3, 0.0, 10, 0.8, 0.1, k_min=1), [Device(3.0, 3.0)])
    with pytest.raises(Malformed):
        Device(-1.0, 1.0)


@given(before=st.integers(0, 10**12), after=st.integers(0, 10**12))
def test_theta_ppm_is_the_floored_capped_ratio(before, after):
    theta = theta_ppm(loss_before=before, loss_after=after)
    assert 0 <= theta <= 10**6
    if before and after <= before:
        assert theta * before <= 10**6 * after < (theta + 1) * before
    else:
        assert theta == 10**6


@given(rate=st.integers(0, 10**30), theta=st.integers(0, 10**6))
def test_payments_floor_and_stay_within_the_rate(rate, theta):
    assert pay(rate, theta) * 10**6 <= rate * (10**6 - theta) < (pay(rate, theta) + 1) * 10**6
    assert pay(rate, theta) <= rate


def test_a_theta_beyond_a_million_is_malformed():
    with pytest.raises(Malformed):
        pay(1, 10**6 + 1)
