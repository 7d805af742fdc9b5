"""RewardPool against dishonest settlers and challengers: slashed, frozen, decided, or void."""

import pytest
from onchain import again
from pychain import COUNCIL, EVE, reverts
from rewards import (
    AGGREGATOR,
    BOND,
    DEVICES,
    RATE,
    SPONSOR,
    VALIDATOR,
    WINDOW,
    Terms,
    accuracies,
    copy,
    found_rewards,
    leaf,
    missing,
)

from incentives.payouts import Payout

NONE, BEGUN, SETTLED, FROZEN = range(4)


@pytest.fixture(scope="session")
def _pool(_empty):
    return found_rewards(again(_empty))


@pytest.fixture
def rewards(_pool):
    """A pool with a sponsor, an aggregator, a validator and four devices."""
    return copy(_pool, again(_pool.world))


def state(rewards):
    return rewards.pool.read("roundOf", 1, 0)[4]


def balances(rewards, *people):
    return [rewards.world.evm.balance(p.address) for p in people]


def gains(rewards, before, *people):
    return [now - then for now, then in zip(balances(rewards, *people), before, strict=True)]


def decide(rewards, upheld, reason="recomputed"):
    return rewards.world.council(rewards.pool, "decide", 1, 0, upheld, reason)


def test_a_leaf_that_breaks_its_rule_slashes_at_once_and_the_round_is_settled_again(rewards):
    rewards.open()
    table = rewards.settled([Payout(DEVICES[0].address, RATE, (RATE, 400_000))])
    before = balances(rewards, VALIDATOR, SPONSOR)
    done = rewards.challenge(leaf(table, DEVICES[0].address))
    assert done.event("RoundSlashed")["fault"] == 4
    assert gains(rewards, before, VALIDATOR, SPONSOR) == [BOND // 2, BOND - BOND // 2]
    assert state(rewards) == BEGUN and rewards.held() == Terms().escrow
    honest = rewards.table(accuracies(400_000))
    rewards.settle(honest)
    rewards.at(601)
    rewards.claim(honest, DEVICES[:1])


def test_a_settler_that_challenges_itself_loses_half_of_its_bond(rewards):
    rewards.open()
    table = rewards.settled([Payout(DEVICES[0].address, RATE, (RATE, 400_000))])
    before = balances(rewards, AGGREGATOR)
    rewards.pool.send(AGGREGATOR, "challenge", 1, 0, leaf(table, DEVICES[0].address), "", value=BOND)
    assert gains(rewards, before, AGGREGATOR) == [BOND // 2]


def test_a_missing_leaf_freezes_the_round_until_the_council_upholds(rewards):
    rewards.open()
    table = rewards.settled(accuracies(1))
    rewards.challenge(missing(DEVICES[1]), "dropped: countersigned and not paid")
    assert state(rewards) == FROZEN
    rewards.at(301)
    with reverts("WrongRoundState", 1, 0, FROZEN):
        rewards.claim(table, DEVICES[:1])
    before = balances(rewards, VALIDATOR, SPONSOR)
    decide(rewards, True)
    assert gains(rewards, before, VALIDATOR, SPONSOR) == [BOND + BOND // 2, BOND - BOND // 2]
    assert state(rewards) == BEGUN


def test_a_rejected_challenge_pays_its_bond_to_the_settler_and_the_root_stands(rewards):
    rewards.open()
    table = rewards.settled(accuracies(1))
    rewards.challenge(leaf(table, DEVICES[0].address), "I do not like it")
    before = balances(rewards, AGGREGATOR)
    decide(rewards, False)
    assert gains(rewards, before, AGGREGATOR) == [BOND]
    rewards.at(301)
    rewards.claim(table, DEVICES[:1])
    rewards.pool.send(EVE, "releaseBond", 1, 0)
    assert gains(rewards, before, AGGREGATOR) == [2 * BOND]


def test_no_decision_by_the_deadline_refunds_the_sponsor_and_both_bonds(rewards):
    rewards.open()
    table = rewards.settled(accuracies(1))
    rewards.challenge(leaf(table, DEVICES[0].address), "wrong average")
    rewards.at(1_001)
    with reverts("DeadlinePassed", 1, rewards.opened + 1_000):
        decide(rewards, True)
    before = balances(rewards, SPONSOR, AGGREGATOR, VALIDATOR)
    rewards.pool.send(EVE, "refund", 1, [0])
    assert gains(rewards, before, SPONSOR, AGGREGATOR, VALIDATOR) == [Terms().escrow, BOND, BOND]
    assert rewards.held() == 0
    with reverts("WrongRoundState", 1, 0, BEGUN):
        rewards.claim(table, DEVICES[:1])


def test_a_challenge_needs_a_member_a_bond_a_reason_and_an_open_window(rewards):
    rewards.open()
    table = rewards.settled(accuracies(1))
    given = leaf(table, DEVICES[0].address)
    with reverts("NotMember", EVE.address):
        rewards.pool.send(EVE, "challenge", 1, 0, given, "why", value=BOND)
    with reverts("WrongBond", 0, BOND):
        rewards.challenge(given, "why", value=0)
    with reverts("ReasonRequired"):
        rewards.challenge(given)
    until = rewards.pool.read("roundOf", 1, 0)[2]
    rewards.world.evm.at = until + 1
    with reverts("WindowClosed", 1, 0, until):
        rewards.challenge(given, "late")


def test_only_the_council_decides_and_gives_a_reason(rewards):
    rewards.open()
    rewards.settled(accuracies(1))
    with reverts("OnlyConsortium", COUNCIL.address):
        rewards.pool.send(COUNCIL, "decide", 1, 0, True, "mine")
    with reverts("WrongRoundState", 1, 0, SETTLED):
        decide(rewards, True)
    rewards.challenge(missing(DEVICES[1]), "dropped")
    with reverts("ReasonRequired"):
        decide(rewards, True, "")


def test_a_refund_waits_for_the_deadline_and_takes_nothing_twice(rewards):
    rewards.open()
    table = rewards.settled(accuracies(500_000, 500_000))
    with reverts("WindowOpen", 1, 0, rewards.pool.read("roundOf", 1, 0)[2]):
        rewards.pool.send(EVE, "releaseBond", 1, 0)
    rewards.at(301)
    with reverts("DeadlineNotReached", 1, rewards.opened + 1_000):
        rewards.pool.send(SPONSOR, "refund", 1, [0])
    rewards.at(301)
    rewards.claim(table, DEVICES[:1])
    rewards.at(1_001)
    before = balances(rewards, SPONSOR, AGGREGATOR)
    rewards.pool.send(EVE, "refund", 1, [0, 0])
    rewards.pool.send(EVE, "refund", 1, [0, 1])
    assert gains(rewards, before, SPONSOR, AGGREGATOR) == [Terms().escrow - RATE // 2, BOND]
    assert rewards.held() == 0


def test_an_account_that_refuses_money_holds_up_nobody_and_is_owed_it(rewards):
    refuser = rewards.world.consortium  # a contract without a receive function
    rewards.open()
    payouts = [*accuracies(500_000), Payout(refuser.address, RATE // 2, (RATE, 500_000))]
    table = rewards.settled(payouts)
    rewards.at(301)
    rewards.claim(table, [DEVICES[0], refuser])
    assert rewards.pool.read("owedTo", refuser.address) == RATE // 2
    with reverts("PaymentFailed", refuser.address, RATE // 2):
        rewards.pool.send(EVE, "withdrawOwed", refuser.address)
    with reverts("NothingOwed", EVE.address):
        rewards.pool.send(EVE, "withdrawOwed", EVE.address)
    assert rewards.held() == Terms().escrow - RATE // 2 + BOND


def test_a_task_with_one_device_and_a_task_with_none_give_back_the_rest(rewards):
    rewards.open(Terms(rounds=1, seats=1))
    rewards.settled([])
    rewards.at(1_001)
    before = balances(rewards, SPONSOR)
    rewards.pool.send(EVE, "refund", 1, [0])
    assert gains(rewards, before, SPONSOR) == [RATE] and rewards.held() == 0


def test_the_window_is_what_the_terms_say(rewards):
    rewards.open()
    rewards.settled(accuracies(1))
    settled_at = rewards.world.evm.chain.get_canonical_head().timestamp
    assert rewards.pool.read("roundOf", 1, 0)[2] == settled_at + WINDOW
