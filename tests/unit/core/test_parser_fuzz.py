"""Mutated inputs to every parser of what strangers send: a value or an error of the tree, never another.

Here a few of each; `scripts/soak parsers` gives each of them a million.
"""

import pytest
from parsers import PARSERS, feed, inputs


@pytest.mark.parametrize("name", PARSERS)
def test_a_mutated_input_gives_a_value_or_an_error_of_the_tree(name: str) -> None:
    feed(name, 0, 500)


@pytest.mark.parametrize("name", PARSERS)
def test_the_samples_are_taken_as_they_are(name: str) -> None:
    for place, sample in enumerate(PARSERS[name].samples):
        PARSERS[name].parse(PARSERS[name].deliver(sample, place))


def test_the_inputs_of_a_number_are_always_the_same() -> None:
    assert list(inputs("car", 2_000, 1_500)) == list(inputs("car", 2_000, 1_500))
    assert list(inputs("car", 2_000, 10)) != list(inputs("car", 3_000, 10))
