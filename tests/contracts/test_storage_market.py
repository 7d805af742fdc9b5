"""StorageMarket: prices, bonds and beacons."""

import pytest
from onchain import BOND, PENALTY, Fees, found
from pychain import ANA, CY, EVE, MINERS, actor, reverts

from registry.core.ids import Role

K = 4  # slots of an epoch
AUDIT_SLOTS = 8


# ---------------------------------------------------------------- prices


def test_a_first_price_enrols_a_miner(world):
    world.admit(CY, "gamma", Role.MINER)
    world.price([CY], [11])
    miners, prices = world.storage.read("roster")[1:]
    assert (miners[-1], prices[-1]) == (CY.address.lower(), 11)
    assert world.registry.read("roster")[0] == miners


def test_prices_are_the_councils(world):
    with reverts("OnlyConsortium", EVE.address):
        world.storage.send(EVE, "setPrices", [EVE.address], [1])


def test_every_miner_needs_a_price(world):
    with reverts("LengthMismatch", 1, 0):
        world.price(MINERS[:1], [])


def test_a_price_needs_the_miner_role(world):
    with reverts("MinerRoleMissing", ANA.address):
        world.price([ANA], [1])


def test_a_price_has_a_limit(world):
    with reverts("PriceTooHigh", 2**40, 2**40 - 1):
        world.price(MINERS[:1], [2**40])


def test_64_miners_are_the_limit(empty):
    crowd = [actor(f"crowd {i}") for i in range(65)]
    for who in crowd:
        empty.admit(who, "mine", Role.MINER)
    empty.price(crowd[:64], [1] * 64)
    assert empty.registry.read("menu")[1] == 64
    with reverts("TooManyMiners", 65, 64):
        empty.price(crowd[64:], [1])


def test_a_retired_miner_leaves_and_the_others_keep_their_order(world):
    world.council(world.storage, "retire", MINERS[1].address)
    assert world.registry.read("roster")[0] == (MINERS[0].address.lower(), MINERS[2].address.lower())
    world.price(MINERS[1:2], [5])
    assert world.registry.read("roster")[0][-1] == MINERS[1].address.lower()


def test_only_an_enrolled_miner_retires(world):
    with reverts("NotEnrolled", ANA.address):
        world.council(world.storage, "retire", ANA.address)


@pytest.mark.parametrize("function", ["retire", "minerRoleLost"])
def test_retiring_is_the_councils(world, function):
    with reverts("OnlyConsortium", EVE.address):
        world.storage.send(EVE, function, MINERS[0].address)


def test_losing_a_role_one_never_used_changes_nothing(world):
    world.admit(CY, "gamma", Role.MINER)
    world.council(world.consortium, "setRoles", CY.address, int(Role.HOST))
    assert len(world.storage.read("roster")[1]) == 3


# ---------------------------------------------------------------- bonds


def test_a_price_needs_the_minimum_bond(audited):
    audited.admit(CY, "gamma", Role.MINER)
    with reverts("BondTooSmall", CY.address, 0, BOND):
        audited.price([CY], [1])


def test_a_penalty_cannot_exceed_the_minimum_bond():
    with reverts("BondTooSmall", "0x" + "0" * 40, 1, 2):
        found(Fees(), minimum_bond=1, penalty=2)


def test_an_enrolled_miner_takes_back_what_is_above_the_minimum(audited):
    audited.storage.send(EVE, "bond", MINERS[0].address, value=5)
    before = audited.evm.balance(MINERS[0].address)
    audited.storage.send(MINERS[0], "unbond", 5)
    assert audited.evm.balance(MINERS[0].address) == before + 5
    with reverts("BondTooSmall", MINERS[0].address, BOND, BOND + 1):
        audited.storage.send(MINERS[0], "unbond", 1)


def test_a_retired_miners_bond_is_locked_until_its_audits_are_over(audited):
    audited.council(audited.storage, "retire", MINERS[0].address)
    unlocked = (audited.storage.read("minedUntil", MINERS[0].address) + 1) * K + 2 * AUDIT_SLOTS
    with reverts("BondLocked", MINERS[0].address, unlocked):
        audited.storage.send(MINERS[0], "unbond", BOND)
    audited.slot(unlocked + 1)
    audited.storage.send(MINERS[0], "unbond", BOND)
    assert audited.storage.read("bondOf", MINERS[0].address) == 0


def test_nobody_takes_back_more_than_its_bond(audited):
    with reverts("BondTooSmall", EVE.address, 0, 1):
        audited.storage.send(EVE, "unbond", 1)


def test_a_contract_that_takes_no_money_cannot_unbond(world):
    world.storage.send(EVE, "bond", world.consortium.address, value=5)
    world.slot(K + 2 * AUDIT_SLOTS + 1)
    with reverts("BondTransferFailed", world.consortium.address, 5):
        world.council(world.storage, "unbond", 5)


# ---------------------------------------------------------------- beacons


def test_closing_an_epoch_draws_its_beacon(audited):
    slot, drawn, beacon = audited.storage.read("audit", 0)
    assert (slot, drawn) == (K, True)
    assert beacon != bytes(32)
    challenges = {audited.storage.read("challengeOf", 0, m.address) for m in MINERS}
    assert len(challenges) == 3


def test_anyone_draws_the_beacon_once_the_epoch_is_over(world):
    with reverts("EpochRunning", 0):
        world.storage.send(EVE, "drawBeacon", 0)
    world.slot(K)
    assert world.storage.send(EVE, "drawBeacon", 0).all("BeaconDrawn")
    with reverts("BeaconAlreadyDrawn", 0):
        world.storage.send(EVE, "drawBeacon", 0)


def test_a_beacon_is_drawn_within_audit_slots_of_the_epochs_end(world):
    world.slot(K + AUDIT_SLOTS + 1)
    with reverts("BeaconTooLate", 0, K + AUDIT_SLOTS):
        world.storage.send(EVE, "drawBeacon", 0)


def test_without_a_beacon_nobody_is_challenged(world):
    with reverts("BeaconMissing", 0):
        world.storage.read("challengeOf", 0, MINERS[0].address)


def test_an_idle_epoch_draws_no_beacon(world):
    world.slot(K + 4)
    world.registry.send(EVE, "close", 0)
    assert not world.storage.read("audit", 0)[1]


def test_only_the_registry_reports_a_close(world):
    with reverts("OnlyRegistry", EVE.address):
        world.storage.send(EVE, "epochClosed", 0, False)


def test_constants_can_be_read(audited):
    names = ("auditSlots", "retentionEpochs", "minimumBond", "penalty")
    assert [audited.storage.read(n) for n in names] == [AUDIT_SLOTS, 1 << 20, BOND, PENALTY]
