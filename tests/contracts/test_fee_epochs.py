"""FeeMarket: posts, closes, idle runs, rebates in pages, and miners' credits."""

import pytest
from pychain import ANA, BO, CY, EVE, MINERS, reverts

from registry.core.ids import Role

K = 4  # slots of an epoch here
POST_SLOTS = 4


def post(world, epoch, bitmaps=(0, 0), miners=MINERS):
    for miner in miners:
        world.registry.send(miner, "post", epoch, *bitmaps)


def close(world, epoch, bitmaps=(0, 0)):
    """Everyone posts, the epoch is closed, its rebates are paid."""
    world.slot((epoch + 1) * K)
    post(world, epoch, bitmaps)
    done = world.registry.send(EVE, "close", epoch)
    if world.registry.read("rebate")[4]:
        world.registry.send(EVE, "payRebates", epoch, 100)
    return done


# ---------------------------------------------------------------- posts


def test_a_post_is_an_event(world):
    world.slot(K)
    event = world.registry.send(MINERS[0], "post", 0, 0b0001, 0b1001).event("BacklogPosted")
    assert (event["epoch"], event["bitmapH"], event["bitmapAny"]) == (0, 1, 9)
    assert world.registry.read("hasPosted", 0, MINERS[0].address)
    assert not world.registry.read("hasPosted", 0, MINERS[1].address)


def test_a_backlog_is_posted_after_the_epochs_last_slot(world):
    world.slot(K - 1)
    with reverts("EpochNotOver", 0, 0):
        world.registry.send(MINERS[0], "post", 0, 0, 0)


def test_a_backlog_is_posted_for_the_open_epoch_only(world):
    world.slot(2 * K)
    with reverts("NotOpenEpoch", 1, 0):
        world.registry.send(MINERS[0], "post", 1, 0, 0)


def test_a_closed_epoch_takes_no_post(world):
    close(world, 0)
    with reverts("NotOpenEpoch", 0, 1):
        world.registry.send(MINERS[0], "post", 0, 0, 0)


def test_only_an_enrolled_miner_posts(world):
    world.slot(K)
    with reverts("NotMiner", EVE.address):
        world.registry.send(EVE, "post", 0, 0, 0)


def test_a_miner_posts_once(world):
    world.slot(K)
    post(world, 0, miners=MINERS[:1])
    with reverts("AlreadyPosted", 0, MINERS[0].address):
        world.registry.send(MINERS[0], "post", 0, 0, 0)


@pytest.mark.parametrize("bitmaps", [(0, 1 << K), (1, 0), (0b11, 0b01)])
def test_bitmaps_have_k_bits_and_h_implies_any(world, bitmaps):
    world.slot(K)
    with reverts("BitmapOutOfRange", *bitmaps, K):
        world.registry.send(MINERS[0], "post", 0, *bitmaps)


# ---------------------------------------------------------------- close


def test_an_epoch_closes_when_everyone_has_posted(world):
    world.submit(ANA, "m")
    assert close(world, 0).event("EpochClosed")["epoch"] == 0
    assert world.registry.read("openEpoch")[0] == 1


def test_an_epoch_without_all_posts_waits_post_slots(world):
    world.submit(ANA, "m")
    world.slot(K)
    post(world, 0, miners=MINERS[:2])
    with reverts("PostsMissing", 0, 2, 3, K + POST_SLOTS):
        world.registry.send(EVE, "close", 0)
    world.slot(K + POST_SLOTS)
    assert world.registry.send(EVE, "close", 0).all("EpochClosed")


@pytest.mark.parametrize("epoch", [0, 2**64 - 1])
def test_an_epoch_is_not_closed_before_its_end(world, epoch):
    with reverts("EpochNotOver", epoch, 0):
        world.registry.send(EVE, "close", epoch)


def test_an_epoch_is_closed_once(world):
    close(world, 0)
    with reverts("NotOpenEpoch", 0, 1):
        world.registry.send(EVE, "close", 0)


def test_nothing_is_estimated_at_the_first_close(world):
    world.submit(ANA, "m")
    event = close(world, 0, bitmaps=(0b1111, 0b1111)).event("EpochClosed")
    assert (event["estH"], event["estL"]) == (0, 0)
    assert world.registry.read("tau") == (world.fees.tau0_h, world.fees.tau0_l)


def test_a_run_of_backlog_is_priced_at_its_length(world):
    world.submit(ANA, "h", high=True)
    world.submit(ANA, "l")
    close(world, 0, bitmaps=(0b0011, 0b1111))
    event = close(world, 1, bitmaps=(0b0000, 0b0001)).event("EpochClosed")
    # From slot 0: H waits 2 slots, anything waits 5.
    assert (event["estH"], event["estL"]) == (2 * 40 + 3 * 10, 5 * 10)


def test_a_minority_cannot_raise_a_tax(world):
    world.submit(ANA, "h", high=True)
    for epoch in (0, 1):
        world.slot((epoch + 1) * K)
        post(world, epoch, (0b1111, 0b1111), MINERS[:1])
        post(world, epoch, (0, 0), MINERS[1:])
        done = world.registry.send(EVE, "close", epoch)
        world.registry.send(EVE, "payRebates", epoch, 9)
    assert done.event("EpochClosed")["estH"] == 0


def test_a_miner_that_missed_one_post_counts_as_zero(world):
    world.submit(ANA, "h", high=True)
    world.slot(K)
    post(world, 0, (0b1111, 0b1111), MINERS[:1])
    world.slot(K + POST_SLOTS)
    world.registry.send(EVE, "close", 0)
    world.registry.send(EVE, "payRebates", 0, 9)
    world.slot(2 * K)
    post(world, 1, (0b1111, 0b1111))
    assert world.registry.send(EVE, "close", 1).event("EpochClosed")["estH"] == 0


def test_a_new_price_is_in_force_from_the_next_close(world):
    world.submit(ANA, "m")
    world.price(MINERS[:1], [70])
    assert world.registry.read("menu")[1] == 21
    done = close(world, 0)
    assert world.registry.read("menu")[1] == 84
    assert done.event("RosterChanged")["prices"] == (70, 5, 9)
    assert world.registry.read("creditOf", MINERS[0].address, 0) == 700


# ---------------------------------------------------------------- idle epochs


def test_a_run_of_idle_epochs_is_closed_in_one_call(world):
    world.slot(1_000 * K + POST_SLOTS)
    done = world.registry.send(EVE, "close", 999)
    assert done.event("IdleEpochsClosed") == {"first": 0, "last": 999, "tauH": 0, "tauL": 0}
    assert world.registry.read("openEpoch")[0] == 1_000
    assert not world.registry.read("rebate")[4]


def test_a_run_of_any_length_costs_the_same(world):
    world.slot(10**9 * K + POST_SLOTS)
    assert world.registry.send(EVE, "close", 10**9 - 1).gas_used < 500_000


def test_an_idle_epoch_waits_for_posts(world):
    world.slot(3 * K)
    with reverts("PostsMissing", 2, 0, 3, 3 * K + POST_SLOTS):
        world.registry.send(EVE, "close", 2)


def test_the_epoch_after_a_seal_is_not_idle(world):
    world.submit(ANA, "m")
    close(world, 0)
    world.slot(4 * K + POST_SLOTS)
    with reverts("EpochNotIdle", 1):
        world.registry.send(EVE, "close", 2)


def test_a_post_makes_an_epoch_busy(world):
    world.slot(K)
    post(world, 0, miners=MINERS[:1])
    world.slot(4 * K)
    with reverts("EpochNotIdle", 0):
        world.registry.send(EVE, "close", 1)


def test_a_batch_of_refused_items_keeps_no_epoch_from_being_idle(world):
    item = world.signed(ANA, world.version(ANA), max_price=0)
    assert world.seal(MINERS[0], item).event("BatchSealed")["accepted"] == 0
    assert world.registry.read("openEpoch")[4:] == (False, False, False)


def test_an_idle_epoch_0_does_not_decay(world):
    world.slot(K + POST_SLOTS)
    world.registry.send(EVE, "close", 0)
    assert world.registry.read("tau") == (world.fees.tau0_h, world.fees.tau0_l)


# ---------------------------------------------------------------- rebates


def test_a_rebate_excludes_its_own_tax(world):
    tax = world.seal(MINERS[0], world.signed(ANA, world.version(ANA))).event("Registered")["tax"]
    before = world.balance(ANA), world.balance(BO)
    close(world, 0)
    assert (world.balance(ANA), world.balance(BO)) == (before[0], before[1] + tax)


def test_the_next_close_needs_the_rebates_paid(world):
    world.submit(ANA, "m")
    world.slot(K)
    post(world, 0)
    world.registry.send(EVE, "close", 0)
    world.registry.send(EVE, "payRebates", 0, 1)
    world.slot(2 * K + POST_SLOTS)
    with reverts("RebatesDue", 0, 2, 3):
        world.registry.send(EVE, "close", 1)


def test_rebates_are_paid_once(world):
    world.submit(ANA, "m")
    close(world, 0)
    with reverts("NoRebateDue", 0):
        world.registry.send(EVE, "payRebates", 0, 100)


def test_rebates_are_those_of_the_epoch_closed_last(world):
    world.submit(ANA, "m")
    world.slot(K)
    post(world, 0)
    world.registry.send(EVE, "close", 0)
    with reverts("NoRebateDue", 1):
        world.registry.send(EVE, "payRebates", 1, 100)


def test_a_member_removed_meanwhile_still_gets_its_rebate(world):
    tax = world.seal(MINERS[0], world.signed(ANA, world.version(ANA))).event("Registered")["tax"]
    world.council(world.consortium, "remove", BO.address)
    before = world.balance(BO)
    close(world, 0)
    assert world.balance(BO) == before + tax


def test_taxes_are_kept_for_two_epochs(world):
    tax = world.seal(MINERS[0], world.signed(ANA, world.version(ANA))).event("Registered")["tax"]
    close(world, 0)
    world.submit(ANA, "n", miner=MINERS[2])
    assert world.registry.read("taxOf", 1, 0) == tax
    close(world, 1)
    world.submit(ANA, "o", miner=MINERS[1])
    assert world.registry.read("taxOf", 1, 0) == 0


# ---------------------------------------------------------------- credits


def test_credits_are_collected_after_the_audit(world):
    world.submit(ANA, "m")
    close(world, 0)
    credit = world.registry.read("creditOf", MINERS[1].address, 0)
    with reverts("CreditHeld", MINERS[1].address, 0):
        world.registry.send(EVE, "collect", MINERS[1].address, [0])
    world.slot(K + 9)
    world.registry.send(EVE, "collect", MINERS[1].address, [0])
    assert world.balance(MINERS[1]) == credit == 500
    assert world.registry.read("creditOf", MINERS[1].address, 0) == 0


def test_credits_are_collected_once(world):
    world.submit(ANA, "m")
    close(world, 0)
    world.slot(K + 9)
    world.registry.send(EVE, "collect", MINERS[0].address, [0])
    with reverts("CreditSpent", MINERS[0].address, 0):
        world.registry.send(EVE, "collect", MINERS[0].address, [0])


def test_the_open_epochs_credits_are_held(world):
    world.submit(ANA, "m")
    with reverts("CreditHeld", MINERS[0].address, 0):
        world.registry.send(EVE, "collect", MINERS[0].address, [0])


def test_pause_stops_neither_close_nor_rebates_nor_collect(world):
    world.submit(ANA, "m")
    world.admit(CY, "gamma", Role.SUBMITTER)
    world.council(world.consortium, "pause")
    close(world, 0)
    world.slot(K + 9)
    world.registry.send(EVE, "collect", MINERS[0].address, [0])
    world.registry.send(MINERS[0], "withdraw", world.balance(MINERS[0]))
