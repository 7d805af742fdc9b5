"""The other payees: aggregators, hosts, gateways and operators, from an offer to its last wei."""

import pytest
from onchain import again
from pychain import EVE, actor, reverts
from rewards import AGGREGATOR, SPONSOR, VALIDATOR, copy, found_rewards

from incentives.services import Offer, second_score
from registry.core.ids import Role, keccak

JOB = keccak(b"host the twin of cell 7")
AGGREGATION, HOSTING, CONNECTIVITY = range(3)
HOSTS = tuple(actor(f"host {i}") for i in range(3))
OPERATOR = actor("operator")


@pytest.fixture(scope="session")
def _services(_empty):
    found = found_rewards(again(_empty))
    for host in HOSTS:
        found.world.admit(host, "hosts", Role.HOST)
        found.fund(host, 10**9)
    found.world.admit(OPERATOR, "operators", Role.OPERATOR)
    return found


@pytest.fixture
def rewards(_services):
    """A pool with hosts and an operator."""
    return copy(_services, again(_services.world))


def terms(rewards, **changes):
    fields = {
        "attestor": VALIDATOR.address,
        "epochs": 2,
        "deadline": rewards.world.now + 1_000,
        "units": 1,
        "reserve": 5,
        "bond": 0,
        "bonus": 0,
    }
    return tuple((fields | changes).values())


def offers(rewards, prices, bond=0):
    for host, price in zip(HOSTS, prices, strict=False):
        rewards.pool.send(host, "offer", JOB, HOSTING, price, value=bond)


def award(rewards, values, *, value=10_000, **changes):
    return rewards.pool.send(
        SPONSOR, "award", JOB, HOSTING, values, terms(rewards, **changes), value=value
    ).event("ServiceAwarded")


def test_the_award_is_the_second_score_of_the_pure_function(rewards):
    prices, values = (60, 30, 45), (84, 70, 90)
    offers(rewards, prices)
    found = award(rewards, values)
    given = [Offer(h.address, v, p) for h, v, p in zip(HOSTS, values, prices, strict=True)]
    expected = second_score(given, reserve_score=5)
    assert (found["provider"].lower(), found["wage"]) == (expected.winner.lower(), expected.payment)


@pytest.mark.parametrize("values", [(50, 50, 50), (9, 90, 90), (90, 0, 0), (100, 7, 95)])
def test_ties_reserve_and_a_lone_bidder_follow_the_pure_function(rewards, values):
    prices = (30, 30, 30)
    offers(rewards, prices)
    given = [Offer(h.address, v, p) for h, v, p in zip(HOSTS, values, prices, strict=True)]
    expected = second_score(given, reserve_score=5)
    found = award(rewards, values)
    assert (found["provider"].lower(), found["wage"]) == (expected.winner.lower(), expected.payment)


def test_no_offer_can_be_left_out_and_none_above_the_reserve_is_no_award(rewards):
    offers(rewards, (60, 30))
    with reverts("ValuesMissing", 1, 2):
        award(rewards, (90,))
    with reverts("NoOfferAccepted", JOB):
        award(rewards, (64, 34))


def test_a_passed_epoch_is_paid_once_a_failed_one_never_and_the_rest_goes_back(rewards):
    offers(rewards, (60,), bond=700)
    award(rewards, (100,), bonus=3, bond=500)
    host, before = HOSTS[0], rewards.world.evm.balance(HOSTS[0].address)
    wage = 100 - 5 + 3
    assert rewards.held() == 2 * wage + 700
    with reverts("EpochNotPassed", 1, 0):
        rewards.pool.send(EVE, "pay", 1, 0)
    with reverts("NotAttestor", EVE.address, VALIDATOR.address):
        rewards.pool.send(EVE, "attest", 1, 0, True)
    rewards.pool.send(VALIDATOR, "attest", 1, 0, True)
    with reverts("EpochAlreadyAttested", 1, 0):
        rewards.pool.send(VALIDATOR, "attest", 1, 0, False)
    rewards.pool.send(EVE, "pay", 1, 0)
    with reverts("EpochAlreadyPaid", 1, 0):
        rewards.pool.send(EVE, "pay", 1, 0)
    with reverts("ServiceRunning", 1, rewards.pool.read("serviceOf", 1)[6]):
        rewards.pool.send(EVE, "end", 1)
    rewards.pool.send(VALIDATOR, "attest", 1, 1, False)
    with reverts("EpochNotPassed", 1, 1):
        rewards.pool.send(EVE, "pay", 1, 1)
    with reverts("EpochOutOfRange", 2, 2):
        rewards.pool.send(VALIDATOR, "attest", 1, 2, True)
    done = rewards.pool.send(EVE, "end", 1).event("ServiceEnded")
    assert (done["refunded"], done["bond"]) == (wage, 700)
    assert rewards.world.evm.balance(host.address) - before == wage + 700
    assert rewards.held() == 0
    with reverts("ServiceOver", 1):
        rewards.pool.send(EVE, "end", 1)


def test_a_proven_fraud_loses_bond_and_wage_to_the_requester(rewards):
    rewards.fund(AGGREGATOR)
    rewards.pool.send(AGGREGATOR, "offer", JOB, AGGREGATION, 40, value=900)
    given = terms(rewards, epochs=1, bond=900)
    rewards.pool.send(SPONSOR, "award", JOB, AGGREGATION, [100], given, value=95)
    before = rewards.world.evm.balance(SPONSOR.address)
    with reverts("ReasonRequired"):
        rewards.world.council(rewards.pool, "slash", 1, "")
    rewards.world.council(rewards.pool, "slash", 1, "the average is not that of the updates")
    assert rewards.world.evm.balance(SPONSOR.address) - before == 900 + 95
    with reverts("ServiceOver", 1):
        rewards.pool.send(VALIDATOR, "attest", 1, 0, True)


def test_an_offer_without_the_bond_does_not_take_part(rewards):
    offers(rewards, (60, 30), bond=10)
    with reverts("NoOfferAccepted", JOB):
        award(rewards, (90, 90), bond=11)


def test_connectivity_is_taken_at_its_posted_price_per_unit(rewards):
    rewards.pool.send(OPERATOR, "offer", JOB, CONNECTIVITY, 7)
    with reverts("PriceAboveLimit", 7, 6):
        rewards.pool.send(SPONSOR, "take", 1, 6, terms(rewards, units=10), value=140)
    with reverts("EscrowTooSmall", 139, 140):
        rewards.pool.send(SPONSOR, "take", 1, 7, terms(rewards, units=10), value=139)
    done = rewards.pool.send(SPONSOR, "take", 1, 7, terms(rewards, units=10), value=200)
    assert done.event("ServiceAwarded")["wage"] == 70 and rewards.held() == 140
    with reverts("OfferNotStanding", 1):
        rewards.pool.send(SPONSOR, "take", 1, 7, terms(rewards), value=14)


def test_an_award_states_units_an_attestor_of_its_own_epochs_and_a_deadline(rewards):
    offers(rewards, (30,))
    for field, value, changes in (
        ("units", 2, {"units": 2}),
        ("epochs", 0, {"epochs": 0}),
        ("deadline", 1, {"deadline": 1}),
        ("attestor", int(SPONSOR.address, 16), {"attestor": SPONSOR.address}),
        ("attestor", int(HOSTS[0].address, 16), {"attestor": HOSTS[0].address}),
    ):
        with reverts("InvalidAward", field, value):
            award(rewards, (90,), **changes)


def test_offers_are_for_those_with_the_role_and_can_be_taken_back(rewards):
    with reverts("RoleRequired", EVE.address, int(Role.HOST)):
        rewards.pool.send(EVE, "offer", JOB, HOSTING, 5)
    offers(rewards, (30,), bond=8)
    with reverts("NotOfferProvider", EVE.address, HOSTS[0].address):
        rewards.pool.send(EVE, "withdrawOffer", 1)
    rewards.pool.send(HOSTS[0], "withdrawOffer", 1)
    assert rewards.held() == 0
    with reverts("OfferNotStanding", 1):
        rewards.pool.send(HOSTS[0], "withdrawOffer", 1)
    with reverts("UnknownOffer", 9):
        rewards.pool.send(HOSTS[0], "withdrawOffer", 9)
    with reverts("UnknownService", 1):
        rewards.pool.send(EVE, "end", 1)


def test_a_job_takes_64_offers(rewards):
    for _ in range(64):
        rewards.pool.send(HOSTS[0], "offer", JOB, HOSTING, 5)
    with reverts("TooManyOffers", 65, 64):
        rewards.pool.send(HOSTS[0], "offer", JOB, HOSTING, 5)


def test_an_unattested_service_ends_at_its_deadline(rewards):
    offers(rewards, (30,), bond=8)
    award(rewards, (90,))
    rewards.world.evm.at = rewards.world.now + 1_001
    with reverts("ServiceOver", 1):
        rewards.pool.send(VALIDATOR, "attest", 1, 0, True)
    before = rewards.world.evm.balance(SPONSOR.address)
    rewards.pool.send(EVE, "end", 1)
    assert rewards.world.evm.balance(SPONSOR.address) - before == 2 * 85
    assert rewards.held() == 0
