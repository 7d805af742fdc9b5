"""Every known answer of the economics: 1e-6 relative for numbers, exact for integers, names and lists."""

import json
from pathlib import Path

import pytest

from incentives.evaluate import KEYS, evaluate

GOLDEN = json.loads((Path(__file__).parent / "data" / "mechanisms_golden.json").read_text())
CASES = [pytest.param(key, case, id=f"{key}-{k}") for key in KEYS for k, case in enumerate(GOLDEN[key])]


def assert_same(found, expected, path=""):
    """Integers exactly; floats to 1e-6; a known answer below 1e-9 means 0."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), path
        for name, value in expected.items():
            assert_same(found[name], value, f"{path}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for k, value in enumerate(expected):
            assert_same(found[k], value, f"{path}[{k}]")
    elif isinstance(expected, float):
        goal = 0.0 if abs(expected) < 1e-9 else expected
        assert found == pytest.approx(goal, rel=1e-6, abs=1e-9), path
    else:
        assert found == expected and type(found) is type(expected), path


def test_every_key_of_the_file_is_a_mechanism():
    assert set(KEYS) == set(GOLDEN) - {"schema", "note"}
    assert len(KEYS) == 16


@pytest.mark.parametrize(("key", "case"), CASES)
def test_a_known_answer_is_reproduced(key, case):
    assert_same(evaluate(key, case["inputs"]), case["outputs"])


@pytest.mark.parametrize(("key", "case"), CASES)
def test_an_answer_survives_a_round_trip_through_json(key, case):
    inputs = json.loads(json.dumps(case["inputs"]))
    answer = evaluate(key, inputs)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
