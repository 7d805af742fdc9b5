"""What a cell states in its manifest is accepted by the schema and read back by other cells."""

import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from registry.core.cid import Cid
from registry.core.manifest import FileEntry, build_manifest
from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.forensics import Fetched, Finding
from registry.demo.learner import draw_twin
from registry.demo.manifests import Provenance, cells_of, manifest_of, own_profile, profile_of, track_digest
from registry.demo.privacy import Privacy
from registry.demo.report import print_choice, print_report
from registry.demo.results import Choice, DemoResult, Sealed
from registry.demo.run import DemoOptions, privacy_named, source_named
from registry.demo.transfer import Comparison, Excluded, Ranked, summarise
from registry.demo.uplink import Uplink
from registry.demo.world import BuiltinSource, plan_cells
from registry.errors import Malformed

CELL = plan_cells(1, "new-cell")[0]
SOURCE = BuiltinSource(mean_samples=60)
TRACKS = SOURCE.tracks(CELL, 3, 7)


def provenance(privacy=None):
    cohort = cohort_of(CELL, TRACKS, Uplink())
    training = federate(draw_twin(np.random.default_rng(1)), cohort, Schedule(2), np.random.default_rng(2))
    return Provenance(CELL, "local", TRACKS, training, SOURCE.channel_model, 7, privacy)


def built(given):
    content = b"weights"
    entry = FileEntry("twin.safetensors", Cid(0x55, b"\1" * 32), b"\1" * 32, len(content), "safetensors")
    return build_manifest("local", "rsrp-cell-1", [entry], [], given)


def test_the_manifest_follows_the_schema():
    fields = built(manifest_of(provenance())).fields
    assert fields.wireless.scenario == "UMa"
    assert fields.training.privacy.kind == "none"
    assert {p.pseudonym for p in fields.training.participants} <= {f"cell-1/ue-0{i}" for i in (1, 2, 3)}
    assert fields.training.rounds == 2


def test_privacy_terms_are_stated():
    terms = Privacy(clip=0.3, sigma=7.8, epsilon=8.0, delta=1e-5)
    stated = built(manifest_of(provenance(terms))).fields.training.privacy
    assert (stated.kind, stated.clip, stated.sigma, stated.epsilon, stated.delta) == (
        "dp",
        0.3,
        7.8,
        8.0,
        1e-5,
    )


def test_another_cell_reads_the_profile_that_the_owner_has():
    raw = json.loads(built(manifest_of(provenance())).bytes)
    assert profile_of(raw) == own_profile(CELL, TRACKS)
    assert cells_of(raw) == ("local/cell-1",)


@pytest.mark.parametrize("missing", ["wireless", "metrics", "inputs", "task"])
def test_a_manifest_without_radio_terms_is_no_candidate(missing):
    manifest = {k: v for k, v in manifest_of(provenance()).items() if k != missing}
    assert profile_of(manifest) is None


@pytest.mark.parametrize("bbox", [[1, 2, 3], "nowhere", [0, 0, "x", 1], None])
def test_a_strange_area_is_no_candidate(bbox):
    manifest = dict(manifest_of(provenance()))
    manifest["wireless"] = {**manifest["wireless"], "bbox": bbox}
    assert profile_of(manifest) is None


def test_a_track_is_named_by_its_numbers():
    assert track_digest(TRACKS[0]) == track_digest(SOURCE.tracks(CELL, 3, 7)[0])
    assert track_digest(TRACKS[0]) != track_digest(TRACKS[1])


def result():
    runs = [Comparison(1, 7.0, 9, 2, True), Comparison(2, 7.5, 4, 10, False), Comparison(3, 7.1, 8, 5, True)]
    sealed = Sealed(
        "local/rsrp-new-cell", 1, "0x" + "ab" * 32, 2900, "cd" * 32, 0.4, 6.5, 1.2, 3, 1, is_verified=True
    )
    choice = Choice(
        (Ranked("0x" + "cd" * 32, "local/rsrp-cell-1", 0.7),),
        (Excluded("0x" + "ef" * 32, "local/rsrp-cell-3", "its scenario is UMi, not UMa"),),
    )
    fetched = Fetched("gateway:9", 1_800_000_000, "0x" + "12" * 20, "local/new-cell", "served")
    model, donor = choice.chosen.model, choice.chosen.version_id
    finding = Finding(model, donor, (fetched,), "gateway/1/0x", 12, "ab" * 32, 1)
    return DemoResult((sealed,), choice, summarise(runs), None, None, finding, Path("/tmp/home"))


def test_the_report_shows_losses_and_four_commands():
    console = Console(file=StringIO(), width=200)
    print_choice(result().choice, console)
    print_report(result(), console)
    text = console.file.getvalue()
    assert "+7 -6 +3" in text
    assert "1 warm start(s) did not reach" in text
    assert "excluded: its scenario is UMi, not UMa" in text
    assert "mean +1.3" in text
    assert "under the signed checkpoint 12 of gateway/1/0x" in text
    assert len(result().commands) == 4
    assert all(command in text for command in result().commands)


@pytest.mark.parametrize(
    "wrong", [{"cells": 0}, {"devices": 0}, {"rounds": 0}, {"comparisons": 1}, {"seed": -1}]
)
def test_options_that_make_no_demo_are_refused(wrong):
    with pytest.raises(Malformed, match=next(iter(wrong))):
        DemoOptions(**wrong)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(Malformed, match="simulator"):
        source_named("sionna")
    with pytest.raises(Malformed, match="privacy"):
        privacy_named("much", Schedule(3))


def test_dp_pays_for_all_rounds_in_advance():
    terms = privacy_named("dp", Schedule(10))
    assert terms.epsilon <= 8.0
    assert terms.sigma < privacy_named("dp", Schedule(20)).sigma
