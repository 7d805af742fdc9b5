"""What goes wrong in a fee market, and that every wei is accounted for in each case."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from market import ANA, BO, FEES, MINERS, Market, key, made, sizes, version_tuple

from registry.errors import NotAuthorized, Rejected


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    found = made(tmp_path)
    yield found
    found.check_money()
    found.close()


def posted(market: Market) -> list[tuple[int, int, int]]:
    return [(e.args["epoch"], e.args["bitmapH"], e.args["bitmapAny"]) for e in market.events("BacklogPosted")]


def spent(market: Market, who: object = ANA) -> int:
    return 10**12 - market.balance(who)


def test_items_are_sealed_by_whose_turn_it_is_once_each(market: Market) -> None:
    versions = [market.submit(ANA, f"m{n}", high=n % 2 == 0) for n in range(4)]
    market.look()
    assert all(market.is_sealed(version) for version in versions)
    assert market.events("Rejected") == []
    assert len(market.events("BatchSealed")) == 1


def test_an_underfunded_item_waits_aside_expires_and_costs_nothing(market: Market) -> None:
    poor = key("bo")
    market.send(poor, "TwinRegistry", "withdraw", market.balance(poor))
    aside = market.submit(BO, "unpaid")
    paid = market.submit(ANA, "paid")
    market.tick(10)
    assert market.is_sealed(paid) and not market.is_sealed(aside)
    assert all(every == 0 for _epoch, _h, every in posted(market))
    market.go(market.slot + 1_000)
    market.deposit(ANA, 1)
    market.follow()
    assert market.entry(aside).state == "expired"
    assert [e.args["submitter"] for e in market.events("Registered")] == [ANA.address]


def test_unpayable_underpriced_and_cancelled_submissions_raise_no_tax(market: Market) -> None:
    market.send(key("bo"), "TwinRegistry", "withdraw", market.balance(BO))
    for n in range(5):
        market.submit(BO, f"unpayable{n}", high=True)
        market.submit(ANA, f"cheap{n}", high=True, max_price=20)
    gone = market.submit(ANA, "cancelled", high=True)
    market.send(ANA, "TwinRegistry", "cancel", version_tuple(gone))
    market.submit(ANA, "good")
    taxes = [market.contracts.menu().tax]
    for _ in range(4):
        market.tick(4)
        taxes.append(market.contracts.menu().tax)
    assert posted(market) and all(every == 0 for _e, _h, every in posted(market))
    assert taxes[-1][0] < taxes[0][0]
    assert [e.args["why"] for e in market.events("Rejected")] in ([], [2])


def test_an_item_above_the_largest_is_never_tried(market: Market) -> None:
    large = market.submit(ANA, "large", size=FEES.max_item_bytes + 1)
    market.tick(3)
    assert not market.is_sealed(large)
    receipt = market.seal(MINERS[market.slot // 2 % 3], large)
    assert receipt.succeeded
    assert [e.args["why"] for e in market.events("Rejected")] == [15]
    assert spent(market) == 0


def test_an_item_above_the_budget_goes_in_and_the_slots_after_it_pay(tmp_path: Path) -> None:
    market = made(tmp_path, fees=replace(FEES, slot_bytes=10_000))
    first = market.submit(ANA, "first", size=35_000)
    second = market.submit(ANA, "second", size=1_000)
    began = market.slot
    market.tick(12)
    slots = {e.args["versionId"]: e.args["slot"] for e in market.events("Registered")}
    assert slots[first.id] == began
    assert slots[second.id] == began + 3  # 10,000 - 35,000 and a bit, and 10,000 a slot until it is above 0
    assert next(every for _e, _h, every in posted(market)) != 0
    market.check_money()
    market.close()


def test_a_child_in_h_waits_for_its_parent_in_l(market: Market) -> None:
    parent = market.version(ANA, "parent")
    child = market.submit(ANA, "child", high=True, parents=[parent.id])
    market.look()
    assert not market.is_sealed(child)
    market.submit(ANA, "parent")
    market.tick(2)
    assert market.is_sealed(parent) and market.is_sealed(child)
    order = [e.args["versionId"] for e in market.events("Registered")]
    assert order == [parent.id, child.id]
    assert market.events("Rejected") == []


def test_a_child_whose_parent_was_revoked_is_refused_once_and_then_waits_aside(market: Market) -> None:
    parent = market.submit(ANA, "parent")
    market.look()
    market.send(ANA, "TwinRegistry", "setStatus", version_tuple(parent), 3, "poisoned")
    child = market.submit(ANA, "child", parents=[parent.id])
    market.tick(20)
    assert not market.is_sealed(child)
    assert 1 <= len(market.events("Rejected")) <= 3  # each miner knew the parent from before, and learns once
    assert len(market.events("Registered")) == 1


def test_out_of_turn_and_unknown_miners_are_refused(market: Market) -> None:
    version = market.submit(ANA, "turns")
    market.go(market.slot // 2 * 2 + 2)  # the exclusive slot of a new turn
    holder = market.slot // 2 % 3
    early = MINERS[(holder + 1) % 3]
    with pytest.raises(NotAuthorized) as refused:
        market.seal(early, version)
    owner, slot = MINERS[holder].address, market.slot
    values = {"caller": early.address, "owner": owner, "slot": slot, "contract_error": "NotYourTurn"}
    assert refused.value.values == values
    with pytest.raises(NotAuthorized) as refused:
        market.seal(ANA, version)
    assert refused.value.values == {"caller": ANA.address, "contract_error": "NotMiner"}
    assert spent(market) == 0
    market.look()
    assert market.events("BatchSealed")[0].args["miner"] == MINERS[holder].address


def test_forged_and_replayed_posts_are_refused(market: Market) -> None:
    market.submit(ANA, "m")
    market.look()
    market.go(4)
    market.send(MINERS[0], "TwinRegistry", "post", 0, 0, 0)
    for who, epoch, h, every, error in (
        (MINERS[0], 0, 0, 0, "AlreadyPosted"),
        (ANA, 0, 0, 0, "NotMiner"),
        (MINERS[1], 1, 0, 0, "NotOpenEpoch"),
        (MINERS[1], 0, 1, 0, "BitmapOutOfRange"),
    ):
        with pytest.raises(Rejected) as refused:
            market.send(who, "TwinRegistry", "post", epoch, h, every)
        assert refused.value.values["contract_error"] == error
    market.tick(6)
    assert market.contracts.open_epoch().epoch >= 1


def test_an_epoch_nobody_closed_for_ten_epochs_is_closed_when_the_miners_are_back(market: Market) -> None:
    market.submit(ANA, "before", high=True)
    market.look()
    market.go(market.slot + 10 * FEES.slots_per_epoch)
    after = market.submit(BO, "after")
    market.tick(4)
    assert market.is_sealed(after)
    assert market.events("IdleEpochsClosed")
    market.tick(8)


def test_rebates_paid_by_half_are_finished_before_the_next_close(market: Market) -> None:
    market.gone = {0, 1, 2}
    version = market.submit(ANA, "taxed", high=True)
    market.seal(MINERS[market.slot // 2 % 3], version)
    market.follow()
    for epoch in (0, 1):
        market.go((epoch + 1) * 4)
        for miner in MINERS:
            market.send(miner, "TwinRegistry", "post", epoch, 0, 0)
        if epoch == 1:
            with pytest.raises(Rejected, match="rebates"):
                market.send(ANA, "TwinRegistry", "close", epoch)
            market.send(BO, "TwinRegistry", "payRebates", 0, 1)
            with pytest.raises(Rejected):
                market.send(ANA, "TwinRegistry", "close", epoch)
            break
        market.send(ANA, "TwinRegistry", "close", epoch)
        market.send(ANA, "TwinRegistry", "payRebates", epoch, 1)
        market.check_money()
    market.gone = set()
    market.tick(4)
    assert not market.contracts.rebate().due
    assert {e.args["account"] for e in market.events("RebatePaid") if e.args["epoch"] == 0} == {
        who.address for who in (BO, key("cy"))
    }


def test_a_miner_that_dies_between_pin_and_seal_leaves_nothing_behind(market: Market) -> None:
    market.gone = {0, 1, 2}
    version = market.submit(ANA, "orphan")
    holder = market.slot // 2 % 3
    market.nodes[holder].step()
    market.nodes[holder].settle(10)  # pinned, and then it dies
    market.nodes[holder].close()
    assert not market.is_sealed(version)
    market.nodes[holder] = market.node(holder)
    market.gone = set(range(3)) - {holder}
    market.tick(8)
    assert market.is_sealed(version)
    assert len(market.events("Registered")) == 1


def test_two_miners_sealing_the_same_items_at_once_charge_them_once(market: Market) -> None:
    versions = [market.submit(ANA, f"twice{n}") for n in range(3)]
    market.go(market.slot // 2 * 2 + 3)  # past the grace: anybody may
    for miner in MINERS[:2]:
        market.seal(miner, *versions)
    assert [e.args["why"] for e in market.events("Rejected")] == [1, 1, 1]
    price = next(e.args["fee"] + e.args["tax"] for e in market.events("Registered")) // versions[0].size
    assert spent(market) == price * sizes(versions)
    market.tick(2)
    assert len(market.events("BatchSealed")) == 2  # the nodes saw it on chain and sealed nothing again


def test_one_miner_left_alone_seals_closes_and_pays(market: Market) -> None:
    market.gone = {1, 2}
    done = []
    for n in range(4):
        done.append(market.submit(ANA, f"alone{n}", high=True))
        market.tick(6)
    assert all(market.is_sealed(version) for version in done)
    market.tick(8)
    assert market.contracts.open_epoch().epoch >= 4
    assert market.events("RebatesCompleted")
    # Two of three miners never posted: their views count as nothing waiting.
    assert all(e.args["estL"] == 0 for e in market.events("EpochClosed"))


def test_after_a_month_of_idleness_one_call_closes_it_all(market: Market) -> None:
    market.submit(ANA, "before")
    market.tick(12)
    blocks = market.link.head().number
    market.go(market.slot + 30 * 86_400 // 100)
    market.tick(3)
    assert market.link.head().number - blocks <= 8  # an idle chain makes no blocks but claims
    after = market.submit(ANA, "after")
    market.tick(4)
    assert market.is_sealed(after)
    (idle,) = [e for e in market.events("IdleEpochsClosed") if e.args["last"] - e.args["first"] > 1_000]
    assert idle.args["tauL"] == idle.args["tauH"] == 0


def test_backlog_bitmaps_are_exact_to_the_slot(tmp_path: Path) -> None:
    market = made(tmp_path, fees=replace(FEES, slot_bytes=3_000, slots_per_epoch=8))
    for n in range(4):
        market.submit(ANA, f"queue{n}", high=n == 0, size=3_500)
    market.tick(10)
    sealed = sorted(e.args["slot"] for e in market.events("Registered"))
    last = max(sealed)
    expected = sum(1 << slot for slot in range(last))
    found = {
        e.args["miner"]: (e.args["bitmapH"], e.args["bitmapAny"]) for e in market.events("BacklogPosted")
    }
    assert len(found) == 3
    assert set(found.values()) == {(0, expected & 0xFF)}
    market.check_money()
    market.close()


def test_a_flood_by_one_namespace_does_not_delay_anothers_priority_items(tmp_path: Path) -> None:
    market = made(tmp_path, fees=replace(FEES, slot_bytes=7_000, slots_per_epoch=8))
    for n in range(20):
        market.submit(BO, f"flood{n}", high=True)
    ours = []
    for n in range(5):
        ours.append((market.submit(ANA, f"ours{n}", high=True).id, market.slot))
        market.tick(1)
    market.tick(1)  # what came after a slot's budget was spent goes into the next one
    slots = {e.args["versionId"]: e.args["slot"] for e in market.events("Registered")}
    assert all(slots[version_id] - born <= 1 for version_id, born in ours)
    assert len(slots) < 25  # the flood itself still waits
    market.check_money()
    market.close()
