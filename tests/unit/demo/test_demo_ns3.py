"""ns-3 as the source of device data (left out by name where the ns3 extra is not installed)."""

from importlib.util import find_spec

import numpy as np
import pytest

from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.learner import draw_twin
from registry.demo.ns3_source import ns3_source
from registry.demo.uplink import Uplink
from registry.demo.world import plan_cells
from registry.errors import Malformed

HAS_NS3 = find_spec("ns") is not None
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


@pytest.mark.skipif(HAS_NS3, reason="ns3 is installed")
def test_without_the_extra_the_error_says_how_to_get_it():
    with pytest.raises(Malformed) as refused, ns3_source():
        pass
    assert "twinledger[ns3]" in refused.value.hint
