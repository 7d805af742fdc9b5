"""RewardPool: what it pays, what it refuses, and what its checks cost."""

import pytest
from onchain import again
from pychain import COUNCIL, EVE, actor, reverts
from rewards import (
    AGGREGATOR,
    AUCTION,
    BOND,
    CONTRACT,
    COSTS,
    DEVICES,
    RATE,
    REWARDS,
    SPONSOR,
    STACKELBERG,
    WINDOW,
    Terms,
    accuracies,
    commitment,
    copy,
    found_rewards,
    leaf,
)

from incentives.payouts import Payout
from registry.core.ids import Role, keccak

SALT = keccak(b"salt")
MENU = Terms(mechanism=CONTRACT, unit=REWARDS[-1])
CHANNELS = Terms(mechanism=AUCTION, unit=50, capacity=3)


@pytest.fixture(scope="session")
def _pool(_empty):
    return found_rewards(again(_empty))


@pytest.fixture
def rewards(_pool):
    """A pool with a sponsor, an aggregator, a validator and four devices."""
    return copy(_pool, again(_pool.world))


def paused(rewards):
    rewards.world.council(rewards.world.consortium, "pause")


# ---------------------------------------------------------------------- opening


def test_a_task_is_numbered_from_1_and_holds_its_escrow(rewards):
    rewards.open(value=Terms().escrow + 7)
    sponsor, _model, _terms, free = rewards.pool.read("task", 1)
    assert (rewards.pool.read("taskCount"), sponsor.lower()) == (1, SPONSOR.address.lower())
    assert free == rewards.held() == Terms().escrow + 7


def test_an_escrow_that_does_not_cover_the_largest_payout_opens_nothing(rewards):
    with reverts("EscrowTooSmall", Terms().escrow - 1, Terms().escrow):
        rewards.open(value=Terms().escrow - 1)


def test_an_auction_is_funded_for_as_many_winners_as_it_has_channels(rewards):
    rewards.open(CHANNELS)
    assert rewards.held() == 50 * 3 * 2


def test_a_million_devices_at_10_12_wei_are_funded_or_refused_exactly(rewards):
    many = Terms(seats=10**6, rounds=1)
    with reverts("EscrowTooSmall", 10**18 - 1, 10**18):
        rewards.open(many, value=10**18 - 1)
    rewards.open(many)
    assert rewards.held() == 10**18


@pytest.mark.parametrize(
    ("field", "terms", "value"),
    [
        ("rounds", Terms(rounds=0), 0),
        ("seats", Terms(seats=0), 0),
        ("window", Terms(window=0), 0),
        ("parameters", Terms(parameters=bytes(32)), 0),
        ("capacity", Terms(capacity=1), 1),
        ("capacity", Terms(mechanism=AUCTION), 0),
    ],
)
def test_terms_without_meaning_are_refused(rewards, field, terms, value):
    with reverts("InvalidTerms", field, value):
        rewards.open(terms)


def test_times_must_leave_room_for_a_challenge_and_for_claims(rewards):
    with reverts("InvalidTerms", "deadline", rewards.world.now + 100 + 2 * WINDOW):
        rewards.open(Terms(deadline=100 + 2 * WINDOW))


def test_only_a_sponsor_opens_and_only_an_aggregator_settles(rewards):
    with reverts("RoleRequired", AGGREGATOR.address, int(Role.SPONSOR)):
        rewards.open(sponsor=AGGREGATOR)
    with reverts("RoleRequired", SPONSOR.address, int(Role.AGGREGATOR)):
        rewards.open(aggregator=SPONSOR)


def test_a_menu_under_which_a_type_would_stay_away_is_refused(rewards):
    with reverts("MenuNotRational", 0, 9, 10):
        rewards.open(MENU, menu=((9, 15), COSTS))


@pytest.mark.parametrize(
    ("menu", "kind", "item"),
    [(((10, 17), (10, 16, 6, 12)), 0, 1), (((10, 15), COSTS), 1, 0)],
)
def test_a_menu_under_which_a_type_would_lie_is_refused(rewards, menu, kind, item):
    with reverts("MenuNotCompatible", kind, item):
        rewards.open(MENU, menu=menu)


@pytest.mark.parametrize(("menu", "types", "costs"), [(((10,), COSTS), 1, 4), (((), ()), 0, 0)])
def test_a_menu_that_is_not_square_is_refused(rewards, menu, types, costs):
    with reverts("MenuSizeOutOfRange", types, costs, 32):
        rewards.open(MENU, menu=menu)


def test_a_menu_of_32_types_opens_and_of_33_does_not(rewards):
    def menu(types):
        rewards_ = [10 + i for i in range(types)]
        return rewards_, [r for _ in range(types) for r in rewards_]

    rewards.open(Terms(mechanism=CONTRACT, unit=41), menu=menu(32))
    with reverts("MenuSizeOutOfRange", 33, 33 * 33, 32):
        rewards.open(Terms(mechanism=CONTRACT, unit=42), menu=menu(33))


def test_the_unit_of_a_contract_is_its_largest_reward(rewards):
    with reverts("InvalidTerms", "unit", 15):
        rewards.open(Terms(mechanism=CONTRACT, unit=15), menu=(REWARDS, COSTS))


# ---------------------------------------------------------------------- bids, choices


def test_a_bid_is_revealed_as_it_was_committed(rewards):
    rewards.open(CHANNELS)
    bids = [(4, 9, 2), (5, 12, 3)]
    rewards.pool.send(DEVICES[0], "commitBid", 1, commitment(rewards, DEVICES[0], bids, SALT))
    rewards.at(60)
    done = rewards.pool.send(DEVICES[0], "revealBid", 1, bids, SALT)
    assert [tuple(b) for b in done.event("BidRevealed")["bids"]] == bids


def test_a_reveal_that_does_not_match_or_comes_twice_is_refused(rewards):
    rewards.open(CHANNELS)
    bids = [(4, 9, 2)]
    shown = commitment(rewards, DEVICES[0], bids, SALT)
    rewards.pool.send(DEVICES[0], "commitBid", 1, shown)
    with reverts("AlreadyCommitted", 1, DEVICES[0].address):
        rewards.pool.send(DEVICES[0], "commitBid", 1, SALT)
    with reverts("BidsOpen", 1, rewards.opened + 50):
        rewards.pool.send(DEVICES[0], "revealBid", 1, bids, SALT)
    rewards.at(60)
    lie = commitment(rewards, DEVICES[0], [(3, 9, 2)], SALT)
    with reverts("RevealMismatch", 1, DEVICES[0].address, lie):
        rewards.pool.send(DEVICES[0], "revealBid", 1, [(3, 9, 2)], SALT)
    rewards.pool.send(DEVICES[0], "revealBid", 1, bids, SALT)
    with reverts("RevealMismatch", 1, DEVICES[0].address, shown):
        rewards.pool.send(DEVICES[0], "revealBid", 1, bids, SALT)
    rewards.at(101)
    with reverts("BidsClosed", 1, rewards.opened + 100):
        rewards.pool.send(DEVICES[0], "revealBid", 1, bids, SALT)


def test_a_bid_above_the_largest_value_or_the_capacity_is_refused(rewards):
    rewards.open(CHANNELS)
    for i, bid in enumerate([(1, 51, 1), (1, 5, 4), (1, 5, 0)]):
        rewards.pool.send(DEVICES[i], "commitBid", 1, commitment(rewards, DEVICES[i], [bid], SALT))
    rewards.pool.send(DEVICES[3], "commitBid", 1, commitment(rewards, DEVICES[3], [(1, 5, 1)] * 9, SALT))
    rewards.at(60)
    for i, bid in enumerate([(1, 51, 1), (1, 5, 4), (1, 5, 0)]):
        with reverts("BidOutOfRange", 0, *bid):
            rewards.pool.send(DEVICES[i], "revealBid", 1, [bid], SALT)
    with reverts("TooManyBids", 9, 8):
        rewards.pool.send(DEVICES[3], "revealBid", 1, [(1, 5, 1)] * 9, SALT)


def test_only_a_device_takes_part_and_in_time(rewards):
    rewards.open(CHANNELS)
    with reverts("RoleRequired", EVE.address, int(Role.DEVICE)):
        rewards.pool.send(EVE, "commitBid", 1, SALT)
    with reverts("WrongMechanism", 1, AUCTION):
        rewards.pool.send(DEVICES[0], "choose", 1, 0, 0)
    rewards.at(51)
    with reverts("BidsClosed", 1, rewards.opened + 50):
        rewards.pool.send(DEVICES[0], "commitBid", 1, SALT)


def test_an_item_is_chosen_once_from_the_menu(rewards):
    rewards.open(MENU, menu=(REWARDS, COSTS))
    with reverts("UnknownItem", 1, 0, 2):
        rewards.pool.send(DEVICES[0], "choose", 1, 0, 2)
    rewards.pool.send(DEVICES[0], "choose", 1, 1, 0)
    assert rewards.pool.read("choiceOf", 1, DEVICES[0].address) == (True, 1, 0)
    assert rewards.pool.read("choiceOf", 1, DEVICES[1].address) == (False, 0, 0)
    with reverts("AlreadyChosen", 1, DEVICES[0].address):
        rewards.pool.send(DEVICES[0], "choose", 1, 0, 0)


# ---------------------------------------------------------------------- settle, claim


def test_every_device_is_paid_its_leaf_and_the_rest_goes_back(rewards):
    rewards.open()
    table = rewards.settled(accuracies(200_000, 500_000, 10**6))
    rewards.at(301)
    before = [rewards.world.evm.balance(d.address) for d in DEVICES]
    rewards.claim(table, DEVICES[:2])
    rewards.claim(table, DEVICES[2:3])
    after = [rewards.world.evm.balance(d.address) for d in DEVICES]
    assert [b - a for a, b in zip(before, after, strict=True)] == [8 * 10**11, 5 * 10**11, 0, 0]
    rewards.pool.send(EVE, "releaseBond", 1, 0)
    rewards.at(1_001)
    done = rewards.pool.send(EVE, "refund", 1, [0, 1])
    assert done.event("EscrowRefunded")["amount"] == Terms().escrow - table.total
    assert rewards.held() == 0


def test_a_claim_twice_by_another_or_with_a_wrong_proof_is_refused(rewards):
    rewards.open()
    table = rewards.settled(accuracies(200_000, 500_000))
    rewards.at(301)
    account, amount, detail, proof = leaf(table, DEVICES[0].address)
    with reverts("NotUnderRoot", 1, 0, EVE.address):
        rewards.pool.send(EVE, "claim", 1, 0, [(EVE.address, amount, detail, proof)])
    with reverts("NotUnderRoot", 1, 0, account):
        rewards.pool.send(EVE, "claim", 1, 0, [(account, amount + 1, detail, proof)])
    with reverts("NotUnderRoot", 1, 0, account):
        rewards.pool.send(EVE, "claim", 1, 0, [(account, amount, detail, [])])
    rewards.claim(table, DEVICES[:1])
    with reverts("AlreadyClaimed", 1, 0, account):
        rewards.claim(table, DEVICES[:1])


def test_a_leaf_twice_in_one_batch_is_paid_never(rewards):
    rewards.open()
    table = rewards.settled(accuracies(200_000, 500_000))
    rewards.at(301)
    with reverts("AlreadyClaimed", 1, 0, DEVICES[0].address):
        rewards.claim(table, [DEVICES[0], DEVICES[0]])


def test_nothing_is_claimed_before_the_window_is_over_nor_from_an_empty_root(rewards):
    rewards.open()
    table = rewards.settled(accuracies(200_000))
    with reverts("WindowOpen", 1, 0, rewards.world.now - 1 + WINDOW):
        rewards.claim(table, DEVICES[:1])
    rewards.at(301)
    rewards.settled([], round_=1)
    rewards.at(601)
    with reverts("NotUnderRoot", 1, 1, DEVICES[0].address):
        rewards.pool.send(EVE, "claim", 1, 1, [(DEVICES[0].address, 0, b"", [])])


def test_a_round_is_begun_once_and_settled_once_by_its_aggregator(rewards):
    rewards.open()
    table = rewards.table(accuracies(1))
    with reverts("BidsOpen", 1, rewards.opened + 100):
        rewards.begin()
    rewards.at(101)
    with reverts("WrongRoundState", 1, 0, 0):
        rewards.settle(table)
    with reverts("NotTaskAggregator", EVE.address, AGGREGATOR.address):
        rewards.pool.send(EVE, "beginRound", 1, 0, SALT)
    with reverts("RoundOutOfRange", 2, 2):
        rewards.begin(1, 2)
    rewards.begin()
    with reverts("WrongRoundState", 1, 0, 1):
        rewards.begin()
    with reverts("WrongBond", BOND - 1, BOND):
        rewards.settle(table, value=BOND - 1)
    rewards.settle(table)
    with reverts("WrongRoundState", 1, 0, 2):
        rewards.settle(table)
    with reverts("UnknownTask", 9):
        rewards.begin(9)


def test_a_root_for_more_money_or_leaves_than_the_round_has_is_refused(rewards):
    rewards.open()
    rewards.at(101)
    rewards.begin()
    root, file = keccak(b"root"), b"cid"
    with reverts("TooManyLeaves", 5, 4):
        rewards.pool.send(AGGREGATOR, "settle", 1, 0, root, 1, 5, file, value=BOND)
    with reverts("TotalTooLarge", 4 * RATE + 1, 4 * RATE):
        rewards.pool.send(AGGREGATOR, "settle", 1, 0, root, 4 * RATE + 1, 4, file, value=BOND)
    with reverts("TotalTooLarge", 1, 0):
        rewards.pool.send(AGGREGATOR, "settle", 1, 0, bytes(32), 1, 1, file, value=BOND)
    rewards.at(801)
    with reverts("SettlementTooLate", 1, rewards.opened + 800):
        rewards.pool.send(AGGREGATOR, "settle", 1, 0, root, 1, 1, file, value=BOND)


def test_claims_beyond_the_settled_total_are_refused(rewards):
    rewards.open()
    rewards.at(101)
    rewards.begin()
    table = rewards.table(accuracies(0, 0))
    rewards.pool.send(AGGREGATOR, "settle", 1, 0, table.root, RATE, 2, b"", value=BOND)
    rewards.at(301)
    rewards.claim(table, DEVICES[:1])
    with reverts("RoundOverdrawn", 1, 0, RATE, 0):
        rewards.claim(table, DEVICES[1:2])


# ---------------------------------------------------------------------- the payment rule


def auctioned(rewards, bids, payouts):
    """A settled auction in which these devices revealed one bid each."""
    rewards.open(CHANNELS)
    for device, bid in bids:
        rewards.pool.send(device, "commitBid", 1, commitment(rewards, device, [bid], SALT))
    rewards.at(60)
    for device, bid in bids:
        rewards.pool.send(device, "revealBid", 1, [bid], SALT)
    table = rewards.settled(payouts)
    rewards.at(301)
    return table


def test_an_auction_pays_revealed_bids_within_claim_and_value(rewards):
    ana, bo = DEVICES[:2]
    payouts = [Payout(ana.address, 5, (4, 5, 9, 2)), Payout(bo.address, 3, (3, 3, 8, 1))]
    table = auctioned(rewards, [(ana, (4, 9, 2)), (bo, (3, 8, 1))], payouts)
    rewards.claim(table, [ana, bo])
    assert rewards.pool.read("roundOf", 1, 0)[3] == 3


def test_winners_on_more_channels_than_there_are_cannot_all_claim(rewards):
    ana, bo = DEVICES[:2]
    payouts = [Payout(ana.address, 5, (4, 5, 9, 2)), Payout(bo.address, 5, (4, 5, 9, 2))]
    table = auctioned(rewards, [(ana, (4, 9, 2)), (bo, (4, 9, 2))], payouts)
    with reverts("CapacityExceeded", 1, 0, 4, 3):
        rewards.claim(table, [ana, bo])
    rewards.claim(table, [ana])
    with reverts("CapacityExceeded", 1, 0, 4, 3):
        rewards.claim(table, [bo])


@pytest.mark.parametrize(
    ("amount", "detail", "fault"),
    [
        (5, (4, 5, 9), 1),
        (6, (4, 5, 9, 2), 4),
        (3, (4, 3, 9, 2), 5),
        (10, (4, 10, 9, 2), 6),
        (5, (4, 5, 9, 0), 7),
        (5, (3, 5, 9, 2), 8),
        (5, (4, 5, 10, 2), 8),
        (5, (4, 5, 9, 1), 8),
    ],
)
def test_a_payment_outside_the_auction_rule_is_never_claimed(rewards, amount, detail, fault):
    ana = DEVICES[0]
    table = auctioned(rewards, [(ana, (4, 9, 2))], [Payout(ana.address, amount, detail)])
    with reverts("PaymentRuleBroken", ana.address, amount, fault):
        rewards.claim(table, [ana])


@pytest.mark.parametrize(
    ("amount", "detail", "fault"),
    [
        (RATE, (RATE, 0, 0), 1),
        (2 * RATE, (2 * RATE, 0), 2),
        (0, (RATE, 10**6 + 1), 3),
        (RATE // 2 + 1, (RATE, 500_000), 4),
    ],
)
def test_a_payment_that_is_not_rate_times_accuracy_is_never_claimed(rewards, amount, detail, fault):
    rewards.open()
    table = rewards.table([Payout(DEVICES[0].address, amount, detail)])
    rewards.at(101)
    rewards.begin()
    rewards.pool.send(AGGREGATOR, "settle", 1, 0, table.root, RATE, 1, b"", value=BOND)
    rewards.at(301)
    with reverts("PaymentRuleBroken", DEVICES[0].address, amount, fault):
        rewards.claim(table, DEVICES[:1])
    detail_bytes = table.payouts[0].detail_bytes
    assert rewards.pool.read("faultOf", 1, DEVICES[0].address, amount, detail_bytes) == fault


@pytest.mark.parametrize(
    ("amount", "detail", "fault"),
    [(16, (1, 1), 0), (15, (1, 1), 4), (10, (0, 0), 9), (16, (32, 1), 9), (10, (1, 0), 9)],
)
def test_a_contract_pays_the_reward_of_the_item_that_was_chosen(rewards, amount, detail, fault):
    rewards.open(MENU, menu=(REWARDS, COSTS))
    rewards.pool.send(DEVICES[0], "choose", 1, 1, 1)
    table = rewards.settled([Payout(DEVICES[0].address, amount, detail)])
    rewards.at(301)
    if fault:
        with reverts("PaymentRuleBroken", DEVICES[0].address, amount, fault):
            rewards.claim(table, DEVICES[:1])
    else:
        rewards.claim(table, DEVICES[:1])
        assert rewards.pool.read("isClaimed", 1, 0, DEVICES[0].address)


# ---------------------------------------------------------------------- pause, cost


def test_a_pause_stops_opening_and_settling_but_never_a_claim_or_a_refund(rewards):
    rewards.open()
    table = rewards.settled(accuracies(0))
    rewards.at(301)
    paused(rewards)
    with reverts("PoolPaused"):
        rewards.open()
    with reverts("PoolPaused"):
        rewards.begin(1, 1)
    rewards.claim(table, DEVICES[:1])
    rewards.world.evm.at += 1_001
    rewards.pool.send(EVE, "refund", 1, [0])
    assert rewards.held() == 0


def stackelberg_crowd(rewards, size):
    """A settled round of many devices, each of which has been seen on chain."""
    crowd = [actor(f"crowd {i}") for i in range(size)]
    rewards.open(Terms(mechanism=STACKELBERG, seats=size, rounds=1))
    rewards.at(101)
    rewards.begin()
    table = rewards.table(
        [Payout(d.address, RATE * (10**6 - 7 * i) // 10**6, (RATE, 7 * i)) for i, d in enumerate(crowd)]
    )
    gas = rewards.settle(table).gas_used
    rewards.at(301)
    return crowd, table, gas


def test_settling_a_round_costs_the_same_for_2_devices_as_for_1000(rewards):
    other = copy(rewards, again(rewards.world))
    *_, one = stackelberg_crowd(rewards, 2)
    *_, many = stackelberg_crowd(other, 1000)
    assert abs(many - one) < 500 and many < 200_000


def test_one_claim_costs_at_most_80000_gas_among_1000_devices(rewards):
    crowd, table, _ = stackelberg_crowd(rewards, 1000)
    rewards.fund(crowd[0], 1)
    assert rewards.claim(table, crowd[:1]).gas_used <= 80_000


def test_100_claims_to_known_accounts_cost_at_most_45000_gas_each(rewards):
    crowd, table, _ = stackelberg_crowd(rewards, 100)
    for device in crowd:
        rewards.fund(device, 1)
    assert rewards.claim(table, crowd, by=COUNCIL).gas_used <= 100 * 45_000


def test_one_auction_claim_and_one_contract_claim_cost_at_most_80000_gas(rewards):
    other = copy(rewards, again(rewards.world))
    bids = [(d, (4, 9, 1)) for d in DEVICES[:3]]
    table = auctioned(rewards, bids, [Payout(d.address, 5, (4, 5, 9, 1)) for d, _ in bids])
    rewards.fund(DEVICES[0], 1)
    assert rewards.claim(table, DEVICES[:1]).gas_used <= 80_000
    other.open(MENU, menu=(REWARDS, COSTS))
    other.pool.send(DEVICES[0], "choose", 1, 1, 1)
    table = other.settled([Payout(DEVICES[0].address, 16, (1, 1))])
    other.fund(DEVICES[0], 1)
    other.at(301)
    assert other.claim(table, DEVICES[:1]).gas_used <= 80_000
