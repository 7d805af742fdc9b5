"""Fixtures of the contract tests; what they are made of is in onchain.py beside this file."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from onchain import BOND, PENALTY, Fees, World, again, found, populate  # after the path that finds it
from pychain import ANA, EVE, MINERS


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


@pytest.fixture(scope="session")
def _audited() -> World:
    world = found(Fees(), minimum_bond=BOND, penalty=PENALTY)
    for miner in MINERS:
        world.storage.send(EVE, "bond", miner.address, value=BOND)
    populate(world)
    world.submit(ANA, "m")
    world.slot(world.fees.slots_per_epoch)
    for miner in MINERS:
        world.registry.send(miner, "post", 0, 0, 0)
    world.registry.send(EVE, "close", 0)
    world.registry.send(EVE, "payRebates", 0, 9)
    return world


@pytest.fixture
def audited(_audited: World) -> World:
    """Three bonded miners; one item of 100 bytes sealed in epoch 0, which is closed: its audit runs."""
    return again(_audited)
