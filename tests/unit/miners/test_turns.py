"""Whose slot it is, as the contract computes it."""

from hypothesis import given
from hypothesis import strategies as st

from miners.turns import Patience, Turns
from registry.core.ids import to_address

MINERS = tuple(to_address("0x" + digit * 40) for digit in "123")


@given(slot=st.integers(0, 10**9), turn=st.integers(1, 50), count=st.integers(1, 3))
def test_the_turn_moves_on_every_turn_slots(slot, turn, count):
    miners = MINERS[:count]
    assert Turns(turn, 0).holder(slot, miners) == miners[(slot // turn) % count]


@given(slot=st.integers(0, 10**6), turn=st.integers(1, 20), grace=st.integers(0, 20))
def test_the_holder_may_always_seal_and_others_only_after_the_grace(slot, turn, grace):
    turns = Turns(turn, grace)
    holder = turns.holder(slot, MINERS)
    for miner in MINERS:
        allowed = miner == holder or slot % turn >= grace
        assert turns.may_seal(slot, miner, MINERS) == allowed


def test_without_grace_any_miner_may_seal_at_once():
    assert all(Turns(4, 0).may_seal(slot, m, MINERS) for slot in range(8) for m in MINERS)


def test_who_is_no_miner_never_seals():
    stranger = to_address("0x" + "9" * 40)
    assert not Turns(4, 0).may_seal(3, stranger, MINERS)
    assert Turns(4, 2).holder(0, ()) is None
    assert not Turns(4, 2).may_seal(0, stranger, ())


def test_a_miner_waits_for_another_for_a_round_and_then_no_longer_until_it_was_quiet():
    patience = Patience()
    assert [patience.waits(slot, True, 6) for slot in range(10, 20)] == [True] * 6 + [False] * 4
    assert not patience.waits(20, False, 6)
    assert patience.waits(21, True, 6)
