"""docs/simulators.md does what it says: its examples run, its CSV is read, strange tracks are refused."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from registry.demo.bring import COLUMNS, read_tracks, train_twin
from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.learner import SIZES, draw_twin
from registry.demo.manifests import cells_of
from registry.demo.radio import UMA, path_loss_db
from registry.demo.uplink import Uplink
from registry.demo.weights import read_twin
from registry.demo.world import MACRO, Cell, Track, plan_cells
from registry.errors import Malformed

PAGE = (Path(__file__).parents[3] / "docs" / "simulators.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```python\n# example: (\w+)\n(.*?)```", PAGE, re.DOTALL))
CELL = Cell("harbour", MACRO, ((0.0, 0.0), (500.0, 0.0), (250.0, 433.0)), 0)
needs_sionna = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("sionna") is None,
    reason="sionna and torch are not installed: pip install sionna",
)


def run(name):
    namespace = {"__name__": "example"}
    exec(compile(EXAMPLES[name], f"docs/simulators.md:{name}", "exec"), namespace)
    return namespace


def track(rows=20, **changed):
    rng = np.random.default_rng(1)
    columns = {
        "device": "ue-1",
        "positions_m": rng.uniform(30, 200, (rows, 3)),
        "is_los": np.ones(rows, dtype=bool),
        "rsrp_dbm": rng.uniform(-110, -70, rows),
        "sinr_db": rng.uniform(-5, 30, rows),
    }
    return Track(**{**columns, **changed})


def test_the_ten_lines_train_a_twin_and_name_the_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    twin = run("train")["twin"]
    assert len([line for line in EXAMPLES["train"].splitlines() if line]) <= 10
    assert read_twin(twin.weights, SIZES).sizes == SIZES
    assert cells_of(twin.manifest) == ("local/harbour",)
    assert twin.error_db < 10.0


def test_a_csv_of_any_program_gives_tracks(tmp_path):
    lines = [",".join(COLUMNS)] + [
        f"ue-{i % 2},{i},{2 * i},1.5,{i % 2},-{80 + i},{10 - i}" for i in range(20)
    ]
    (tmp_path / "measured.csv").write_text("\n".join(lines))
    first, second = read_tracks(tmp_path / "measured.csv")
    assert (first.device, second.device) == ("ue-0", "ue-1")
    assert first.positions_m[1] == pytest.approx([2.0, 4.0, 1.5])
    assert list(first.rsrp_dbm[:2]) == [-80.0, -82.0]
    assert second.is_los.all()
    assert not first.is_los.any()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "lacks device"),
        ("device,x_m\nue,1\n", "lacks y_m"),
        (",".join(COLUMNS) + "\nue,1,2,x,1,-80,5\n", "no number"),
        (",".join(COLUMNS) + "\nue,1,2\n", "lacks z_m"),
    ],
)
def test_a_csv_that_lacks_something_is_refused_with_its_name(tmp_path, text, word):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(Malformed, match=word):
        read_tracks(tmp_path / "bad.csv")


def test_a_csv_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Malformed, match="cannot be read"):
        read_tracks(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "changed",
    [
        {"rsrp_dbm": np.full(20, np.nan)},
        {"sinr_db": np.zeros(19)},
        {"positions_m": np.zeros((20, 2))},
        {"positions_m": np.full((20, 3), np.inf)},
    ],
)
def test_a_track_that_does_not_fit_is_refused(tmp_path, changed):
    with pytest.raises(Malformed):
        train_twin(CELL, [track(**changed)], tmp_path, channel_model="x")


def test_a_track_too_short_to_hold_anything_out_is_refused(tmp_path):
    with pytest.raises(Malformed, match="at least 8"):
        train_twin(CELL, [track(rows=7)], tmp_path, channel_model="x")


@needs_sionna
@pytest.mark.filterwarnings("ignore")
def test_sionna_feeds_the_same_pipeline():
    source = run("sionna")["SionnaSource"]()
    cell = plan_cells(1, "new-cell")[0]
    tracks = source.tracks(cell, 3, 7)
    again = source.tracks(cell, 3, 7)
    assert all(np.array_equal(a.rsrp_dbm, b.rsrp_dbm) for a, b in zip(tracks, again, strict=True))
    training = federate(
        draw_twin(np.random.default_rng(1)),
        cohort_of(cell, tracks, Uplink()),
        Schedule(8),
        np.random.default_rng(2),
    )
    assert training.error_db < training.rounds[0].error_db


@needs_sionna
@pytest.mark.filterwarnings("ignore")
def test_sionnas_path_loss_is_ours():
    cell = plan_cells(1, "new-cell")[0]
    for found in run("sionna")["SionnaSource"]().tracks(cell, 2, 7):
        ground = np.hypot(found.positions_m[:, 0], found.positions_m[:, 1])
        ours = path_loss_db(
            UMA, ground, ut_height_m=found.positions_m[:, 2], carrier_hz=3.5e9, is_los=found.is_los
        )
        # Sionna takes the exact speed of light for the breakpoint and computes in float32.
        per_subcarrier = found.rsrp_dbm.max() + ours[found.rsrp_dbm.argmax()]
        assert np.abs(per_subcarrier - ours - found.rsrp_dbm).max() < 0.02
