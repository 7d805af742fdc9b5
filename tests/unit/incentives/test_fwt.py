"""FWT's promises: the equilibrium is the optimum, nobody gains by deviating, and money only changes hands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from incentives.fwt import Game, Rates, Users, Waits, equilibrium, optimal_taxes, optimum, utility, welfare
from incentives.fwt_baselines import bidding_market, fifo_welfare, one_fee, two_fees
from incentives.queueing import ExponentialBlocks, FixedBlocks
from registry.errors import Malformed


@st.composite
def games(draw):
    queue = draw(st.sampled_from([ExponentialBlocks, FixedBlocks]))(
        draw(st.floats(1, 10)), draw(st.integers(1, 30))
    )
    low_cost = draw(st.floats(0.1, 2))
    storage = draw(st.floats(0.01, 10))
    return Game(
        Users(draw(st.integers(1, 40)), draw(st.floats(0.5, 10)), low_cost * draw(st.floats(1, 6))),
        Users(draw(st.integers(1, 40)), draw(st.floats(0.5, 10)), low_cost),
        kappa=draw(st.floats(0.01, 0.1)),
        storage=storage,
        own_storage=storage / draw(st.integers(1, 40)),
        queue=queue,
    )


GAME = Game(Users(20, 6.0, 4.0), Users(20, 3.0, 1.0), 0.02, 3.0, 0.3, ExponentialBlocks(5, 20))


@settings(deadline=None, max_examples=60)
@given(game=games())
def test_the_taxed_equilibrium_is_the_social_optimum(game):
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    played = equilibrium(game, game.storage + taxes.atomic_high, game.storage + taxes.atomic_low)
    assert played.high == pytest.approx(best.high, rel=1e-8, abs=1e-12)
    assert played.low == pytest.approx(best.low, rel=1e-8, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(game=games(), high=st.floats(0.5, 1.5), low=st.floats(0.5, 1.5))
def test_no_other_rates_have_more_welfare(game, high, low):
    best = optimum(game)
    other = Rates(best.high * high, best.low * low)
    if sum(other.totals(game)) < game.queue.limit:
        assert welfare(game, other) <= welfare(game, best) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize("queue", [ExponentialBlocks(5, 20), ExponentialBlocks(2.5, 8), FixedBlocks(5, 10)])
def test_direct_optimisation_over_every_users_rate_finds_the_same_optimum(queue):
    """Oracle: SLSQP over all N rates at once, told nothing about symmetry or first-order conditions."""
    game = Game(Users(3, 4.0, 3.0), Users(4, 2.0, 0.8), 0.03, 2.0, 0.4, queue)
    best, n = optimum(game), 7
    scales = np.array([4.0] * 3 + [2.0] * 4)

    def loss(rates):
        x_high, x = rates[:3].sum(), rates.sum()
        delay = (3.0 - 0.8) * queue.count(x_high) + 0.8 * queue.count(x)
        return -(np.sum(scales * np.log1p(rates / 0.03)) - delay - 2.0 * x)

    def gradient(rates):
        delay = np.full(n, 0.8 * queue.slope(rates.sum()))
        delay[:3] += (3.0 - 0.8) * queue.slope(rates[:3].sum())
        return -(scales / (0.03 + rates) - delay - 2.0)

    room = {"type": "ineq", "fun": lambda rates: 0.98 * queue.limit - rates.sum()}
    start = np.full(n, 0.02)
    bounds = [(1e-9, 2 * queue.limit / n)] * n
    for _ in range(4):  # SLSQP stalls where the queue turns steep; a restart forgets its stale curvature
        found = minimize(
            loss,
            start,
            jac=gradient,
            method="SLSQP",
            bounds=bounds,
            constraints=[room],
            options={"ftol": 1e-15, "maxiter": 500},
        )
        start = found.x
    assert -found.fun == pytest.approx(welfare(game, best), rel=1e-8)
    assert found.x[:3] == pytest.approx(np.full(3, best.high), rel=1e-3)
    assert found.x[3:] == pytest.approx(np.full(4, best.low), rel=1e-3)


def best_gain(game, kind, choice):
    """The most one user adds to its utility by any rate in class `choice`, relative to what it has."""
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    honest_rate = best.high if kind == "H" else best.low
    honest = utility(game, taxes, best, kind, kind, honest_rate)
    room = 0.999 * (game.queue.limit - sum(best.totals(game)) + honest_rate)
    top = min(room, 20 * honest_rate + 0.1)
    found = minimize_scalar(
        lambda rate: -utility(game, taxes, best, kind, choice, rate),
        bounds=(0, top),
        method="bounded",
        options={"xatol": 1e-13 * top},
    )
    return (-found.fun - honest) / max(abs(honest), 1e-3)


@settings(deadline=None, max_examples=25)
@given(game=games(), kind=st.sampled_from("HL"))
def test_no_user_gains_by_another_rate(game, kind):
    assert best_gain(game, kind, kind) <= 1e-9


@pytest.mark.parametrize("queue", [ExponentialBlocks(5, 20), ExponentialBlocks(2.5, 8), FixedBlocks(5, 20)])
@pytest.mark.parametrize("users", [20, 40])
@pytest.mark.parametrize(("kind", "choice"), ["HH", "HL", "LH", "LL"])
def test_no_user_of_unlike_types_gains_by_another_rate_or_class(queue, users, kind, choice):
    game = Game(Users(users, 6.0, 4.0), Users(users, 3.0, 1.0), 0.02, 3.0, 0.3, queue)
    assert best_gain(game, kind, choice) <= 1e-9


def test_nearly_like_types_do_gain_by_swapping_classes():
    """The known limit of the four type-structured rates: they separate unlike types only."""
    game = Game(Users(20, 6.0, 1.001), Users(20, 3.0, 1.0), 0.02, 3.0, 0.3, ExponentialBlocks(5, 20))
    assert 1e-3 < best_gain(game, "H", "L") < 0.1


@settings(deadline=None, max_examples=60)
@given(game=games())
def test_staying_away_costs_nothing_and_joining_never_less(game):
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    for kind, rate in (("H", best.high), ("L", best.low)):
        away = utility(game, taxes, best, kind, kind, 0.0)
        assert away >= 0
        assert utility(game, taxes, best, kind, kind, rate) >= away - 1e-9


@settings(deadline=None, max_examples=60)
@given(game=games())
def test_every_tax_unit_is_another_users_receipt(game):
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    x_high, x_low = best.totals(game)
    paid = x_high * taxes.atomic_high + x_low * taxes.atomic_low
    to_high = x_high * taxes.p_hh * (game.high.count - 1) + x_low * taxes.p_lh * game.high.count
    to_low = x_high * taxes.p_hl * game.low.count + x_low * taxes.p_ll * (game.low.count - 1)
    assert paid == pytest.approx(to_high + to_low, rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(game=games())
def test_the_tax_gap_lies_between_what_the_two_types_would_pay_for_speed(game):
    best = optimum(game)
    if min(best.high, best.low) == 0:
        return
    taxes = optimal_taxes(game, best)
    waits = Waits.at(game.queue, *best.totals(game))
    saved, gap = waits.low - waits.high, taxes.taking_high - taxes.taking_low
    slack = 1e-7 * (1 + abs(gap))
    assert game.low.delay_cost * saved - slack <= gap <= game.high.delay_cost * saved + slack


@settings(deadline=None, max_examples=40)
@given(game=games())
def test_no_baseline_beats_the_optimum(game):
    top = welfare(game, optimum(game))
    slack = 1e-9 * (1 + abs(top))
    assert fifo_welfare(game, one_fee(game)) <= top + slack
    assert welfare(game, two_fees(game).rates) <= top + slack
    assert welfare(game, bidding_market(game)) <= top + slack


@settings(deadline=None, max_examples=40)
@given(game=games())
def test_the_separating_premium_makes_the_low_type_indifferent(game):
    found = two_fees(game)
    waits = Waits.at(game.queue, *found.rates.totals(game))
    assert found.premium == pytest.approx(game.low.delay_cost * (waits.low - waits.high), rel=1e-9, abs=1e-9)


def test_first_come_first_served_users_best_reply_to_each_other():
    """Oracle: each user's own payoff maximised numerically at the claimed equilibrium."""
    rates = one_fee(GAME)
    total = sum(rates.totals(GAME))
    for users, rate in ((GAME.high, rates.high), (GAME.low, rates.low)):

        def loss(own, users=users, rate=rate):
            wait = GAME.queue.wait(total - rate + own)
            return own * (GAME.own_storage + users.delay_cost * wait) - users.scale * np.log1p(
                own / GAME.kappa
            )

        found = minimize_scalar(
            loss, bounds=(0, 4.0 - total + rate - 1e-6), method="bounded", options={"xatol": 1e-12}
        )
        assert found.x == pytest.approx(rate, rel=1e-5)


@pytest.mark.parametrize(("n_high", "n_low"), [(0, 1), (1, 0), (1, 1), (0, 0)])
def test_games_with_a_missing_class_are_solved_too(n_high, n_low):
    game = Game(Users(n_high, 6.0, 4.0), Users(n_low, 3.0, 1.0), 0.02, 3.0, 0.3, ExponentialBlocks(5, 20))
    best = optimum(game)
    taxes = optimal_taxes(game, best)
    played = equilibrium(game, game.storage + taxes.atomic_high, game.storage + taxes.atomic_low)
    assert (played.high, played.low) == pytest.approx((best.high, best.low), rel=1e-9)
    assert (best.high > 0, best.low > 0) == (n_high > 0, n_low > 0)
    for rates in (one_fee(game), two_fees(game).rates, bidding_market(game)):
        assert (rates.high > 0, rates.low > 0) == (n_high > 0, n_low > 0)


def test_storage_dearer_than_any_use_leaves_the_chain_empty():
    game = Game(Users(5, 1.0, 4.0), Users(5, 1.0, 1.0), 0.02, 1000.0, 1000.0, ExponentialBlocks(5, 20))
    assert optimum(game) == Rates(0.0, 0.0)
    assert one_fee(game) == Rates(0.0, 0.0)


def test_high_types_must_mind_waiting_more():
    with pytest.raises(Malformed):
        Game(Users(1, 1.0, 1.0), Users(1, 1.0, 2.0), 0.02, 1.0, 1.0, ExponentialBlocks(5, 20))
