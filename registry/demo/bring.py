"""Bring your own simulator: tracks in, a trained twin with its manifest out, ready for `Client.submit`."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.learner import draw_twin
from registry.demo.manifests import Provenance, manifest_of
from registry.demo.weights import write_twin
from registry.demo.world import Cell, Track
from registry.errors import Malformed

COLUMNS = ("device", "x_m", "y_m", "z_m", "los", "rsrp_dbm", "sinr_db")
FEWEST_REPORTS = 8


@dataclass(frozen=True, slots=True)
class Made:
    """What `Client.submit` takes: the weights' file and the manifest, and how well the twin does."""

    weights: Path
    manifest: Mapping[str, object]
    error_db: float


def train_twin(
    cell: Cell,
    tracks: Sequence[Track],
    folder: str | Path,
    *,
    channel_model: str,
    namespace: str = "local",
    rounds: int = 25,
    seed: int = 0,
) -> Made:
    """Train a twin of `cell` on a simulator's tracks and write `folder`/twin.safetensors."""
    for track in tracks:
        _check(track)
    schedule = Schedule(rounds)
    rng = np.random.default_rng(seed)
    training = federate(draw_twin(rng), cohort_of(cell, tracks, schedule.uplink), schedule, rng)
    path = Path(folder) / "twin.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_twin(training.twin, path)
    made = Provenance(cell, namespace, tuple(tracks), training, channel_model, seed)
    return Made(path, manifest_of(made), training.error_db)


def read_tracks(path: str | Path) -> tuple[Track, ...]:
    """Tracks from a CSV with the columns device, x_m, y_m, z_m, los (0 or 1), rsrp_dbm, sinr_db."""
    try:
        with Path(path).open(newline="", encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise Malformed(f"{path} cannot be read: {e}") from e
    missing = [c for c in COLUMNS if not rows or rows[0].get(c) is None]
    if missing:
        raise Malformed(f"{path} lacks {', '.join(missing)}", hint=f"write the columns {','.join(COLUMNS)}")
    return tuple(_tracks(str(path), rows))


def _tracks(path: str, rows: list[dict[str, str]]) -> Iterator[Track]:
    # Rows of one device keep their order, which is the order of its way.
    for device, own in groupby(sorted(rows, key=lambda r: r["device"]), key=lambda r: r["device"]):
        try:
            table = np.array([[float(row[c]) for c in COLUMNS[1:]] for row in own])
        except (TypeError, ValueError) as e:
            raise Malformed(f"{path} has a value of {device} that is no number: {e}") from e
        yield Track(device, table[:, :3], table[:, 3] > 0.5, table[:, 4], table[:, 5])


def _check(track: Track) -> None:
    count = len(track.positions_m)
    if track.positions_m.shape != (count, 3) or count < FEWEST_REPORTS:
        raise Malformed(
            f"{track.device} has positions of shape {track.positions_m.shape}, "
            f"at least {FEWEST_REPORTS} rows of x, y, z are needed"
        )
    for name in ("is_los", "rsrp_dbm", "sinr_db"):
        column = getattr(track, name)
        if column.shape != (count,) or not np.isfinite(column).all():
            raise Malformed(f"{name} of {track.device} is not one finite value for each of {count} positions")
    if not np.isfinite(track.positions_m).all():
        raise Malformed(f"{track.device} was at a place that is no finite number")
