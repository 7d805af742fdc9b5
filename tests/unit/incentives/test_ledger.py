"""The ledger conserves every wei, whatever is sealed, posted, enrolled, priced or left undone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incentives.ledger import DelayCosts, Ledger, Pending, Rules
from incentives.rebates import Enrolment, Rebate, Roll
from registry.errors import Conflict, FeeTooLow, Malformed, NotFound

USERS, MINERS, SLOTS = ["u0", "u1", "u2", "u3"], {"m0": 7, "m1": 5, "m2": 9}, 4
RULES = Rules(DelayCosts(high=40, low=10, run_cap=64), eps=1, eta=2, tau0=(12, 5))
QUIET = [Pending(False, False)] * SLOTS
BUSY = [Pending(True, True)] * SLOTS

BITS = st.sampled_from([Pending(False, False), Pending(False, True), Pending(True, True)])
bitmaps = st.lists(BITS, min_size=SLOTS, max_size=SLOTS)
items = st.tuples(
    st.sampled_from([*USERS, "outsider"]),
    st.integers(1, 5000),
    st.booleans(),
    st.integers(0, SLOTS - 1),
    st.sampled_from(sorted(MINERS)),
)
epochs = st.tuples(st.lists(items, max_size=8), st.dictionaries(st.sampled_from(sorted(MINERS)), bitmaps))


def opened(users=USERS, rules=RULES):
    ledger = Ledger(rules, prices=MINERS, accounts=users)
    for user in [*USERS, "outsider"]:
        ledger.deposit(user, 10**12)
    return ledger


def finish(ledger, posts=None):
    for miner, pending in (posts if posts is not None else dict.fromkeys(MINERS, QUIET)).items():
        ledger.post(miner, pending)
    ledger.pay_rebates(10**6)
    ledger.close()


@settings(deadline=None, max_examples=60)
@given(history=st.lists(epochs, max_size=6), page=st.integers(1, 5))
def test_every_wei_is_somewhere_after_any_history(history, page):
    ledger = opened()
    for sealed, posts in history:
        for payer, size, high, slot, sealer in sealed:
            ledger.include(payer, size, high=high, slot=slot, sealer=sealer)
        for miner, pending in posts.items():
            ledger.post(miner, pending)
        while not ledger.pay_rebates(page):
            ledger.check()
        ledger.close()
        assert sum(ledger.balances.values()) + ledger.pool == 5 * 10**12


@settings(deadline=None, max_examples=40)
@given(history=st.lists(epochs, min_size=1, max_size=5))
def test_a_replay_gives_the_same_balances(history):
    ends = []
    for page in (1, 100):
        ledger = opened()
        for sealed, posts in history:
            for payer, size, high, slot, sealer in sealed:
                ledger.include(payer, size, high=high, slot=slot, sealer=sealer)
            for miner in sorted(posts):
                ledger.post(miner, posts[miner])
            while not ledger.pay_rebates(page):
                pass
            ledger.close()
        ends.append((ledger.balances, ledger.tau, ledger.carry, ledger.pool))
    assert ends[0] == ends[1]


def test_every_miner_is_reimbursed_its_own_price_and_the_sealer_keeps_eps():
    ledger = opened()
    ledger.include("u0", 100, high=True, slot=0, sealer="m1")
    ledger.include("u0", 100, high=False, slot=0, sealer="m1")
    assert {m: ledger.balances[m] for m in MINERS} == {"m0": 1400, "m1": 1000 + 100, "m2": 1800}


@given(sizes=st.lists(st.integers(0, 10**9), min_size=1, max_size=6), high=st.booleans())
def test_splitting_an_item_never_lowers_its_charge(sizes, high):
    price = opened().menu.price(high)
    assert sum(s * price for s in sizes) == sum(sizes) * price


def test_priority_is_always_dearer_by_at_least_eps():
    ledger = opened(rules=Rules(DelayCosts(40, 10, 64), eps=3, eta=2, tau0=(0, 500)))
    assert ledger.menu.price(True) == ledger.menu.price(False) + 3


@settings(deadline=None, max_examples=40)
@given(
    sealed=st.lists(items, min_size=1, max_size=8),
    views=st.lists(st.one_of(st.none(), bitmaps), min_size=5, max_size=5),
    lies=st.lists(bitmaps, min_size=2, max_size=2),
)
def test_a_minority_never_moves_a_tax_outside_the_honest_range(sealed, views, lies):
    """Five miners, three honest (or absent), two saying whatever they like in both epochs."""
    miners = {f"m{k}": 5 for k in range(5)}

    def taxed(pending):
        ledger = Ledger(RULES, prices=miners, accounts=USERS)
        for user in [*USERS, "outsider"]:
            ledger.deposit(user, 10**12)
        for payer, size, high, slot, _ in sealed:
            ledger.include(payer, size, high=high, slot=slot, sealer="m0")
        for _ in range(2):
            finish(ledger, {m: p for m, p in zip(miners, pending, strict=True) if p is not None})
        return ledger

    honest = views[:3]
    alone = [taxed([view] * 5).tau for view in honest]
    found = taxed([*honest, *lies]).tau
    for k in (0, 1):
        assert min(a[k] for a in alone) <= found[k] <= max(a[k] for a in alone)


def test_absence_can_only_lower_a_tax():
    def tau(present):
        ledger = opened()
        ledger.include("u0", 900, high=True, slot=0, sealer="m0")
        for _ in range(2):
            finish(ledger, dict.fromkeys(present, BUSY))
        return ledger.tau

    assert tau(["m0"]) == tau([]) < tau(["m0", "m1"]) == tau(["m0", "m1", "m2"])


def test_a_miner_that_missed_either_epoch_counts_as_absent():
    ledger = opened()
    finish(ledger, {"m0": BUSY, "m1": BUSY})
    finish(ledger, {"m1": BUSY, "m2": BUSY})
    assert set(ledger.estimates) == {"m1"}


def test_nothing_is_estimated_at_the_first_close():
    ledger = opened()
    ledger.include("u0", 900, high=True, slot=0, sealer="m0")
    finish(ledger, dict.fromkeys(MINERS, BUSY))
    assert ledger.tau == (12, 5)


@given(own=st.integers(0, 10**6), other=st.integers(0, 10**6), shift=st.integers(0, 10**6))
def test_a_rebate_does_not_depend_on_what_its_owner_paid(own, other, shift):
    roll = Roll([Enrolment(u, 0, None) for u in USERS])
    before = Rebate.frozen(0, {"u0": own, "u1": other}, roll, 7)
    after = Rebate.frozen(0, {"u0": own + shift, "u1": other}, roll, 7)
    assert before.share("u0") == after.share("u0")


def test_the_next_epoch_waits_until_the_rebates_are_paid():
    ledger = opened()
    finish(ledger)
    for miner in MINERS:
        ledger.post(miner, QUIET)
    assert not ledger.pay_rebates(3)
    with pytest.raises(Conflict):
        ledger.close()
    assert ledger.pay_rebates(1)
    ledger.close()


def test_a_run_of_idle_epochs_equals_closing_each_of_them():
    together, apart = opened(), opened()
    for ledger in (together, apart):
        ledger.include("u0", 700, high=True, slot=0, sealer="m0")
        finish(ledger)
        finish(ledger)
        ledger.pay_rebates(99)
    together.close_idle(50)
    for _ in range(50):
        apart.close_idle(1)
    assert (together.tau, together.epoch, together.balances) == (apart.tau, apart.epoch, apart.balances)
    assert together.tau == (0, 0)


def test_idle_epochs_pay_no_rebate_and_keep_the_carry():
    ledger = opened()
    ledger.include("u0", 701, high=True, slot=0, sealer="m0")
    ledger.penalise("m0", 1000)
    finish(ledger)
    ledger.pay_rebates(99)
    finish(ledger)
    ledger.pay_rebates(99)
    held = dict(ledger.balances), ledger.carry
    ledger.close_idle(10**18)
    assert (dict(ledger.balances), ledger.carry) == held


@pytest.mark.parametrize("step", ["seal", "post"])
def test_an_epoch_with_a_seal_or_a_post_is_not_idle(step):
    ledger = opened()
    if step == "seal":
        ledger.include("u0", 1, high=True, slot=0, sealer="m0")
    else:
        ledger.post("m0", QUIET)
    with pytest.raises(Conflict):
        ledger.close_idle(1)


def test_a_penalty_reaches_the_accounts_through_the_carry():
    ledger = opened()
    ledger.include("u0", 1000, high=False, slot=0, sealer="m0")
    ledger.penalise("m2", 4001)
    finish(ledger)
    before = ledger.balances["u0"]
    ledger.pay_rebates(99)
    assert ledger.balances["u0"] - before == 4001 // 4  # its own tax comes back to the others only
    ledger.check()


def test_a_penalty_during_paging_waits_for_the_next_rebate():
    ledger = opened()
    ledger.include("u0", 1000, high=False, slot=0, sealer="m0")
    finish(ledger)
    ledger.pay_rebates(2)
    ledger.penalise("m2", 4001)
    ledger.pay_rebates(2)
    assert 4001 <= ledger.carry < 4001 + 8


def test_before_the_first_seal_terms_change_at_once():
    ledger = opened(users=["u0"])
    assert ledger.menu.tax_low == 0
    ledger.enrol("u1")
    ledger.set_prices({"m0": 3})
    assert (ledger.menu.tax_low, ledger.menu.rho_low) == (5, 3)
    ledger.retire("u1")
    assert ledger.menu.tax_low == 0


def test_enrolment_and_prices_change_only_at_the_boundary():
    ledger = opened()
    ledger.include("u0", 1, high=False, slot=0, sealer="m0")
    ledger.enrol("late")
    ledger.retire("u3")
    ledger.set_prices({"m0": 1, "m9": 2})
    assert ledger.menu.rho_low == 21
    ledger.include("u0", 999, high=False, slot=0, sealer="m0")
    finish(ledger)
    assert ledger.menu.rho_low == 3
    ledger.pay_rebates(99)
    assert "late" not in ledger.balances and ledger.balances["u3"] > 10**12
    ledger.include("u0", 999, high=False, slot=0, sealer="m9")
    finish(ledger, {"m9": QUIET})
    held = ledger.balances["u3"]
    ledger.pay_rebates(99)
    assert ledger.balances["late"] > 0 and ledger.balances["u3"] == held


def test_with_fewer_than_two_accounts_there_is_no_tax_and_no_rebate():
    ledger = opened(users=["u0"])
    assert (ledger.menu.tax_high, ledger.menu.tax_low) == (0, 0)
    ledger.include("u0", 999, high=True, slot=0, sealer="m0")
    finish(ledger)
    ledger.enrol("u1")
    assert ledger.pay_rebates(99) and ledger.pool == 0
    finish(ledger)
    assert ledger.menu.tax_low > 0


def test_an_outsiders_tax_is_shared_by_all_the_enrolled():
    ledger = opened()
    ledger.include("outsider", 1000, high=False, slot=0, sealer="m0")
    finish(ledger)
    ledger.pay_rebates(99)
    assert [ledger.balances[u] - 10**12 for u in USERS] == [1250] * 4
    assert ledger.balances["outsider"] == 10**12 - 26_000


def test_a_namespace_pays_in_the_name_of_its_enrolled_account():
    ledger = opened()
    ledger.include("outsider", 1000, high=False, slot=0, sealer="m0", taxpayer="u0")
    finish(ledger)
    ledger.pay_rebates(99)
    assert [ledger.balances[u] - 10**12 for u in USERS] == [0, 1666, 1666, 1666]


def test_what_the_ledger_refuses():
    ledger = opened()
    with pytest.raises(FeeTooLow):
        ledger.include("poor", 1, high=True, slot=0, sealer="m0")
    with pytest.raises(NotFound):
        ledger.include("u0", 1, high=True, slot=0, sealer="nobody")
    with pytest.raises(Malformed):
        ledger.include("u0", -1, high=True, slot=0, sealer="m0")
    ledger.include("u0", 1, high=True, slot=SLOTS, sealer="m0")
    with pytest.raises(Malformed):
        ledger.post("m0", QUIET)  # it does not cover the sealed slot
    ledger.post("m0", [*QUIET, Pending(False, False)])
    with pytest.raises(Conflict):
        ledger.post("m0", [*QUIET, Pending(False, False)])
    with pytest.raises(Conflict):
        ledger.enrol("u0")
    with pytest.raises(Malformed):
        Pending(high=True, any=False)


@pytest.mark.parametrize("users", [[], ["u0"]])
def test_nothing_is_due_where_nobody_shares(users):
    ledger = opened(users=users)
    ledger.include("u0", 100, high=True, slot=0, sealer="m0")
    ledger.close()
    assert ledger.rebate is None, "the next close waits for no page"
    ledger.close()
    ledger.check()
