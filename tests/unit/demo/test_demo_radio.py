"""TR 38.901 beyond the path-loss table: breakpoint, line of sight, environment height, noise, SINR."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.demo.radio import (
    SCENARIOS,
    UMA,
    UMI,
    breakpoint_m,
    environment_height_m,
    los_probability,
    path_loss_db,
    sinr_db,
    subcarriers,
    thermal_noise_dbm,
)

SCENARIO = st.sampled_from(sorted(SCENARIOS)).map(SCENARIOS.__getitem__)


def test_the_breakpoint_uses_heights_above_the_environment():
    # 4 (25 - 1) (1.5 - 1) 3.5e9 / 3e8 = 560 m, and for the street 4 * 9 * 0.5 * 28e9 / 3e8 = 1680 m
    assert breakpoint_m(UMA, np.array([1.5]), 3.5e9)[0] == pytest.approx(560.0)
    assert breakpoint_m(UMI, np.array([1.5]), 28e9)[0] == pytest.approx(1680.0)


@given(scenario=SCENARIO, carrier_ghz=st.floats(0.5, 100.0), height=st.floats(1.5, 12.0))
def test_los_path_loss_has_no_jump_at_the_breakpoint(scenario, carrier_ghz, height):
    ut = np.array([height])
    bend = breakpoint_m(scenario, ut, carrier_ghz * 1e9)
    sides = [
        path_loss_db(scenario, d, ut_height_m=ut, carrier_hz=carrier_ghz * 1e9, is_los=np.array([True]))[0]
        for d in (bend * (1 - 1e-9), bend * (1 + 1e-9))
    ]
    assert sides[0] == pytest.approx(sides[1], abs=0.05)


@given(scenario=SCENARIO, distance=st.floats(10.0, 5000.0), carrier_ghz=st.floats(0.5, 100.0))
def test_nlos_never_loses_less_than_los(scenario, distance, carrier_ghz):
    both = path_loss_db(
        scenario,
        np.full(2, distance),
        ut_height_m=np.full(2, 1.5),
        carrier_hz=carrier_ghz * 1e9,
        is_los=np.array([True, False]),
    )
    assert both[1] >= both[0]


@pytest.mark.parametrize(
    ("scenario", "distance", "height", "expected"),
    [
        # 18/d + exp(-d/63)(1 - 18/d) and 18/d + exp(-d/36)(1 - 18/d), by hand
        (UMA, 10.0, 1.5, 1.0),
        (UMA, 18.0, 1.5, 1.0),
        (UMA, 100.0, 1.5, 0.18 + 0.82 * 0.20447),
        (UMI, 100.0, 1.5, 0.18 + 0.82 * 0.06218),
        # at 23 m, C' = 1 and the lift is 1 + 1.25 * 8 * exp(-200/150)
        (UMA, 200.0, 23.0, (0.09 + 0.91 * 0.041810) * (1 + 10 * 0.263597)),
    ],
)
def test_los_probability_equals_the_table(scenario, distance, height, expected):
    found = los_probability(scenario, np.array([distance]), np.array([height]))[0]
    assert found == pytest.approx(expected, rel=1e-4)


@given(scenario=SCENARIO, distance=st.floats(0.0, 5000.0), height=st.floats(1.5, 22.5))
def test_los_probability_is_a_probability(scenario, distance, height):
    assert 0.0 < los_probability(scenario, np.array([distance]), np.array([height]))[0] <= 1.0


def test_only_tall_receivers_in_uma_see_a_raised_environment():
    rng = np.random.default_rng(1)
    d = np.full(400, 300.0)
    assert set(environment_height_m(UMA, d, np.full(400, 12.9), rng)) == {1.0}
    assert set(environment_height_m(UMI, d, np.full(400, 22.5), rng)) == {1.0}
    raised = set(environment_height_m(UMA, d, np.full(400, 22.5), rng))
    assert raised == {1.0, 12.0, 15.0, 18.0, 21.0}


def test_thermal_noise_is_minus_174_dbm_per_hertz():
    assert thermal_noise_dbm(1.0, 0.0) == pytest.approx(-173.975, abs=1e-3)
    assert thermal_noise_dbm(20e6, 9.0) == pytest.approx(-173.975 + 73.010 + 9.0, abs=1e-3)


def test_a_channel_carries_whole_resource_blocks():
    assert subcarriers(20e6) == 12 * 52
    assert subcarriers(100e6) == 12 * 263


def test_sinr_counts_noise_and_the_loaded_part_of_other_cells():
    received = np.array([[-70.0, -80.0, -80.0]])
    # Without noise: 10 dB over two equal interferers at half load is 10 dB over one.
    assert sinr_db(received, 0, -300.0, 0.5)[0] == pytest.approx(10.0)
    assert sinr_db(received, 0, -70.0, 0.0)[0] == pytest.approx(0.0)


def test_sinr_stays_finite_when_one_cell_outshines_all():
    assert np.isfinite(sinr_db(np.array([[0.0, -400.0]]), 0, -100.0, 1.0)).all()
