"""StorageMarket: what peers may say of a miner, when it counts, and what it costs."""

import pytest
from onchain import BOND, PENALTY
from pychain import ANA, EVE, MINERS, reverts

K = 4  # slots of an epoch
AUDIT_SLOTS = 8
FAILED, ABSENT, ANSWERED = 1, 2, 3
EVERYONE_ELSE = 0b110  # miners 1 and 2 showed the leaf


def attest(world, peer, verdict, epoch=0, miner=MINERS[0], shown_by=EVERYONE_ELSE):
    return world.storage.send(peer, "attest", epoch, miner.address, verdict, shown_by)


def condemn(world, verdict):
    for peer in MINERS[1:]:
        done = attest(world, peer, verdict)
    return done


def test_a_failed_miner_loses_the_epochs_credits_and_the_penalty_to_the_carry(audited):
    pool = audited.registry.read("pool")
    credit = audited.registry.read("creditOf", MINERS[0].address, 0)
    done = condemn(audited, FAILED)
    assert done.event("VerdictReached")["verdict"] == FAILED
    penalised = done.event("Penalised")
    assert (penalised["fromCredits"], penalised["fromBond"]) == (credit, PENALTY) == (700, PENALTY)
    assert audited.registry.read("pool") == pool + credit + PENALTY
    assert audited.storage.read("bondOf", MINERS[0].address) == BOND - PENALTY
    assert audited.registry.read("creditOf", MINERS[0].address, 0) == 0


def test_a_penalty_takes_no_more_than_the_bond(audited):
    condemn(audited, FAILED)
    audited.submit(ANA, "n", miner=MINERS[2])
    audited.slot(2 * K)
    for miner in MINERS:
        audited.registry.send(miner, "post", 1, 0, 0)
    audited.registry.send(EVE, "close", 1)
    for peer in MINERS[1:]:
        done = attest(audited, peer, FAILED, epoch=1)
    assert done.event("Penalised")["fromBond"] == BOND - PENALTY
    assert audited.storage.read("bondOf", MINERS[0].address) == 0


def test_one_of_three_miners_decides_nothing(audited):
    done = attest(audited, MINERS[1], FAILED)
    assert not done.all("VerdictReached")
    assert audited.storage.read("verdictOf", 0, MINERS[0].address) == 0


def test_an_absent_miners_credits_are_held_until_it_answers(audited):
    condemn(audited, ABSENT)
    audited.slot(K + AUDIT_SLOTS + 1)
    with reverts("CreditHeld", MINERS[0].address, 0):
        audited.registry.send(EVE, "collect", MINERS[0].address, [0])
    condemn(audited, ANSWERED)
    audited.registry.send(EVE, "collect", MINERS[0].address, [0])
    assert audited.storage.read("bondOf", MINERS[0].address) == BOND


def test_an_absent_miner_that_returns_without_the_leaf_fails(audited):
    condemn(audited, ABSENT)
    assert condemn(audited, FAILED).all("Penalised")


def test_without_a_verdict_an_audit_passes(audited):
    attest(audited, MINERS[1], FAILED)
    last = K + AUDIT_SLOTS
    audited.slot(last)
    assert not audited.storage.read("isSettled", 0, MINERS[0].address)
    audited.slot(last + 1)
    assert audited.storage.read("isSettled", 0, MINERS[0].address)


def test_an_audit_ends(audited):
    audited.slot(K + AUDIT_SLOTS + 1)
    with reverts("AuditOver", 0, K + AUDIT_SLOTS):
        attest(audited, MINERS[1], FAILED)


def test_an_accusation_needs_the_beacon(world):
    world.submit(ANA, "m")
    with reverts("BeaconMissing", 0):
        attest(world, MINERS[1], FAILED)


def test_a_leaf_that_others_cannot_show_is_nobodys_fault(audited):
    # The audited miner's own bit and bits of nobody do not count.
    with reverts("LeafNotShown", 1, 2):
        attest(audited, MINERS[1], FAILED, shown_by=0b11001 | 0b010)


def test_a_miner_does_not_judge_itself(audited):
    with reverts("NotPeer", MINERS[0].address, MINERS[0].address):
        attest(audited, MINERS[0], FAILED)


def test_strangers_do_not_judge(audited):
    with reverts("NotPeer", EVE.address, MINERS[0].address):
        attest(audited, EVE, FAILED)


def test_only_miners_of_the_epoch_are_judged(audited):
    with reverts("NotAudited", ANA.address, 0):
        attest(audited, MINERS[1], FAILED, miner=ANA)


@pytest.mark.parametrize("verdict", [FAILED, ABSENT, ANSWERED])
def test_a_peer_speaks_once(audited, verdict):
    if verdict == ANSWERED:
        condemn(audited, ABSENT)
    attest(audited, MINERS[1], verdict)
    with reverts("AlreadyAttested", 0, MINERS[0].address, MINERS[1].address):
        attest(audited, MINERS[1], verdict)


def test_only_an_absent_miner_can_answer(audited):
    with reverts("NotAbsent", 0, MINERS[0].address):
        attest(audited, MINERS[1], ANSWERED)


@pytest.mark.parametrize(
    ("before", "then"), [(None, 0), (FAILED, ABSENT), (FAILED, FAILED), (ABSENT, ABSENT)]
)
def test_a_verdict_is_a_new_one(audited, before, then):
    if before is not None:
        condemn(audited, before)
    with reverts("InvalidVerdict", then):
        attest(audited, MINERS[1], then)


def test_two_miners_reach_no_verdict(world):
    world.council(world.storage, "retire", MINERS[2].address)
    world.submit(ANA, "m")
    world.slot(K)
    world.storage.send(EVE, "drawBeacon", 0)
    with reverts("LeafNotShown", 1, 2):
        attest(world, MINERS[1], FAILED)
