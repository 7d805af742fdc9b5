"""The committed artifacts came from the committed sources; compile_contracts.py --check recompiles them."""

import importlib.util
from pathlib import Path

import pytest

from contracts import NAMES, artifact

SCRIPT = Path(__file__).parents[2] / "scripts" / "compile_contracts.py"


@pytest.fixture(scope="module")
def compiling():
    spec = importlib.util.spec_from_file_location("compile_contracts", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_artifact_came_from_the_present_sources(compiling):
    stale = [entry.stem for entry, path in compiling.contracts() if not compiling.is_current(entry, path)]
    assert stale == []


def test_every_contract_has_a_name_and_an_artifact(compiling):
    source = Path(__file__).parents[2] / "contracts" / "src"
    assert {entry.stem for entry, _ in compiling.contracts() if entry.parent == source} == set(NAMES)
    assert all(artifact(name).bytecode for name in NAMES)


def test_an_unknown_contract_is_named():
    with pytest.raises(KeyError, match="no contract is called Ledger"):
        artifact("Ledger")


def test_imports_are_gathered_with_what_they_import(compiling):
    found = compiling.gather(SCRIPT.parents[1] / "contracts" / "src" / "StorageMarket.sol")
    assert "interfaces/IFeeMarket.sol" in found
    assert list(found) == sorted(found)


def test_a_changed_comment_changes_the_source_hash(compiling):
    assert compiling.source_hash({"a.sol": "x"}) != compiling.source_hash({"a.sol": "x // y"})
