"""Which updates count, on stated integers alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from incentives.contributions import (
    PPM,
    Exclusion,
    Rules,
    Stated,
    Update,
    lower_median,
    norm_micro,
    screen,
    sketch,
)
from registry.core.ids import Address, address_of, keccak
from registry.errors import Malformed


def address(name: str) -> Address:
    return address_of(keccak(name.encode())[12:])


ANA, BO, CY, AGGREGATOR = (address(n) for n in ("ana", "bo", "cy", "aggregator"))
VOICES = tuple(address(f"voice {i}") for i in range(5))
WEIGHTS = np.random.default_rng(5).normal(size=300).astype(np.float32)


def update(device, *, seed=0, at=10, thetas=(5, 5, 5), voices=VOICES, norm=1000, digest=None):
    direction = np.random.default_rng([seed, 7]).normal(size=300).astype(np.float32)
    stated = tuple(Stated(v, PPM, t, norm, sketch(direction)) for v, t in zip(voices, thetas, strict=False))
    return Update(device, digest or keccak(f"{device}{seed}".encode()), at, stated)


def reasons(*updates, voices=VOICES):
    return {s.device: s.exclusion for s in screen(updates, Rules(), voices, AGGREGATOR)}


@given(st.lists(st.integers(0, 100), min_size=1))
def test_the_lower_median_is_a_stated_value_with_half_on_each_side(values):
    found = lower_median(values)
    assert found in values
    assert sum(v <= found for v in values) * 2 >= len(values)
    assert sum(v >= found for v in values) * 2 >= len(values)


@given(st.integers(0, 10**6), st.integers(0, 2 * 10**6))
def test_one_liar_among_three_moves_theta_only_between_the_honest(honest, lie):
    (found,) = screen([update(ANA, thetas=(honest, honest, lie))], Rules(), VOICES, AGGREGATOR)
    assert found.theta == min(PPM, honest)


def test_three_validators_other_than_the_device_and_the_aggregator_must_have_spoken():
    three = (*VOICES[:2], ANA)
    assert reasons(update(ANA, voices=three), voices=(*VOICES, ANA))[ANA] == Exclusion.UNMEASURED
    with_aggregator = (*VOICES[:2], AGGREGATOR)
    found = reasons(update(ANA, voices=with_aggregator), voices=(*VOICES, AGGREGATOR))
    assert found[ANA] == Exclusion.UNMEASURED
    assert reasons(update(ANA))[ANA] is None


def test_a_stranger_has_no_voice():
    strangers = tuple(address(f"stranger {i}") for i in range(3))
    assert reasons(update(ANA, voices=strangers))[ANA] == Exclusion.UNMEASURED


def test_the_same_bytes_count_for_the_earlier_device_and_ties_go_to_the_lower_address():
    same = keccak(b"same")
    found = reasons(update(ANA, at=11, digest=same), update(BO, at=10, digest=same))
    assert found == {BO: None, ANA: Exclusion.DUPLICATE}
    tied = reasons(update(ANA, digest=same), update(BO, digest=same))
    first, second = sorted((ANA, BO), key=lambda a: int(a, 16))
    assert tied == {first: None, second: Exclusion.DUPLICATE}


def test_a_copy_with_a_little_noise_is_a_near_duplicate_and_an_independent_update_is_not():
    noisy = WEIGHTS + np.random.default_rng(1).normal(size=300).astype(np.float32) * 0.01
    bits = int.from_bytes(sketch(WEIGHTS), "big") ^ int.from_bytes(sketch(noisy), "big")
    assert bits.bit_count() <= Rules().near_bits
    assert reasons(update(ANA), update(BO, seed=1)) == {ANA: None, BO: None}
    copied = reasons(update(ANA, at=1), update(BO, at=2, digest=keccak(b"other")))
    assert copied == {ANA: None, BO: Exclusion.NEAR_DUPLICATE}


def test_an_update_of_nothing_and_one_far_above_the_median_are_left_out():
    found = reasons(
        update(ANA, norm=0),
        update(BO, seed=1, norm=1000),
        update(CY, seed=2, norm=3001),
        update(AGGREGATOR, seed=3, norm=1000),
    )
    assert found[ANA] == Exclusion.EMPTY and found[CY] == Exclusion.NORM_OUTLIER
    assert found[BO] is found[AGGREGATOR] is None


@given(st.permutations(range(4)))
def test_the_order_of_arrival_of_the_records_decides_nothing(order):
    same = keccak(b"same")
    updates = [
        update(ANA, at=1, digest=same),
        update(BO, at=2, digest=same),
        update(CY, seed=3),
        update(AGGREGATOR, seed=4, norm=9_999),
    ]
    expected = screen(updates, Rules(), VOICES, AGGREGATOR)
    assert screen([updates[i] for i in order], Rules(), VOICES, AGGREGATOR) == expected


def test_norm_and_sketch_are_exact_integers_of_rounded_values():
    assert norm_micro(np.array([3, 4], dtype=np.float32)) == 5_000_000
    assert sketch(WEIGHTS) == sketch(WEIGHTS * 2) and len(sketch(WEIGHTS)) == 32
    with pytest.raises(Malformed, match="NaN"):
        norm_micro(np.array([np.nan], dtype=np.float32))


def test_rules_that_exclude_everybody_are_refused():
    with pytest.raises(Malformed):
        Rules(near_bits=128)
    with pytest.raises(Malformed):
        Rules(norm_limit_ppm=PPM - 1)
