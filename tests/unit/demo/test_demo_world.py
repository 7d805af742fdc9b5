"""The demo's world: correlated obstacles, moving devices, cells that interfere, tracks that repeat."""

import numpy as np
import pytest

from registry.demo.fields import draw_field, mix, uniform_from_normal
from registry.demo.mobility import Walker, walk
from registry.demo.world import BuiltinSource, degrees, hexagonal_sites, plan_cells


def test_shadowing_falls_off_exponentially_with_distance():
    rng = np.random.default_rng(5)
    here, there = [], []
    for _ in range(1500):
        field = draw_field(37.0, rng)
        values = field.at(np.array([[0.0, 0.0], [37.0, 0.0]]))
        here.append(values[0])
        there.append(values[1])
    assert np.corrcoef(here, there)[0, 1] == pytest.approx(np.exp(-1.0), abs=0.06)
    assert np.std(here) == pytest.approx(1.0, abs=0.06)


def test_a_field_has_one_value_per_place():
    field = draw_field(50.0, np.random.default_rng(1))
    points = np.array([[3.0, 4.0], [3.0, 4.0], [90.0, 4.0]])
    first, again, elsewhere = field.at(points)
    assert first == again != elsewhere


def test_mixed_values_share_the_stated_part():
    rng = np.random.default_rng(2)
    common, one, two = rng.standard_normal((3, 20_000))
    assert np.corrcoef(mix(common, one, 0.5), mix(common, two, 0.5))[0, 1] == pytest.approx(0.5, abs=0.02)


def test_normal_values_become_uniform():
    assert uniform_from_normal(np.array([-1.959964, 0.0, 1.959964])) == pytest.approx([0.025, 0.5, 0.975])


def test_a_walker_keeps_to_its_neighbourhood_and_its_speed():
    walker = Walker(home_x_m=100.0, home_y_m=-50.0, roam_m=40.0, speed_m_s=12.0, height_m=1.5)
    path = walk(walker, 300, 1.0, np.random.default_rng(3))
    assert np.hypot(path[:, 0] - 100.0, path[:, 1] + 50.0).max() <= 40.0 + 1e-9
    assert np.hypot(*np.diff(path[:, :2], axis=0).T).max() <= 12.0 + 1e-9
    assert set(path[:, 2]) == {1.5}


def test_sites_form_a_hexagon_around_the_first():
    sites = np.array(hexagonal_sites(7, 500.0))
    assert tuple(sites[0]) == (0.0, 0.0)
    assert np.hypot(*sites[1:].T) == pytest.approx(np.full(6, 500.0), abs=0.01)


def test_every_third_cell_is_a_street_cell_and_the_newcomer_never_is():
    cells = plan_cells(6, "new-cell")
    assert [c.layer.scenario.name for c in cells] == ["UMa", "UMa", "UMi", "UMa", "UMa", "UMi", "UMa"]
    assert cells[-1].name == "new-cell"
    assert len({(c.layer.carrier_hz, c.site) for c in cells}) == 7


def test_a_cell_always_hears_at_least_six_others():
    assert all(len(cell.sites) >= 7 for cell in plan_cells(1, "new-cell"))


def test_the_served_area_surrounds_the_site():
    cell = plan_cells(2, "new-cell")[1]
    south, west, north, east = cell.bbox
    latitude, longitude = degrees(*cell.site)
    assert south < latitude < north
    assert west < longitude < east


def test_the_same_arguments_give_the_same_tracks_and_another_seed_gives_others():
    cell = plan_cells(1, "new-cell")[0]
    first, again = (BuiltinSource().tracks(cell, 3, 7) for _ in range(2))
    other = BuiltinSource().tracks(cell, 3, 8)
    assert all(np.array_equal(a.sinr_db, b.sinr_db) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].rsrp_dbm, other[0].rsrp_dbm)


def test_devices_are_not_alike():
    tracks = BuiltinSource().tracks(plan_cells(1, "new-cell")[0], 8, 7)
    assert len({len(t.rsrp_dbm) for t in tracks}) > 4
    assert np.ptp([t.rsrp_dbm.mean() for t in tracks]) > 10.0


def test_signals_are_of_a_plausible_size():
    for cell in plan_cells(3, "new-cell"):
        tracks = BuiltinSource().tracks(cell, 8, 7)
        rsrp = np.concatenate([t.rsrp_dbm for t in tracks])
        sinr = np.concatenate([t.sinr_db for t in tracks])
        assert -140.0 < np.median(rsrp) < -60.0
        assert -10.0 < np.median(sinr) < 40.0
