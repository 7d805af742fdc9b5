"""Bitmaps say exactly which slots ended with eligible items pending, whenever the miner looked."""

from hypothesis import given
from hypothesis import strategies as st

from miners.node.backlog import Backlog
from registry.core.ids import FeeClass, VersionId

H, L = FeeClass.PRIORITY, FeeClass.STANDARD
SLOTS = 16


def vid(number: int) -> VersionId:
    return VersionId(number.to_bytes(32))


@st.composite
def histories(draw):
    """(class, first eligible slot, slot of its seal or None) of some items, and the slots of some looks."""
    items = []
    for _ in range(draw(st.integers(0, 5))):
        begin = draw(st.integers(0, SLOTS - 1))
        end = draw(st.none() | st.integers(begin, SLOTS + 3))
        items.append((draw(st.sampled_from([H, L])), begin, end))
    return items


@given(history=histories())
def test_bits_are_the_slots_between_eligible_and_sealed(history):
    backlog = Backlog()
    sealed: dict[VersionId, int] = {}
    for slot in range(SLOTS + 4):
        sealed.update((vid(n), slot - 1) for n, (_c, _b, end) in enumerate(history) if end == slot - 1)
        eligible = {
            vid(n): fee_class
            for n, (fee_class, begin, _end) in enumerate(history)
            if begin <= slot and vid(n) not in sealed
        }
        backlog.see(slot, eligible, sealed)
    h, every = backlog.bitmaps(0, SLOTS)
    for slot in range(SLOTS):
        waits = [c for c, begin, end in history if begin <= slot and (end is None or end > slot)]
        assert bool(h >> slot & 1) == (H in waits)
        assert bool(every >> slot & 1) == bool(waits)


def test_what_waits_between_two_looks_was_pending_in_every_slot_between():
    backlog = Backlog()
    backlog.see(2, {vid(1): H}, {})
    backlog.see(9, {vid(1): H}, {})
    assert backlog.bitmaps(0, 8) == (0b11111100, 0b11111100)


def test_an_item_sealed_long_before_the_look_counts_to_its_seal_only():
    backlog = Backlog()
    backlog.see(1, {vid(1): L}, {})
    backlog.see(7, {}, {vid(1): 3})
    assert backlog.bitmaps(0, 8) == (0, 0b110)


def test_a_change_of_class_is_another_item_and_only_its_own_wait_counts():
    backlog = Backlog()
    backlog.see(0, {vid(1): L}, {})
    backlog.see(2, {vid(1): H}, {})
    assert backlog.bitmaps(0, 4) == (0b1100, 0b1100)


@given(history=histories(), taken_back=st.integers(1, SLOTS))
def test_what_is_taken_back_before_the_post_never_waited(history, taken_back):
    """Cancelled, expired or unpayable in some slot: the bitmaps are those without it."""
    phantom, backlog, without = vid(99), Backlog(), Backlog()
    for slot in range(SLOTS + 1):
        sealed = {vid(n): end for n, (_c, _b, end) in enumerate(history) if end is not None and end < slot}
        eligible = {vid(n): c for n, (c, begin, _e) in enumerate(history) if begin <= slot} | {phantom: H}
        eligible = {v: c for v, c in eligible.items() if v not in sealed}
        real = {v: c for v, c in eligible.items() if v != phantom}
        backlog.see(slot, eligible if slot < taken_back else real, sealed)
        without.see(slot, real, sealed)
    assert backlog.bitmaps(0, SLOTS) == without.bitmaps(0, SLOTS)


def test_closed_epochs_are_forgotten_and_waiting_goes_on():
    backlog = Backlog()
    backlog.see(0, {vid(1): H}, {})
    backlog.forget_before(4)
    assert backlog.bitmaps(4, 4) == (0b1111, 0b1111)
    assert backlog.since([vid(1), vid(2)]) == 0
    assert backlog.since([vid(2)]) is None
