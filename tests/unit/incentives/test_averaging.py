"""The average of a round: exact bytes, whatever the order in which updates arrive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incentives.averaging import average, average_bytes, average_digest
from registry.core.ids import address_of, sha256
from registry.errors import Malformed

DEVICES = [address_of(bytes([i]) * 20) for i in range(1, 6)]
VALUES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4)
ROWS = st.lists(st.tuples(st.integers(0, 2**40), VALUES), min_size=1, max_size=5)


def named(rows):
    return {d: (n, np.asarray(v, dtype=np.float32)) for d, (n, v) in zip(DEVICES, rows, strict=False)}


@given(ROWS, st.randoms())
def test_the_order_of_arrival_changes_no_byte(rows, random):
    updates = named(rows)
    shuffled = list(updates.items())
    random.shuffle(shuffled)
    assert average_bytes(average(dict(shuffled))) == average_bytes(average(updates))


@given(ROWS)
def test_it_is_the_weighted_mean_to_the_last_bits_of_float32(rows):
    updates = named(rows)
    weights = [n for n, _ in updates.values()]
    exact = np.average(
        np.stack([u.astype(np.longdouble) for _, u in updates.values()]),
        axis=0,
        weights=weights if sum(weights) else None,
    )
    scale = max(1.0, max(float(np.abs(u).max()) for _, u in updates.values()))
    assert np.allclose(average(updates), exact.astype(np.float32), rtol=1e-6, atol=1e-7 * scale)


def test_known_bytes():
    mean = average(named([(1, [1, 0, -1, 0.5]), (3, [5, 2, 1, 0.25])]))
    assert mean.tolist() == [4.0, 1.5, 0.5, 0.3125]
    assert average_bytes(mean) == bytes.fromhex("000080400000c03f0000003f0000a03e")
    assert average_digest(mean) == sha256(average_bytes(mean))


def test_nothing_and_unlike_updates_have_no_average():
    with pytest.raises(Malformed, match="nothing"):
        average({})
    with pytest.raises(Malformed, match="different lengths"):
        average({DEVICES[0]: (1, np.zeros(2, np.float32)), DEVICES[1]: (1, np.zeros(3, np.float32))})
