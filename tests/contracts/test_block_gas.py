"""Every loop at its largest takes below 25,000,000 gas; our chains allow 200,000,000 and more in a block."""

from itertools import pairwise

import pytest
from onchain import Fees, found
from pychain import ANA, EVE, MINERS, actor

from registry.core.ids import Role

MOST = 25_000_000
SLOTS = 128
MOST_MINERS, MOST_SEATS = 64, 32
PAGE = 20
LONG_IDLE = 5_000


def peopled(fees, submitters=1, miners=1):
    """Submitters of organisations of their own, with money, and miners who all have a price."""
    world = found(fees)
    people = [actor(f"submitter {i}") for i in range(submitters)]
    crowd = [actor(f"miner {i}") for i in range(miners)]
    for i, who in enumerate(people):
        world.admit(who, f"org{i}", Role.SUBMITTER)
        world.deposit(who, 10**15)
    for who in crowd:
        world.admit(who, "mine", Role.MINER)
    world.price(crowd, [7] * miners)
    return world, people, crowd


def post_falling_runs(world, crowd, epoch):
    """Every miner saw a backlog, each a shorter one than the miner before: the slowest order to sort."""
    for i, who in enumerate(crowd):
        run = (1 << SLOTS - i) - 1
        world.registry.send(who, "post", epoch, run, run)


def test_a_close_with_the_most_miners_slots_and_new_prices():
    world, (ana,), crowd = peopled(
        Fees(slots_per_epoch=SLOTS, run_cap=SLOTS, slot_bytes=10**9, grace_slots=0), miners=MOST_MINERS
    )
    for slot in range(0, SLOTS, 32):
        world.slot(slot)
        item = world.signed(ana, world.version(ana, f"{slot}"), high=slot % 64 == 0)
        assert not world.seal(crowd[0], item).all("Rejected")
    world.slot(SLOTS)
    post_falling_runs(world, crowd, 0)
    world.registry.send(EVE, "close", 0)
    world.slot(2 * SLOTS)
    post_falling_runs(world, crowd, 1)
    world.price(crowd, list(range(1, MOST_MINERS + 1)))
    done = world.registry.send(EVE, "close", 1)
    closed = done.event("EpochClosed")
    assert min(closed["estH"], closed["estL"]) > 0
    assert len(done.event("RosterChanged")["miners"]) == MOST_MINERS
    assert done.gas_used < MOST, done.gas_used


def test_a_page_of_rebates_costs_its_lines_however_long_the_roll_is():
    world, people, (miner,) = peopled(Fees(slots_per_epoch=1, slot_bytes=10**9, grace_slots=0), PAGE + 5)
    who = people[0]
    assert not world.seal(miner, world.signed(who, world.version(who, size=5_000), high=True)).all("Rejected")
    world.slot(1)
    world.registry.send(miner, "post", 0, 0, 0)
    world.registry.send(EVE, "close", 0)
    done = world.registry.send(EVE, "payRebates", 0, PAGE)
    assert len(done.all("RebatePaid")) >= PAGE - 1
    assert world.registry.read("rebate")[4]  # the rest waits for the next page
    assert done.gas_used < 20_000 * PAGE, done.gas_used


@pytest.mark.parametrize("eta", [2, 32])
def test_a_long_idle_run_is_closed_in_parts_of_the_callers_choice(eta):
    """With eta 2 nothing is left to decay soon; with 32 every epoch is a step, so the caller pages."""
    world = found(
        Fees(slots_per_epoch=1, slot_s=1, eta=eta, tau0_h=2**56 - 1, tau0_l=2**56 - 1, post_slots=0)
    )
    world.evm.at += 3 * LONG_IDLE
    for last in (LONG_IDLE, 2 * LONG_IDLE):
        done = world.registry.send(EVE, "close", last)
        assert done.event("IdleEpochsClosed")["last"] == last
        assert done.gas_used < 800 * LONG_IDLE, done.gas_used


def test_a_full_council_gives_way_to_another_full_council():
    world = found(Fees())
    first, second = ([actor(f"{name} {i}") for i in range(MOST_SEATS)] for name in ("old", "new"))
    world.council(world.consortium, "setCouncil", [a.address for a in first], MOST_SEATS)
    data = world.consortium.data("setCouncil", [a.address for a in second], MOST_SEATS)
    world.consortium.send(first[0], "propose", world.consortium.address, data, "because")
    for who in first[1:]:
        done = world.consortium.send(who, "approve", 3)
    assert world.consortium.read("council") == tuple(a.address.lower() for a in second)
    assert done.gas_used < 5_000_000, done.gas_used


def test_a_seal_of_200_items_with_eight_parents_each():
    world, people, (miner,) = peopled(Fees(slots_per_epoch=8, slot_bytes=10**9, grace_slots=0), 8)
    people *= 25
    first = [world.signed(who, world.version(who, f"parent {i}")) for i, who in enumerate(people)]
    assert not world.seal(miner, *first).all("Rejected")
    ids = [s.version.id for s, _ in first]
    items = [
        world.signed(who, world.version(who, f"child {i}", parents=tuple((ids + ids)[i : i + 8])))
        for i, who in enumerate(people)
    ]
    done = world.seal(miner, *items)
    assert len(done.all("Registered")) == 200
    assert done.gas_used < 15_000_000, done.gas_used


def test_each_predecessor_costs_a_parent_a_bounded_sum():
    """A batch can hold 1,600 parents that only the oldest deployment knows; see SECURITY.md."""
    world = found(Fees())
    used = []
    for generation in range(4):
        if generation:
            world = found(Fees(), evm=world.evm, predecessor=world.consortium.address)
        world.admit(ANA, "alpha", Role.SUBMITTER)
        world.deposit(ANA, 10**12)
        world.admit(MINERS[0], "mine", Role.MINER)
        world.price(MINERS[:1], [1])
        if not generation:
            parents = tuple(world.submit(ANA, f"parent {i}").id for i in range(8))
            continue
        done = world.seal(MINERS[0], world.signed(ANA, world.version(ANA, "child", parents=parents)))
        assert not done.all("Rejected")
        used.append(done.gas_used)
    assert max(b - a for a, b in pairwise(used)) < 8 * 5_500, used
