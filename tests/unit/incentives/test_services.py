"""Vickrey awards, bonds, bonuses and posted prices against lies and brute force; reputation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incentives.reputation import Opinion, admitted, combined, reputation, reputation_ppm
from incentives.services import (
    Ask,
    Award,
    Offer,
    audit_bond,
    posted_price,
    second_score,
    sla_bonus,
    uniform_price,
)
from registry.errors import Malformed

MONEY = st.integers(0, 15)
PPM = st.integers(1, 10**6)


@st.composite
def offers(draw):
    rows = draw(st.lists(st.tuples(MONEY, MONEY), min_size=1, max_size=6))
    return [Offer(f"e{k}", value, price) for k, (value, price) in enumerate(rows)]


@given(offers=offers(), lie=MONEY, reserve=st.integers(-3, 8))
def test_no_price_lie_gains_in_a_second_score_auction(offers, lie, reserve):
    true_cost = offers[0].price

    def gain(own):
        award = second_score([own, *offers[1:]], reserve_score=reserve)
        return award.payment - true_cost if award.winner == own.bidder else 0

    assert gain(Offer("e0", offers[0].value, lie)) <= gain(offers[0])
    assert gain(offers[0]) >= 0


@given(
    rows=st.lists(st.tuples(MONEY, MONEY), min_size=2, max_size=5), reserve=st.integers(-3, 8), data=st.data()
)
def test_seeing_the_others_prices_first_is_no_advantage(rows, reserve, data):
    """Bidders come in any order and see every price before theirs; the last word cannot beat the truth."""
    costs = [cost for _, cost in rows]
    seen = []
    for k, (value, _) in enumerate(rows):
        price = data.draw(MONEY, label=f"price that bidder {k} states after reading {seen}")
        seen.append(Offer(f"e{k}", value, price))
    last = len(rows) - 1

    def gain(price):
        own = Offer(f"e{last}", rows[last][0], price)
        award = second_score([*seen[:-1], own], reserve_score=reserve)
        return award.payment - costs[last] if award.winner == own.bidder else 0

    assert max(gain(price) for price in range(17)) == max(0, gain(costs[last]))


@given(offers=offers(), reserve=st.integers(-3, 8))
def test_the_buyer_keeps_at_least_its_reserve_score(offers, reserve):
    award = second_score(offers, reserve_score=reserve)
    best = max(o.score for o in offers)
    if award.winner is None:
        assert best < reserve and award.payment == 0
    else:
        winner = next(o for o in offers if o.bidder == award.winner)
        assert winner.score == best and winner.value - award.payment >= reserve


def test_score_ties_go_to_the_lower_id():
    assert second_score([Offer("e9", 5, 1), Offer("e10", 5, 1)], reserve_score=0) == Award("e10", 1)


@given(prices=st.lists(MONEY, min_size=1, max_size=7), lie=MONEY, slots=st.integers(0, 4), reserve=MONEY)
def test_no_ask_lie_gains_in_uniform_procurement(prices, lie, slots, reserve):
    def gain(own):
        asks = [Ask("a0", own), *(Ask(f"a{k}", p) for k, p in enumerate(prices[1:], start=1))]
        found = uniform_price(asks, slots=slots, reserve=reserve)
        return found.price - prices[0] if "a0" in found.winners else 0

    assert gain(lie) <= gain(prices[0])
    assert gain(prices[0]) >= 0


@given(prices=st.lists(MONEY, max_size=7), slots=st.integers(0, 4), reserve=MONEY)
def test_the_cheapest_slots_are_bought_at_one_price_within_the_reserve(prices, slots, reserve):
    found = uniform_price([Ask(f"a{k}", p) for k, p in enumerate(prices)], slots=slots, reserve=reserve)
    kept = sorted(p for p in prices if p <= reserve)
    assert [prices[int(w[1:])] for w in found.winners] == kept[:slots]
    assert all(prices[int(w[1:])] <= found.price <= reserve for w in found.winners)


@given(cost=st.integers(0, 10**6), wage=st.integers(0, 10**6), p_ppm=PPM)
def test_the_bond_is_the_least_that_makes_honest_work_best(cost, wage, p_ppm):
    def honest_is_best(bond):
        return (wage - cost) * 10**6 >= (10**6 - p_ppm) * wage - p_ppm * bond

    bond = audit_bond(cost=cost, wage=wage, p_ppm=p_ppm)
    assert honest_is_best(bond)
    assert bond == 0 or not honest_is_best(bond - 1)


@given(effort=st.integers(0, 10**9), low=st.integers(0, 10**6 - 1), rise=PPM)
def test_the_bonus_is_the_least_that_makes_effort_pay(effort, low, rise):
    high = min(10**6, low + rise)
    bonus = sla_bonus(effort=effort, high_ppm=high, low_ppm=low)
    assert bonus * (high - low) >= effort * 10**6
    assert bonus == 0 or (bonus - 1) * (high - low) < effort * 10**6


@given(
    weights=st.lists(st.floats(0.01, 20), max_size=7),
    cost=st.floats(0.05, 3),
    capacity=st.floats(0, 30),
)
def test_no_price_on_a_dense_grid_earns_more(weights, cost, capacity):
    found = posted_price(weights, cost=cost, capacity=capacity)
    assert sum(found.rates) <= capacity * (1 + 1e-9) + 1e-9
    assert found.profit == pytest.approx((found.price - cost) * sum(found.rates), abs=1e-9)
    for price in np.linspace(cost, max([cost, *weights]) + 1, 800):
        sold = sum(max(0.0, w / price - 1) for w in weights)
        if sold <= capacity:
            assert (price - cost) * sold <= found.profit * (1 + 1e-9) + 1e-9


def test_what_the_awards_refuse():
    with pytest.raises(Malformed):
        second_score([Offer("a", 1, 1), Offer("a", 2, 1)], reserve_score=0)
    with pytest.raises(Malformed):
        uniform_price([Ask("a", 1)], slots=-1, reserve=5)
    with pytest.raises(Malformed):
        audit_bond(cost=1, wage=1, p_ppm=0)
    with pytest.raises(Malformed):
        sla_bonus(effort=1, high_ppm=5, low_ppm=5)


OPINIONS = st.builds(Opinion, st.integers(0, 50), st.integers(0, 50), st.floats(0, 1), st.floats(0, 1))


@given(opinion=OPINIONS)
def test_a_reputation_is_a_probability_and_good_rounds_raise_it(opinion):
    now = reputation(opinion, weights=(0.4, 0.6))
    assert 0 <= now <= 1 + 1e-12
    if opinion.positive + opinion.negative:
        better = Opinion(opinion.positive + 1, opinion.negative, opinion.uncertainty, opinion.prior)
        assert reputation(better, weights=(0.4, 0.6)) >= now - 1e-12


@given(good=st.integers(0, 50), bad=st.integers(0, 50), u=st.integers(0, 10**6), prior=st.integers(0, 10**6))
def test_the_ppm_reputation_is_the_floor_of_the_real_one(good, bad, u, prior):
    ppm = reputation_ppm(good, bad, u_ppm=u, prior_ppm=prior, weights=(4, 6))
    real = reputation(Opinion(good, bad, u / 10**6, prior / 10**6), weights=(4.0, 6.0)) * 10**6
    assert ppm <= real + 1e-6 and real < ppm + 1 + 1e-6


def test_opinions_are_averaged_by_freshness_and_gate_the_menu():
    assert combined([(1.0, 1.0), (0.0, 3.0)]) == 0.25
    assert admitted({"a": 700_000, "b": 699_999}, threshold_ppm=700_000) == ("a",)
    with pytest.raises(Malformed):
        combined([])
    with pytest.raises(Malformed):
        Opinion(1, -1, 0.5, 0.5)
    with pytest.raises(Malformed):
        Opinion(1, 1, 1.5, 0.5)
