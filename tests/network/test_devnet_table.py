"""scripts/engines_table: the page says what a run's JUnit files say, and an outdated page is found out."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "engines_table"
PASSES = "def test_it(): pass"
OUTCOMES = {
    PASSES: "passed",
    "def test_it(): assert False": "failed",
    "import pytest\ndef test_it(): pytest.skip('no engine')": "failed",
    "raise RuntimeError": "failed",
}


@pytest.fixture
def table(tmp_path):
    program = runpy.run_path(str(SCRIPT))
    # The page lies where the test can write it; the rest is the program as it stands.
    program["main"].__globals__["PAGE"] = tmp_path / "engines.md"
    return program


def junit(folder, name, code):
    """Let pytest itself write the file of a suite."""
    source = folder / "test_source.py"
    source.write_text(code)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", source, f"--rootdir={folder}"]
    argv += [f"--junitxml={folder / name}.xml", "-o", f"junit_suite_name={name}"]
    subprocess.run(argv, check=False, capture_output=True, cwd=folder)


@pytest.mark.parametrize(("code", "cell"), OUTCOMES.items())
def test_only_a_suite_that_ran_whole_and_clean_has_passed(table, tmp_path, code, cell):
    junit(tmp_path, "anvil 1.7.1: chain conformance", code)
    assert table["main"](["write", str(tmp_path)]) == (cell == "failed")
    assert f"| anvil | 1.7.1 | chain conformance | {cell} |" in (tmp_path / "engines.md").read_text()


def test_a_page_that_names_what_the_run_ran_is_in_order(table, tmp_path):
    junit(tmp_path, "geth 1.13.15: chain conformance", PASSES)
    table["main"](["write", str(tmp_path)])
    assert table["main"](["check", str(tmp_path)]) == 0


def test_a_page_that_lacks_or_adds_a_suite_is_found_out(table, tmp_path, capsys):
    junit(tmp_path, "geth 1.13.15: chain conformance", PASSES)
    table["main"](["write", str(tmp_path)])
    junit(tmp_path, "kubo 0.43.0: store conformance", PASSES)
    assert table["main"](["check", str(tmp_path)]) == 1
    assert "lacks kubo: store conformance" in capsys.readouterr().err
    (tmp_path / "geth 1.13.15: chain conformance.xml").unlink()
    assert table["main"](["check", str(tmp_path)]) == 1
    assert "has geth: chain conformance" in capsys.readouterr().err


def test_every_suite_of_the_list_selects_tests_that_exist(table):
    root = SCRIPT.parents[1]
    for suite in table["SUITES"]:
        assert (root / suite.selection.split()[0]).exists(), suite
