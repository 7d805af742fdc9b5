"""scripts/engines_table: the page says what a run's JUnit files say, and an outdated page is found out."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "engines_table"
PASSES = "def test_it_anvil(): pass"
OUTCOMES = {
    PASSES: "passed",
    "def test_it_anvil(): assert False": "failed",
    "import pytest\ndef test_it_anvil(): pytest.skip('no engine')": "failed",
    "raise RuntimeError": "failed",
    PASSES + "\ndef test_it_geth(): assert False": "passed",
}


@pytest.fixture
def table(tmp_path):
    program = runpy.run_path(str(SCRIPT))
    # The page lies where the test can write it, and no engine is installed for it; the rest is the program.
    program["main"].__globals__.update(PAGE=tmp_path / "engines.md", version=lambda engine: "1.2.3")
    return program


def junit(folder, module, code):
    """Let pytest itself write the file of a module's run."""
    source = folder.joinpath(*module.split(".")).with_suffix(".py")
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(code)
    out = folder / f"{module}.xml"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", source, f"--rootdir={folder}"]
    argv += ["--import-mode=importlib", f"--junitxml={out}"]
    subprocess.run(argv, check=False, capture_output=True, cwd=folder)
    return str(out)


@pytest.mark.parametrize(("code", "cell"), OUTCOMES.items())
def test_only_a_suite_that_ran_whole_and_clean_has_passed(table, tmp_path, code, cell):
    out = junit(tmp_path, "tests.conformance.test_chain_link", code)
    assert table["main"](["write", out]) == (1 if "_geth" in code else cell == "failed")
    assert f"| anvil | 1.2.3 | chain conformance | {cell} |" in (tmp_path / "engines.md").read_text()


def test_what_was_run_again_counts_as_it_ended(table, tmp_path):
    first = junit(tmp_path, "tests.network.test_devnet_geth", "def test_it(): assert False")
    other = junit(tmp_path / "again", "tests.network.test_devnet_geth", "def test_it(): pass")
    assert table["main"](["write", first, other]) == 0
    assert table["main"](["write", other, first]) == 1


def test_a_page_that_lacks_or_adds_a_suite_is_found_out(table, tmp_path, capsys):
    geth = junit(tmp_path, "tests.conformance.test_chain_link", "def test_it_geth(): pass")
    kubo = junit(tmp_path, "tests.conformance.test_store", "def test_it_kubo(): pass")
    table["main"](["write", geth])
    assert table["main"](["check", geth]) == 0
    assert table["main"](["check", geth, kubo]) == 1
    assert "lacks kubo: store conformance" in capsys.readouterr().err
    assert table["main"](["check", kubo]) == 1
    assert "has geth: chain conformance" in capsys.readouterr().err


def test_every_suite_of_the_list_selects_tests_that_exist(table):
    root = SCRIPT.parents[1]
    for suite in table["SUITES"]:
        module = root.joinpath(*suite.module.split(".")).with_suffix(".py")
        assert suite.word in module.read_text() + (root / "tests/conformance/conftest.py").read_text(), suite
