"""The demo's whole story through the SDK, over a real socket, on a real embedded installation."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from registry.demo.report import print_report
from registry.demo.run import DemoOptions, run_demo

SMALL = DemoOptions(cells=3, devices=3, rounds=5, comparisons=2)


def run(client_for, options):
    console = Console(file=StringIO(), width=200)
    result = run_demo(client_for, options, console)
    print_report(result, console)
    return result, console.file.getvalue()


@pytest.fixture(scope="module")
def client_for(live):
    return live.client


@pytest.fixture(scope="module")
def told(client_for):
    return run(client_for, SMALL)


def test_every_cell_has_a_sealed_and_verified_version(told):
    result, _ = told
    assert [s.model for s in result.sealed] == [
        "local/rsrp-cell-1",
        "local/rsrp-cell-2",
        "local/rsrp-cell-3",
        "local/rsrp-new-cell",
    ]
    assert all(s.number == 1 and s.is_verified for s in result.sealed)


def test_the_new_cells_version_descends_from_the_twin_it_started_from(told, client_for):
    result, _ = told
    kin = client_for("local/new-cell").lineage(result.sealed[-1].version_id, direction="up")
    assert [k.version_id for k in kin if k.depth == 1] == [result.choice.chosen.version_id]


def test_the_street_cell_is_excluded_with_its_reason(told):
    result, text = told
    assert {e.model for e in result.choice.excluded} == {"local/rsrp-cell-3"}
    assert "its scenario is UMi, not UMa" in text
    assert {r.model for r in result.choice.ranked} == {"local/rsrp-cell-1", "local/rsrp-cell-2"}


def test_the_manifest_of_a_cell_is_found_by_what_it_says(told, client_for):
    found = client_for("local/new-cell").search(scenario="UMi", carrier_hz=(27e9, 29e9))
    assert [v.model for v in found] == ["local/rsrp-cell-3"]


def test_the_report_ends_with_four_commands(told):
    result, text = told
    assert text.rstrip().splitlines()[-1].strip() == result.commands[-1]
    assert f"{len(result.savings.runs)} seeds" in text


def test_the_last_lines_answer_a_forensic_question_with_its_proof(told, client_for):
    result, text = told
    finding = result.finding
    assert finding.version_id == result.choice.chosen.version_id
    assert {f.cell for f in finding.fetched} == {"local/new-cell"}
    assert f"signed checkpoint {finding.size} of {finding.log}" in text.split("continue with:")[0]
    client = client_for("local/new-cell")
    assert all(b"c2sp.org/tlog-proof" in client.audit.prove(one.event) for one in finding.fetched)


def test_the_same_demo_again_registers_nothing_twice(told, client_for):
    result, _ = told
    again, _ = run(client_for, SMALL)
    assert [s.version_id for s in again.sealed] == [s.version_id for s in result.sealed]
    assert [r.saved for r in again.savings.runs] == [r.saved for r in result.savings.runs]
    assert "local/rsrp-new-cell" in {e.model for e in again.choice.excluded}


def test_privacy_is_stated_on_chain_and_priced(told, client_for):
    result, text = run(client_for, replace(SMALL, cells=1, seed=11, privacy="dp"))
    version = client_for("local/cell-1").version(result.sealed[0].version_id)
    stated = version.manifest["training"]["privacy"]
    assert stated["kind"] == "dp"
    assert stated["epsilon"] <= 8.0
    assert "privacy cost:" in text
