"""FeeMarket: escrow, turns, capacity, who is enrolled and from when."""

from dataclasses import replace

import pytest
from onchain import NOBODY, Fees, found, populate
from pychain import ANA, BO, COUNCIL, CY, EVE, MINERS, reverts

from registry.core.ids import Role

FOREVER = 2**48 - 1


def close(world, epoch):
    """Everyone posts an empty backlog, the epoch is closed, its rebates are paid."""
    world.slot((epoch + 1) * world.fees.slots_per_epoch)
    for miner in MINERS:
        world.registry.send(miner, "post", epoch, 0, 0)
    done = world.registry.send(EVE, "close", epoch)
    if world.registry.read("rebate")[4]:
        world.registry.send(EVE, "payRebates", epoch, 100)
    return done


def enrolments(world):
    return [world.registry.read("enrolment", i + 1) for i in range(world.registry.read("enrolmentCount"))]


# ---------------------------------------------------------------- escrow


def test_anyone_pays_into_anyones_escrow(world):
    before = world.balance(ANA)
    event = world.registry.send(EVE, "deposit", ANA.address, value=7).event("Deposited")
    assert (event["account"], event["from"], event["amount"]) == (ANA.address.lower(), EVE.address.lower(), 7)
    assert world.balance(ANA) == before + 7


def test_nobodys_escrow_takes_no_money(world):
    with reverts("InvalidReceiver", NOBODY):
        world.registry.send(EVE, "deposit", NOBODY, value=7)


def test_escrow_stays_below_96_bits(world):
    fresh = found(Fees())
    with reverts("DepositTooLarge", 2**96, 2**96 - 1):
        fresh.registry.send(COUNCIL, "deposit", ANA.address, value=2**96)


def test_withdrawn_escrow_arrives(world):
    before = world.evm.balance(ANA.address)
    world.registry.send(ANA, "withdraw", 100)
    assert world.evm.balance(ANA.address) == before + 100


def test_nobody_withdraws_more_than_there_is(world):
    held = world.balance(ANA)
    with reverts("InsufficientEscrow", ANA.address, held, held + 1):
        world.registry.send(ANA, "withdraw", held + 1)


def test_a_contract_that_takes_no_money_cannot_withdraw(world):
    world.registry.send(COUNCIL, "deposit", world.consortium.address, value=5)
    with reverts("TransferFailed", world.consortium.address, 5):
        world.council(world.registry, "withdraw", 5)


def test_pause_does_not_stop_withdraw(world):
    world.council(world.consortium, "pause")
    world.registry.send(ANA, "withdraw", world.balance(ANA))
    assert world.balance(ANA) == 0


def test_fee_and_tax_are_all_that_sealing_takes(world):
    before = world.balance(ANA)
    done = world.seal(MINERS[0], world.signed(ANA, world.version(ANA), high=True)).event("Registered")
    assert world.balance(ANA) == before - done["fee"] - done["tax"]
    credits = [world.registry.read("creditOf", m.address, 0) for m in MINERS]
    assert credits == [100 * 7 + 100 * world.fees.eps, 100 * 5, 100 * 9]
    assert sum(credits) == done["fee"]
    assert world.registry.read("pool") == done["tax"]


# ---------------------------------------------------------------- who may seal, and when


def test_only_an_enrolled_miner_seals(world):
    with reverts("NotMiner", EVE.address):
        world.seal(EVE, world.signed(ANA, world.version(ANA)))


def test_a_miner_without_a_price_does_not_seal(world):
    world.admit(CY, "gamma", Role.MINER)
    with reverts("NotMiner", CY.address):
        world.seal(CY, world.signed(ANA, world.version(ANA)))


def test_a_miner_that_lost_its_role_stops_at_once(world):
    world.submit(ANA, "first")
    world.council(world.consortium, "remove", MINERS[0].address)
    with reverts("NotMiner", MINERS[0].address):
        world.seal(MINERS[0], world.signed(ANA, world.version(ANA)))


def test_the_first_slots_of_a_turn_belong_to_its_miner(world):
    with reverts("NotYourTurn", MINERS[1].address, MINERS[0].address, 0):
        world.seal(MINERS[1], world.signed(ANA, world.version(ANA)))


def test_after_the_grace_slots_any_miner_seals(world):
    world.slot(1)
    world.submit(ANA, "m", miner=MINERS[1])


def test_turns_go_round(world):
    turns = [world.registry.read("turnOf", slot) for slot in range(8)]
    order = [m.address.lower() for m in (*MINERS, MINERS[0])]
    assert turns == [(m, exclusive) for m in order for exclusive in (True, False)]


def test_without_miners_it_is_nobodys_turn(empty):
    assert empty.registry.read("turnOf", 0) == (NOBODY, False)


def test_a_large_item_goes_in_and_the_next_slots_pay(world):
    fresh = found(replace(Fees(), slot_bytes=10_000))
    populate(fresh)
    fresh.submit(ANA, "large", size=25_000)
    assert fresh.registry.read("budget") == -15_000
    fresh.slot(1)
    assert fresh.registry.read("budget") == -5_000
    fresh.slot(2)
    assert fresh.registry.read("budget") == 5_000
    fresh.slot(3)
    assert fresh.registry.read("budget") == 10_000


def test_seals_of_one_slot_add_up_in_its_header(world):
    for i in range(2):
        world.submit(ANA, f"h{i}", size=30, high=True)
        world.submit(ANA, f"l{i}", size=11)
    assert world.registry.read("header", 0) == (60, 22)
    assert world.registry.read("header", 1) == (0, 0)
    assert world.registry.read("epochTotals", 0)[:2] == (60, 22)


def test_sealing_waits_for_the_close(world):
    world.submit(ANA, "m")
    world.slot(4)
    with reverts("EpochNotClosed", 0, 1):
        world.seal(MINERS[0], world.signed(ANA, world.version(ANA)))


# ---------------------------------------------------------------- enrolment


def test_the_first_submitter_of_a_namespace_is_enrolled(world):
    world.admit(CY, "alpha", Role.SUBMITTER)
    assert enrolments(world) == [(ANA.address.lower(), 0, FOREVER), (BO.address.lower(), 0, FOREVER)]


def test_devices_and_miners_are_not_enrolled(empty):
    empty.admit(CY, "gamma", Role.DEVICE)
    empty.admit(MINERS[0], "mine", Role.MINER)
    assert empty.registry.read("enrolmentCount") == 0


def test_after_the_first_seal_an_account_joins_at_the_next_boundary(world):
    world.submit(ANA, "m")
    world.admit(CY, "gamma", Role.SUBMITTER)
    assert enrolments(world)[-1] == (CY.address.lower(), 1, FOREVER)
    assert world.registry.read("openEpoch")[2] == 2
    close(world, 0)
    assert world.registry.read("openEpoch")[2] == 3


def test_a_removed_account_shares_in_its_last_epoch_only(world):
    world.submit(ANA, "m")
    world.council(world.consortium, "remove", BO.address)
    assert enrolments(world)[1] == (BO.address.lower(), 0, 0)
    assert close(world, 0).event("EpochClosed")["accounts"] == 2
    assert world.registry.read("openEpoch")[2] == 1


def test_an_account_that_comes_and_goes_within_an_epoch_was_never_there(world):
    world.submit(ANA, "m")
    world.admit(CY, "gamma", Role.SUBMITTER)
    world.council(world.consortium, "remove", CY.address)
    close(world, 0)
    assert world.registry.read("openEpoch")[2] == 2
    assert enrolments(world)[-1] == (CY.address.lower(), FOREVER, 0)


def test_before_the_first_seal_changes_count_at_once(world):
    world.council(world.consortium, "remove", BO.address)
    assert world.registry.read("openEpoch")[2] == 1
    assert world.registry.read("menu")[2:] == (0, 0)


def test_a_lone_account_pays_no_tax(empty):
    empty.admit(MINERS[0], "mine", Role.MINER)
    empty.price(MINERS[:1], [7])
    empty.admit(ANA, "alpha", Role.SUBMITTER)
    assert empty.registry.read("menu") == (8, 7, 0, 0)
    empty.admit(BO, "beta", Role.SUBMITTER)
    assert empty.registry.read("menu") == (8, 7, 11, 5)


def test_others_of_a_namespace_pay_in_its_name(world):
    world.admit(CY, "alpha", Role.SUBMITTER)
    world.deposit(CY, 10**9)
    tax = sum(
        world.seal(MINERS[0], world.signed(w, world.version(w, w.name))).event("Registered")["tax"]
        for w in (ANA, CY)
    )
    assert world.registry.read("taxOf", 1, 0) == tax


def test_a_namespace_whose_account_left_is_taken_on_by_the_next_one(world):
    world.submit(ANA, "m")
    world.admit(CY, "alpha", Role.SUBMITTER)
    world.deposit(CY, 10**9)
    world.council(world.consortium, "remove", ANA.address)
    world.council(world.consortium, "setRoles", CY.address, int(Role.SUBMITTER))
    close(world, 0)
    tax = world.seal(MINERS[2], world.signed(CY, world.version(CY))).event("Registered")["tax"]
    assert enrolments(world)[-1] == (CY.address.lower(), 1, FOREVER)
    assert tax > 0
    assert world.registry.read("taxOf", 3, 1) == tax


def test_the_tax_of_a_namespace_that_is_not_enrolled_yet_is_shared_by_all(world):
    world.submit(ANA, "m")
    world.admit(CY, "gamma", Role.SUBMITTER)
    world.deposit(CY, 10**9)
    world.slot(1)
    tax = world.seal(MINERS[0], world.signed(CY, world.version(CY))).event("Registered")["tax"]
    assert close(world, 0).event("EpochClosed")["outside"] == tax > 0


# ---------------------------------------------------------------- constants


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("slotsPerEpoch", "slots_per_epoch", 0),
        ("slotsPerEpoch", "slots_per_epoch", 129),
        ("slotSeconds", "slot_s", 0),
        ("eta", "eta", 33),
        ("eps", "eps", 0),
        ("gH", "g_h", 2**48),
        ("gL", "g_l", 2**48),
        ("tau0H", "tau0_h", 2**56),
        ("tau0L", "tau0_l", 2**56),
        ("slotBytes", "slot_bytes", 0),
        ("turnSlots", "turn_slots", 0),
        ("graceSlots", "grace_slots", 3),
        ("maxItemBytes", "max_item_bytes", 0),
    ],
)
def test_a_constant_out_of_range_is_refused(name, field, value):
    with reverts("InvalidParameter", name, value):
        found(replace(Fees(), **{field: value}))


def test_grace_may_be_zero_and_a_run_cap_may_be_anything():
    world = found(replace(Fees(), grace_slots=0, run_cap=2**32 - 1))
    assert world.registry.read("params")[3] == 2**32 - 1


@pytest.mark.parametrize(
    ("function", "args"), [("rosterChanged", ()), ("forfeit", (NOBODY, 0)), ("addToCarry", ())]
)
def test_some_calls_are_the_storage_markets(world, function, args):
    with reverts("OnlyStorageMarket", EVE.address):
        world.registry.send(EVE, function, *args)
