"""Menus of contracts: each type picks its own item, and the publisher cannot do better."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from incentives.contract_theory import (
    EXAMPLE,
    IntegerMenu,
    integer_menu,
    integer_rewards,
    publish,
    publish_knowing_types,
    verify_menu,
)
from registry.errors import Malformed


@st.composite
def markets(draw):
    gaps = draw(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=7))
    raw = draw(st.lists(st.floats(0.02, 1), min_size=len(gaps), max_size=len(gaps)))
    return (0.4 + np.cumsum(gaps)).tolist(), (np.array(raw) / sum(raw)).tolist()


@settings(max_examples=200)
@given(market=markets())
def test_every_type_joins_and_prefers_its_own_item(market):
    utilities = publish(EXAMPLE, *market).utilities()
    own = np.diag(utilities)
    assert (own >= -1e-12).all()
    assert (utilities <= own[:, None] + 1e-12).all()


@given(market=markets())
def test_frequencies_rewards_and_rents_rise_with_the_type(market):
    menu = publish(EXAMPLE, *market)
    rents = np.diag(menu.utilities())
    for values in (menu.frequencies, menu.rewards, rents):
        assert (np.diff(values) >= -1e-12).all()
    assert rents[0] == pytest.approx(0, abs=1e-12)


@given(market=markets())
def test_the_best_type_is_undistorted_unless_pooled(market):
    menu, known = publish(EXAMPLE, *market), publish_knowing_types(EXAMPLE, *market)
    if len(menu.blocks[-1]) == 1:
        assert menu.frequencies[-1] == pytest.approx(known.frequencies[-1], rel=1e-9)


@given(market=markets())
def test_hidden_types_never_raise_the_profit(market):
    assert publish(EXAMPLE, *market).profit <= publish_knowing_types(EXAMPLE, *market).profit + 1e-9


@settings(deadline=None, max_examples=15)
@given(market=markets())
def test_the_profit_is_that_of_the_full_problem_solved_directly(market):
    """Oracle: SLSQP over all (f, R) under every participation and incentive constraint."""
    types, shares = np.array(market[0]), np.array(market[1])
    menu, n = publish(EXAMPLE, *market), len(types)
    work = EXAMPLE.workload(types)

    def slack(z):
        f, rewards = z[:n], z[n:]
        values = rewards[None, :] - EXAMPLE.cost(types[:, None], f[None, :])
        own = np.diag(values)
        return np.concatenate([own, (own[:, None] - values)[~np.eye(n, dtype=bool)]])

    def loss(z):
        spare = EXAMPLE.time_max - EXAMPLE.time_com - work / z[:n]
        return -np.sum(shares * (EXAMPLE.omega * np.log(np.maximum(spare, 1e-9)) - z[n:]))

    start = np.concatenate([np.array(menu.frequencies) * 0.9, np.array(menu.rewards) * 1.1])
    bounds = [(1.0, EXAMPLE.f_max)] * n + [(0, None)] * n
    found = minimize(
        loss,
        start,
        method="SLSQP",
        bounds=bounds,
        constraints=[{"type": "ineq", "fun": slack}],
        options={"ftol": 1e-14, "maxiter": 800},
    )
    assert -found.fun * EXAMPLE.devices <= menu.profit * (1 + 1e-7)


def test_falling_items_are_pooled_until_none_falls():
    menu = publish(EXAMPLE, [0.5, 0.501, 0.502, 2.0], [0.25] * 4)
    assert menu.blocks == ((0, 1, 2), (3,))


def test_ten_thousand_types_are_ironed():
    rng = np.random.default_rng(7)
    types, shares = np.sort(rng.uniform(0.5, 3, 10_000)), rng.dirichlet(np.ones(10_000))
    menu = publish(EXAMPLE, types.tolist(), shares.tolist())
    assert (np.diff(menu.frequencies) >= 0).all()
    assert sum(len(b) for b in menu.blocks) == 10_000


@given(market=markets())
def test_an_integer_menu_keeps_participation_and_incentives_in_wei(market):
    whole = integer_menu(publish(EXAMPLE, *market), 10**18)
    verify_menu(whole)
    assert whole.rewards[0] == whole.costs[0][0]


def test_floored_rewards_would_break_participation():
    costs = ((10, 14), (7, 9))
    assert integer_rewards(costs) == (10, 12)
    with pytest.raises(Malformed):
        verify_menu(IntegerMenu((9, 12), costs))
    with pytest.raises(Malformed):
        verify_menu(IntegerMenu((10, 20), costs))


@pytest.mark.parametrize(
    ("types", "shares"),
    [([], []), ([1.0], [0.5, 0.5]), ([2.0, 1.0], [0.5, 0.5]), ([1.0, 2.0], [1.0, 0.0]), ([1e-9], [1.0])],
)
def test_markets_that_cannot_be(types, shares):
    with pytest.raises(Malformed):
        publish(EXAMPLE, types, shares)


def test_a_menu_on_chain_has_at_most_32_types():
    types = np.linspace(1, 3, 33).tolist()
    with pytest.raises(Malformed):
        integer_menu(publish(EXAMPLE, types, [1 / 33] * 33), 10**18)
