"""Which twin suits a new cell, and the honest count of rounds saved."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.learner import INPUTS, OUTPUTS, draw_twin
from registry.demo.manifests import own_profile
from registry.demo.transfer import (
    Candidate,
    ChannelStatistics,
    Comparison,
    Profile,
    channel_statistics,
    compare,
    distance,
    incompatibility,
    rank,
    rounds_saved,
    student_quantile_95,
    summarise,
    way_km,
)
from registry.demo.uplink import Uplink
from registry.demo.world import BuiltinSource, plan_cells

OWN = Profile(
    task="rsrp-sinr-prediction",
    inputs=INPUTS,
    outputs=OUTPUTS,
    scenario="UMa",
    carrier_hz=3.5e9,
    bandwidth_hz=40e6,
    latitude=52.52,
    longitude=13.405,
    channel=ChannelStatistics(-80.0, 38.0, 8.0, 0.3),
)
CELLS = plan_cells(2, "new-cell")
SOURCE = BuiltinSource(mean_samples=80)


def cohort(seed):
    return cohort_of(CELLS[-1], SOURCE.tracks(CELLS[-1], 3, seed), Uplink())


@pytest.mark.parametrize(
    ("change", "squared"),
    [
        ({"carrier_hz": 7e9}, 1.0),
        ({"bandwidth_hz": 640e6}, 1.0),
        ({"channel": replace(OWN.channel, rsrp_at_100m_dbm=-90.0)}, 0.25),
        ({"channel": replace(OWN.channel, fall_db_per_decade=28.0)}, 0.25),
        ({"channel": replace(OWN.channel, spread_db=4.0)}, 0.25),
        ({"channel": replace(OWN.channel, los_share=0.8)}, 0.25),
    ],
)
def test_each_term_counts_as_documented(change, squared):
    assert distance(OWN, replace(OWN, **change)) ** 2 == pytest.approx(squared)


def test_a_kilometre_counts_one():
    north = replace(OWN, latitude=OWN.latitude + 1.0 / 111.195)
    assert way_km(OWN, north) == pytest.approx(1.0, abs=1e-3)
    assert distance(OWN, north) == pytest.approx(1.0, abs=1e-3)


def test_the_way_across_the_antimeridian_is_the_short_one():
    east, west = replace(OWN, longitude=179.999), replace(OWN, longitude=-179.999)
    assert way_km(east, west) < 1.0


PROFILES = st.builds(
    Profile,
    task=st.just(OWN.task),
    inputs=st.just(INPUTS),
    outputs=st.just(OUTPUTS),
    scenario=st.just("UMa"),
    carrier_hz=st.floats(0.5e9, 100e9),
    bandwidth_hz=st.floats(1e6, 1e9),
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    channel=st.builds(
        ChannelStatistics, st.floats(-140, -40), st.floats(0, 60), st.floats(0, 20), st.floats(0, 1)
    ),
)


@given(a=PROFILES, b=PROFILES)
def test_the_distance_is_symmetric_and_zero_only_to_itself(a, b):
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, a) == 0.0
    assert distance(a, b) >= 0.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scenario": "UMi"}, "scenario"),
        ({"carrier_hz": 28e9}, "3.0 octaves"),
        ({"inputs": INPUTS[:3]}, "something else"),
        ({"outputs": ("cqi",)}, "something else"),
        ({"task": "beam-selection"}, "something else"),
    ],
)
def test_an_incompatible_twin_is_excluded_with_its_reason(change, reason):
    other = replace(OWN, **change)
    ranked, excluded = rank(OWN, [Candidate("0xaa", "a/b", other), Candidate("0xbb", "a/c", OWN)])
    assert [r.version_id for r in ranked] == ["0xbb"]
    assert reason in excluded[0].reason


def test_an_octave_is_still_compatible():
    assert incompatibility(OWN, replace(OWN, carrier_hz=7e9)) is None


def test_the_nearest_comes_first_and_ties_go_by_version():
    far = replace(OWN, bandwidth_hz=640e6)
    found = [Candidate("0x2", "m/far", far), Candidate("0x3", "m/b", OWN), Candidate("0x1", "m/a", OWN)]
    assert [r.version_id for r in rank(OWN, found)[0]] == ["0x1", "0x3", "0x2"]


def test_channel_statistics_recover_a_known_law():
    cell = CELLS[0]
    track = SOURCE.tracks(cell, 1, 7)[0]
    d3d = np.sqrt(np.sum((track.positions_m[:, :2] - np.array(cell.site)) ** 2, axis=1) + 23.5**2)
    exact = replace(track, rsrp_dbm=-70.0 - 35.0 * np.log10(d3d / 100.0))
    found = channel_statistics(cell, [exact])
    assert (found.rsrp_at_100m_dbm, found.fall_db_per_decade) == pytest.approx((-70.0, 35.0), abs=1e-3)
    assert found.spread_db == pytest.approx(0.0, abs=1e-3)
    assert found.los_share == pytest.approx(track.is_los.mean(), abs=1e-4)


def test_a_street_cell_does_not_suit_a_macro_cell():
    cells = plan_cells(3, "new-cell")
    street, newcomer = (own_profile(c, SOURCE.tracks(c, 3, 7)) for c in (cells[2], cells[3]))
    assert incompatibility(newcomer, street) is not None


def test_cold_and_warm_race_on_the_same_rows_and_draws():
    once, again = (compare(cohort(3), draw_twin(np.random.default_rng(8)), Schedule(4), 3) for _ in "ab")
    assert once == again


def test_a_cold_start_that_is_given_as_donor_saves_nothing():
    cold = draw_twin(np.random.default_rng([5, 0]))
    assert compare(cohort(5), cold, Schedule(5), 5).saved == 0


def test_a_finished_twin_of_the_same_cell_needs_no_round():
    donor = federate(
        draw_twin(np.random.default_rng([5, 0])), cohort(5), Schedule(5), np.random.default_rng([5, 1])
    ).twin
    race = compare(cohort(5), donor, Schedule(5), 5)
    assert race.warm_rounds <= race.cold_rounds


def test_a_useless_donor_shows_as_a_loss():
    donor = draw_twin(np.random.default_rng(1))
    donor = replace(donor, theta=donor.theta * 40.0)
    race = compare(cohort(5), donor, Schedule(4), 5)
    assert race.saved <= 0
    assert not race.has_warm_arrived
    assert race.warm_rounds == 4


def test_the_interval_is_students():
    runs = [Comparison(i, 7.0, c, w, True) for i, (c, w) in enumerate([(9, 2), (4, 6), (8, 8), (7, 3)])]
    savings = summarise(runs)
    saved = np.array([7.0, -2.0, 0.0, 4.0])
    half = student.ppf(0.975, 3) * saved.std(ddof=1) / 2.0
    assert savings.mean == pytest.approx(saved.mean())
    assert savings.high - savings.mean == pytest.approx(half, rel=0.01)
    assert savings.mean - savings.low == pytest.approx(half, rel=0.01)


@pytest.mark.parametrize("freedom", [5, 9, 19, 29, 99])
def test_students_point_is_close_to_the_exact_one(freedom):
    assert student_quantile_95(freedom) == pytest.approx(student.ppf(0.975, freedom), abs=0.003)


def test_every_seed_is_reported():
    seen = []
    savings = rounds_saved(
        cohort, draw_twin(np.random.default_rng(8)), Schedule(2), [1, 2, 3], on_seed=seen.append
    )
    assert [r.seed for r in savings.runs] == [1, 2, 3]
    assert tuple(seen) == savings.runs
