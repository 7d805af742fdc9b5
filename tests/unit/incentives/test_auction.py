"""The auctions against brute force: best sets, truthful payments, exact ties."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incentives.auction import Bid, dual_bound, greedy, greedy_integer, optimal_welfare, user_order, vcg
from registry.errors import Malformed, TooLarge

MONEY = st.integers(0, 12)  # small on purpose: ties are common
ONE_BID = st.tuples(MONEY, MONEY, st.integers(1, 4))


@st.composite
def single_bids(draw):
    rows = draw(st.lists(ONE_BID, max_size=6))
    return [Bid(f"u{k}", value, claim, channels) for k, (value, claim, channels) in enumerate(rows)]


@st.composite
def multi_bids(draw):
    rows = draw(st.lists(st.tuples(st.sampled_from("abcd"), ONE_BID), max_size=7))
    return [Bid(user, value, claim, channels) for user, (value, claim, channels) in rows]


def best_by_force(bids, capacity):
    users = sorted({b.user for b in bids})
    choices = [[None, *(b for b in bids if b.user == u)] for u in users]
    best = 0
    for picked in product(*choices):
        won = [b for b in picked if b]
        if sum(b.channels for b in won) <= capacity:
            best = max(best, sum(b.surplus for b in won))
    return best


def earned(bids, outcome, user, costs):
    """What `user` gains when its bids truly cost `costs` (by index)."""
    for k in outcome.winners:
        if bids[k].user == user:
            return outcome.payments[user] - costs[k]
    return 0


@given(bids=multi_bids(), capacity=st.integers(0, 12))
def test_vcg_finds_the_best_set_of_all(bids, capacity):
    outcome = vcg(bids, capacity)
    assert outcome.welfare == best_by_force(bids, capacity)
    assert outcome.welfare == sum(bids[k].surplus for k in outcome.winners)
    assert sum(bids[k].channels for k in outcome.winners) <= capacity
    assert len({bids[k].user for k in outcome.winners}) == len(outcome.winners)


@given(bids=multi_bids(), capacity=st.integers(0, 12))
def test_vcg_pays_between_claim_and_value(bids, capacity):
    outcome = vcg(bids, capacity)
    for k in outcome.winners:
        assert bids[k].claim <= outcome.payments[bids[k].user] <= bids[k].value


@settings(max_examples=300)
@given(
    bids=multi_bids(),
    capacity=st.integers(0, 12),
    user=st.sampled_from("abcd"),
    lies=st.lists(MONEY, min_size=7, max_size=7),
)
def test_no_joint_lie_beats_the_truth_under_vcg(bids, capacity, user, lies):
    costs = [b.claim for b in bids]
    lied = [
        Bid(b.user, b.value, lie, b.channels) if b.user == user else b
        for b, lie in zip(bids, lies, strict=False)
    ]
    honest = earned(bids, vcg(bids, capacity), user, costs)
    assert earned(lied, vcg(lied, capacity), user, costs) <= honest


@settings(max_examples=300)
@given(bids=single_bids(), capacity=st.integers(0, 10), who=st.integers(0, 5), lie=MONEY)
def test_no_lie_beats_the_truth_under_integer_greedy(bids, capacity, who, lie):
    if who >= len(bids):
        return
    costs = [b.claim for b in bids]
    lied = list(bids)
    lied[who] = Bid(bids[who].user, bids[who].value, lie, bids[who].channels)
    honest = earned(bids, greedy_integer(bids, capacity), f"u{who}", costs)
    assert earned(lied, greedy_integer(lied, capacity), f"u{who}", costs) <= honest


@given(bids=single_bids(), capacity=st.integers(0, 10))
def test_an_integer_payment_is_the_largest_claim_that_still_wins(bids, capacity):
    """Oracle: rerun the whole auction at the payment and one above it."""
    outcome = greedy_integer(bids, capacity)
    for k in outcome.winners:
        paid = outcome.payments[bids[k].user]
        for claim, wins in ((paid, True), (paid + 1, False)):
            again = list(bids)
            again[k] = Bid(bids[k].user, bids[k].value, claim, bids[k].channels)
            assert (k in greedy_integer(again, capacity).winners) is wins


@given(bids=single_bids(), capacity=st.integers(0, 10))
def test_critical_payments_bound_the_integer_ones(bids, capacity):
    exact, whole = greedy(bids, capacity), greedy_integer(bids, capacity)
    assert exact.winners == whole.winners
    for user, paid in exact.payments.items():
        assert paid - 1 <= whole.payments[user] <= paid


@given(bids=single_bids(), capacity=st.integers(0, 10), who=st.integers(0, 5), cut=st.integers(0, 12))
def test_a_winner_that_asks_less_still_wins(bids, capacity, who, cut):
    if who not in greedy(bids, capacity).winners:
        return
    bid = bids[who]
    lower = list(bids)
    lower[who] = Bid(bid.user, bid.value, max(0, bid.claim - cut), bid.channels)
    assert who in greedy(lower, capacity).winners


@given(bids=single_bids(), capacity=st.integers(0, 10))
def test_greedy_is_at_most_the_optimum_and_that_at_most_the_dual(bids, capacity):
    assert greedy(bids, capacity).welfare <= optimal_welfare(bids, capacity) <= dual_bound(bids, capacity)


@given(bids=multi_bids(), capacity=st.integers(0, 12), price=st.fractions(0, 15))
def test_no_price_gives_a_lower_bound_than_the_dual(bids, capacity, price):
    gains = sum(
        max([Fraction(0), *(b.surplus - price * b.channels for b in bids if b.user == u)])
        for u in {b.user for b in bids}
    )
    assert dual_bound(bids, capacity) <= capacity * price + gains


@given(
    bids=multi_bids(), capacity=st.integers(0, 12), scale=st.integers(1, 10**20), unit=st.integers(1, 10**6)
)
def test_the_choice_does_not_depend_on_units(bids, capacity, scale, unit):
    grown = [Bid(b.user, b.value * scale, b.claim * scale, b.channels * unit) for b in bids]
    small, large = vcg(bids, capacity), vcg(grown, capacity * unit)
    assert large.winners == small.winners
    assert large.payments == {u: p * scale for u, p in small.payments.items()}


def test_ties_keep_the_earlier_user_and_the_earlier_bid():
    same = [Bid("b", 5, 0, 1), Bid("a", 5, 0, 1), Bid("a", 5, 0, 1)]
    assert vcg(same, 1).winners == (1,)
    assert greedy_integer(same[:2], 1).winners == (1,)


def test_addresses_are_ordered_as_integers():
    low, high = "0x" + "0a" * 20, "0x" + "0B" * 20
    assert sorted([high, low, "zoe", "Ana", "é"], key=user_order) == [low, high, "Ana", "zoe", "é"]


def test_unused_capacity_costs_nothing():
    assert vcg([Bid("a", 9, 4, 3)], 10**18).payments == {"a": 9}


def test_what_the_auctions_refuse():
    with pytest.raises(Malformed):
        Bid("a", 1, 0, 0)
    with pytest.raises(Malformed):
        greedy([Bid("a", 2, 1, 1), Bid("a", 3, 1, 1)], 4)
    with pytest.raises(Malformed):
        vcg([], -1)
    with pytest.raises(TooLarge):
        vcg([Bid("a", 2, 1, 10**9), Bid("b", 2, 1, 10**9 + 1)], 10**9 + 1)
