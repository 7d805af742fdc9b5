"""The path loss equals TR 38.901 Table 7.4.1-1, worked out independently, and ns-3's own models."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from registry.demo.radio import SCENARIOS, breakpoint_m, path_loss_db

DATA = Path(__file__).with_name("data")
TABLE = json.loads((DATA / "pathloss_38901.json").read_text(encoding="ascii"))["points"]


def loss_at(point):
    return path_loss_db(
        SCENARIOS[point["scenario"]],
        np.array([point["distance_2d_m"]]),
        ut_height_m=np.array([point["ut_height_m"]]),
        carrier_hz=point["carrier_ghz"] * 1e9,
        is_los=np.array([point["los"]]),
    )[0]


def test_the_committed_points_are_at_least_a_hundred_and_reach_every_branch():
    assert len(TABLE) >= 100
    seen = set()
    for p in TABLE:
        bend = breakpoint_m(SCENARIOS[p["scenario"]], np.array([p["ut_height_m"]]), p["carrier_ghz"] * 1e9)
        seen.add((p["scenario"], p["los"], bool(p["distance_2d_m"] <= bend[0])))
    assert len(seen) == 8


@pytest.mark.parametrize("point", TABLE, ids=lambda p: f"{p['scenario']}-{p['distance_2d_m']}")
def test_path_loss_equals_the_table(point):
    assert loss_at(point) == pytest.approx(float(point["path_loss_db"]), abs=1e-5)


def test_the_committed_points_are_what_their_script_writes():
    fresh = runpy.run_path(str(DATA / "pathloss_38901.py"))["document"]()
    assert fresh["points"] == TABLE


def test_path_loss_is_within_a_hundredth_of_a_decibel_of_ns3():
    points = json.loads((DATA / "ns3_pathloss.json").read_text(encoding="ascii"))["points"]
    assert len(points) >= 100
    assert all(p["bs_height_m"] == SCENARIOS[p["scenario"]].bs_height_m for p in points)
    assert max(abs(loss_at(p) - float(p["path_loss_db"])) for p in points) <= 0.01
