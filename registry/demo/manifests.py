"""What a cell says about its twin in the manifest, and what another cell reads from it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

import numpy as np

from registry.demo.federated import Training
from registry.demo.learner import INPUTS, OUTPUTS
from registry.demo.privacy import Privacy
from registry.demo.transfer import ChannelStatistics, Profile, channel_statistics
from registry.demo.world import Cell, Track

TASK = "rsrp-sinr-prediction"
TAG = "radio-twin"


@dataclass(frozen=True, slots=True, eq=False)
class Provenance:
    """Everything that a cell knows about how its twin came about."""

    cell: Cell
    namespace: str
    tracks: tuple[Track, ...]
    training: Training
    channel_model: str
    seed: int
    privacy: Privacy | None = None

    @property
    def cell_name(self) -> str:
        """The cell as the registry names it."""
        return f"{self.namespace}/{self.cell.name}"


def track_digest(track: Track) -> str:
    """The SHA-256 of a track's little-endian float64 numbers: proves later which data it was."""
    columns = [track.positions_m, track.is_los[:, None], track.rsrp_dbm[:, None], track.sinr_db[:, None]]
    table = np.column_stack(columns).astype("<f8")
    return "0x" + sha256(table.tobytes()).hexdigest()


def scene_digest(cell: Cell) -> str:
    """The SHA-256 of the sites that shape the cell's radio environment."""
    return "0x" + sha256(np.asarray(cell.sites, dtype="<f8").tobytes()).hexdigest()


def manifest_of(made: Provenance) -> Mapping[str, object]:
    """The manifest's optional part; the SDK fills in the rest."""
    error = made.training.error_db
    return {
        "description": f"RSRP and SINR anywhere in {made.cell.name}, trained by its devices",
        "license": "Apache-2.0",
        "tags": [TAG, made.cell.layer.scenario.name.lower()],
        "framework": "numpy",
        "task": TASK,
        "inputs": list(INPUTS),
        "outputs": [{"name": name, "unit": name.rpartition("_")[2]} for name in OUTPUTS],
        "metrics": {
            "held_out_error_db": round(error, 4),
            **{f"channel_{k}": v for k, v in asdict(channel_statistics(made.cell, made.tracks)).items()},
        },
        "twin": {
            "object": "radio cell",
            "composition": "standalone",
            "scale": "asset",
            "use": "operational",
            "modelling": "data-driven",
            "deployment": "edge",
        },
        "wireless": _wireless(made),
        "training": _training(made),
    }


def _wireless(made: Provenance) -> Mapping[str, object]:
    layer = made.cell.layer
    return {
        "carrier_hz": layer.carrier_hz,
        "bandwidth_hz": layer.bandwidth_hz,
        "scenario": layer.scenario.name,
        "channel_model": made.channel_model,
        "cells": [made.cell_name],
        "bbox": list(made.cell.bbox),
        "seed": made.seed,
        "scene_sha256": scene_digest(made.cell),
    }


def _training(made: Provenance) -> Mapping[str, object]:
    return {
        "method": "federated",
        "topology": "federated",
        "aggregation": "FedAvg",
        "rounds": made.training.rounds[-1].number,
        "privacy": {"kind": "none"} if made.privacy is None else {"kind": "dp", **asdict(made.privacy)},
        "datasets": [
            {
                "id": f"{made.cell.name}/{track.device}",
                "sha256": track_digest(track),
                "rows": len(track.rsrp_dbm),
                "holder": f"{made.cell.name}/{track.device}",
            }
            for track in made.tracks
        ],
        "participants": [
            {
                "pseudonym": f"{made.cell.name}/{p.device}",
                "update_sha256": p.update_sha256,
                "samples": p.samples,
                "cell": made.cell_name,
            }
            for p in made.training.participants
        ],
    }


def own_profile(cell: Cell, tracks: Sequence[Track]) -> Profile:
    """What a new cell knows about itself from its first reports."""
    south, west, north, east = cell.bbox
    return Profile(
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        scenario=cell.layer.scenario.name,
        carrier_hz=cell.layer.carrier_hz,
        bandwidth_hz=cell.layer.bandwidth_hz,
        latitude=(south + north) / 2,
        longitude=(west + east) / 2,
        channel=channel_statistics(cell, tracks),
    )


def cells_of(manifest: Mapping[str, object]) -> tuple[str, ...]:
    """The cells that a version stands for, as far as its manifest names them."""
    wireless = manifest.get("wireless")
    cells = wireless.get("cells") if isinstance(wireless, Mapping) else None
    return tuple(str(c) for c in cells) if isinstance(cells, Sequence) else ()


def profile_of(manifest: Mapping[str, object]) -> Profile | None:
    """What a manifest says that transfer needs; None when it leaves any of it out."""
    wireless, metrics = manifest.get("wireless"), manifest.get("metrics")
    if not isinstance(wireless, Mapping) or not isinstance(metrics, Mapping):
        return None
    try:
        south, west, north, east = (float(v) for v in wireless["bbox"])
        return Profile(
            task=str(manifest["task"]),
            inputs=_ports(manifest["inputs"]),
            outputs=_ports(manifest["outputs"]),
            scenario=str(wireless["scenario"]),
            carrier_hz=float(wireless["carrier_hz"]),
            bandwidth_hz=float(wireless["bandwidth_hz"]),
            latitude=(south + north) / 2,
            longitude=(west + east) / 2,
            channel=ChannelStatistics(
                *(float(metrics[f"channel_{name}"]) for name in ChannelStatistics.__slots__)
            ),
        )
    except (KeyError, TypeError, ValueError):
        # Other members' manifests are theirs to write: one that lacks these is no candidate.
        return None


def _ports(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence):
        raise TypeError("ports are a list")
    return tuple(str(p["name"]) if isinstance(p, Mapping) else str(p) for p in value)
