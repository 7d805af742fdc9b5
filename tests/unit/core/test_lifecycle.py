"""The state of a submission follows from the chain, the clock and the pool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.ids import FeeClass, Status, address_of
from registry.core.lifecycle import OnChain, State, present_state
from registry.core.version import Submission, Version

VERSION = Version(1, bytes(32), bytes(32), bytes(32), (), 100, bytes(32), address_of(bytes(20)))
SUBMISSION = Submission(VERSION, FeeClass.PRIORITY, 15, 1_000, 2_000)
CALM = {"now": 1_500, "record": None, "final": False, "refused": False, "eligible": True}


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        (State.PENDING, {}),
        (State.PENDING, {"now": 2_000}),
        (State.WAITING, {"eligible": False}),
        (State.EXPIRED, {"now": 2_001}),
        (State.REJECTED, {"refused": True}),
        (State.REJECTED, {"refused": True, "now": 2_001}),
        (State.SEALED, {"record": OnChain(Status.ACTIVE, 1_500)}),
        (State.SEALED, {"record": OnChain(Status.ACTIVE, 1_500), "now": 9_999, "refused": True}),
        (State.FINAL, {"record": OnChain(Status.ACTIVE, 1_500), "final": True}),
        (State.FINAL, {"record": OnChain(Status.REVOKED, 1_500), "final": True}),
        (State.CANCELLED, {"record": OnChain(Status.CANCELLED, 1_000)}),
        (State.CANCELLED, {"record": OnChain(Status.CANCELLED, 1_200), "now": 9_999}),
        (State.PENDING, {"record": OnChain(Status.CANCELLED, 999)}),
    ],
)
def test_the_chain_decides_before_the_clock_and_the_clock_before_the_pool(state, changes):
    assert present_state(SUBMISSION, **CALM | changes) is state


@given(st.integers(0, 3_000), st.booleans(), st.booleans(), st.booleans())
def test_without_a_record_nothing_is_sealed(now, final, refused, eligible):
    state = present_state(SUBMISSION, now=now, record=None, final=final, refused=refused, eligible=eligible)
    assert state not in (State.SEALED, State.FINAL, State.CANCELLED)


def test_the_states_are_the_words_of_the_interface():
    assert [*State] == ["pending", "waiting", "sealed", "final", "rejected", "expired", "cancelled"]
