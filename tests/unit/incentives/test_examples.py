"""The examples in the docstrings run as written, and a zero is found wherever it lies."""

import doctest
import importlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incentives.roots import increasing_zero

MODULES = [
    "auction",
    "backlog",
    "contract_theory",
    "evaluate",
    "fields",
    "fwt",
    "ledger",
    "payouts",
    "queueing",
    "reputation",
    "roots",
    "services",
    "stackelberg",
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    found = doctest.testmod(importlib.import_module(f"incentives.{name}"))
    assert found.attempted > 0 and found.failed == 0


@given(
    zero=st.floats(-50, 50), power=st.sampled_from([1, 3, 5]), low=st.floats(-60, -51), high=st.floats(51, 60)
)
def test_the_zero_of_an_increasing_function_is_found(zero, power, low, high):
    assert increasing_zero(lambda x: (x - zero) ** power, low, high) == pytest.approx(zero, abs=1e-4)


def test_a_function_of_one_sign_answers_with_the_nearer_end():
    assert increasing_zero(lambda x: x + 9, 0.0, 1.0) == 0.0
    assert increasing_zero(lambda x: x - 9, 0.0, 1.0) == 1.0
