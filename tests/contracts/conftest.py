"""Fixtures of the contract tests; what they are made of is in onchain.py beside this file."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from onchain import Fees, World, again, found, populate  # after the path that finds it


@pytest.fixture(scope="session")
def _empty() -> World:
    return found(Fees())


@pytest.fixture(scope="session")
def _peopled(_empty: World) -> World:
    world = again(_empty)
    populate(world)
    return world


@pytest.fixture
def empty(_empty: World) -> World:
    """A connected deployment without members."""
    return again(_empty)


@pytest.fixture
def world(_peopled: World) -> World:
    """Two submitters with money, three miners, nothing sealed yet, slot 0."""
    return again(_peopled)
