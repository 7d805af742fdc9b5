"""What goes into a batch: class H first, head of line, eligible items only, within every limit."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from miners.selection import EMPTY_CALLDATA, MAX_CALLDATA, MAX_ITEMS, Item, select
from registry.core.ids import FeeClass, VersionId, to_address

H, L = FeeClass.PRIORITY, FeeClass.STANDARD
PRICES = {H: 30, L: 20}
ANA, BO = (to_address("0x" + digit * 40) for digit in "12")
RICH = {ANA: 10**12, BO: 10**12}


def vid(number):
    return VersionId(number.to_bytes(32, "big"))


def item(number, fee_class=L, **changes):
    plain = Item(vid(number), ANA, fee_class, 30, 100, (), 544, True)
    return replace(plain, **changes)


def chosen(items, *, escrow=RICH, sealed=(), budget=10**9):
    return select(items, prices=PRICES, escrow=escrow, sealed=sealed, budget=budget)


def test_class_h_goes_before_class_l_and_each_class_in_order_of_arrival():
    found = chosen([item(1), item(2, H), item(3), item(4, H)])
    assert found.batch == (vid(2), vid(4), vid(1), vid(3))
    assert not found.is_h_left and not found.is_l_left


def test_an_ineligible_item_waits_aside_and_blocks_nobody():
    aside = [
        item(1, is_held=False),
        item(2, max_price=19),
        item(3, submitter=BO, size=10**11),
        item(4, parents=(vid(99),)),
    ]
    found = chosen([*aside, item(5)])
    assert found.batch == (vid(5),)
    assert not found.is_l_left  # nor do they count as backlog


def test_an_item_must_offer_the_price_of_its_own_class():
    assert chosen([item(1, H, max_price=29), item(2, L, max_price=20)]).batch == (vid(2),)


def test_escrow_must_cover_everything_of_that_member_ahead():
    escrow = {ANA: 100 * 30 + 100 * 20, BO: 0}
    found = chosen([item(1), item(2), item(3, H)], escrow=escrow)
    assert found.batch == (vid(3), vid(1))
    assert not found.is_l_left


def test_escrow_bound_by_an_item_that_stays_behind_is_not_free():
    escrow = {ANA: 100 * 20 + 50 * 20}
    found = chosen(
        [item(1, submitter=BO), item(2), item(3, size=60)], escrow={**escrow, BO: 10**9}, budget=100
    )
    assert found.batch == (vid(1),)
    assert found.is_l_left
    alone = chosen([item(2), item(3, size=60)], escrow=escrow)
    assert alone.batch == (vid(2),)


def test_a_child_follows_its_parent_in_the_batch_or_waits_for_it():
    child = item(2, parents=(vid(1),))
    assert chosen([item(1), child]).batch == (vid(1), vid(2))
    assert chosen([child, item(1)]).batch == (vid(1),)
    assert chosen([child], sealed={vid(1)}).batch == (vid(2),)
    assert chosen([item(1), replace(child, fee_class=H)]).batch == (vid(1),)


def test_a_child_of_what_stays_behind_is_no_backlog():
    found = chosen([item(1, H), item(2, L, parents=(vid(1),))], budget=0)
    assert (found.batch, found.is_h_left, found.is_l_left) == ((), True, False)


def test_an_item_begins_while_budget_is_above_zero_and_may_overdraw_it_once():
    assert chosen([item(1, size=10**6), item(2, size=1)], budget=1).batch == (vid(1),)
    assert chosen([item(1)], budget=0).batch == ()
    assert chosen([item(1)], budget=-5).batch == ()


def test_nothing_passes_the_head_of_the_line():
    """First-fit packing would take the small one; it would also overstate the measured tax."""
    big, small = item(1, H, calldata=MAX_CALLDATA), item(2, L)
    found = chosen([big, small])
    assert (found.batch, found.is_h_left, found.is_l_left) == ((), True, True)


def test_a_batch_has_at_most_200_items_and_120_kib_of_calldata():
    assert len(chosen([item(n) for n in range(250)]).batch) == MAX_ITEMS == 200
    heavy = [item(n, calldata=800) for n in range(200)]
    found = chosen(heavy)
    assert len(found.batch) == (120 * 1024 - EMPTY_CALLDATA) // 800
    assert found.is_l_left
    assert len(chosen([item(n, calldata=544 + 64) for n in range(200)]).batch) == 200


items = st.lists(
    st.builds(
        Item,
        version_id=st.integers(0, 9).map(vid),
        submitter=st.sampled_from([ANA, BO]),
        fee_class=st.sampled_from([H, L]),
        max_price=st.integers(15, 35),
        size=st.integers(1, 300),
        parents=st.lists(st.integers(0, 9).map(vid), max_size=2).map(tuple),
        calldata=st.integers(500, 60_000),
        is_held=st.booleans(),
    ),
    max_size=10,
    unique_by=lambda i: i.version_id,
)


@given(items=items, ana=st.integers(0, 20_000), budget=st.integers(-100, 900))
def test_every_batch_could_be_sealed_in_its_order(items, ana, budget):
    """Oracle: replay the batch as the contract would, then look at who was left."""
    found = chosen(items, escrow={ANA: ana, BO: 10**9}, budget=budget)
    by_id = {i.version_id: i for i in items}
    free, known, classes = {ANA: ana, BO: 10**9}, set(), []
    for version_id in found.batch:
        sealed = by_id[version_id]
        assert sealed.is_held and sealed.max_price >= PRICES[sealed.fee_class] and budget > 0
        assert known.issuperset(sealed.parents)
        free[sealed.submitter] -= sealed.size * PRICES[sealed.fee_class]
        budget -= sealed.size
        known.add(version_id)
        classes.append(sealed.fee_class)
    assert min(free.values()) >= 0
    assert classes == sorted(classes, reverse=True)
    assert sum(by_id[v].calldata for v in found.batch) <= MAX_CALLDATA
    assert not (found.is_h_left and L in classes)


@given(items=items)
def test_with_room_for_all_nothing_eligible_is_left(items):
    light = [replace(i, calldata=500) for i in items]
    found = chosen(light, budget=10**9)
    assert not found.is_h_left and not found.is_l_left
