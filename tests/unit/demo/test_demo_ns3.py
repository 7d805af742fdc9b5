"""ns-3 as the source of device data (left out by name where the ns3 extra is not installed)."""

import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.learner import draw_twin
from registry.demo.ns3_source import INTERPRETER, ns3_python, ns3_source
from registry.demo.uplink import Uplink
from registry.demo.world import plan_cells
from registry.errors import Malformed, Unavailable

HAS_NS3 = INTERPRETER in os.environ or find_spec("ns") is not None
needs_ns3 = pytest.mark.skipif(not HAS_NS3, reason="ns3 is not installed: pip install 'twinledger[ns3]'")
CELLS = plan_cells(3, "new-cell")


@pytest.fixture(scope="module")
def source():
    with ns3_source() as running:
        yield running


@needs_ns3
def test_ns3_gives_the_same_tracks_for_the_same_seed(source):
    first = source.tracks(CELLS[0], 3, 7)
    source.tracks(CELLS[1], 2, 9)
    again = source.tracks(CELLS[0], 3, 7)
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.rsrp_dbm, b.rsrp_dbm)
        assert np.array_equal(a.is_los, b.is_los)
    assert not np.array_equal(first[0].sinr_db, source.tracks(CELLS[0], 3, 8)[0].sinr_db)


@needs_ns3
def test_ns3_devices_move_and_hear_every_cell(source):
    for cell in (CELLS[0], CELLS[2]):
        for track in source.tracks(cell, 3, 7):
            assert np.ptp(track.positions_m[:, 0]) > 1.0
            assert np.isfinite(track.sinr_db).all()
            assert -170.0 < track.rsrp_dbm.mean() < -40.0


@needs_ns3
def test_a_twin_learns_from_ns3(source):
    cohort = cohort_of(CELLS[0], source.tracks(CELLS[0], 4, 7), Uplink())
    training = federate(draw_twin(np.random.default_rng(1)), cohort, Schedule(10), np.random.default_rng(2))
    assert training.error_db < training.rounds[0].error_db / 1.3


def test_without_ns3_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.delenv(INTERPRETER, raising=False)
    if find_spec("ns") is not None:
        assert ns3_python() == sys.executable
        return
    with pytest.raises(Malformed) as refused:
        ns3_python()
    assert "twinledger[ns3]" in refused.value.hint


def test_an_interpreter_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv(INTERPRETER, "/nowhere/python")
    with pytest.raises(Malformed, match="/nowhere/python"):
        ns3_python()


@pytest.mark.skipif(find_spec("ns") is not None, reason="this Python has ns-3")
def test_a_process_that_dies_is_told_with_its_last_words(monkeypatch):
    monkeypatch.setenv(INTERPRETER, sys.executable)
    with ns3_source() as running, pytest.raises(Unavailable, match="No module named 'ns'"):
        running.tracks(CELLS[0], 2, 7)
