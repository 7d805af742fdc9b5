"""Runs, estimates and medians of the pending backlog."""

from hypothesis import given
from hypothesis import strategies as st

from incentives.backlog import DelayCosts, Pending, SealedBytes, estimate, lower_median, runs

BITS = st.sampled_from([Pending(False, False), Pending(False, True), Pending(True, True)])


@given(pending=st.lists(BITS, max_size=30), cap=st.integers(1, 8))
def test_a_run_counts_slots_until_nothing_waits(pending, cap):
    """Oracle: walk forward from each slot."""
    for k, delay in enumerate(runs(pending, cap)):

        def length(waits, k=k):
            n = 0
            while k + n < len(pending) and n < cap and waits(pending[k + n]):
                n += 1
            return n

        assert delay.run_high == length(lambda p: p.high)
        assert delay.run_all == length(lambda p: p.any)


def test_a_class_without_bytes_takes_the_plain_mean():
    found = estimate(
        [SealedBytes(0, 10), SealedBytes(0, 0)], [Pending(True, True)] * 2, [], DelayCosts(40, 10, 9)
    )
    assert (found.high, found.low) == ((80 + 40) // 2, 20)


@given(values=st.lists(st.integers(0, 100), min_size=1, max_size=9))
def test_the_lower_median_has_a_majority_at_or_above_it(values):
    middle = lower_median(values)
    assert 2 * sum(v >= middle for v in values) > len(values)
    assert 2 * sum(v <= middle for v in values) >= len(values)
