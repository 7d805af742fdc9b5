"""What a registration costs and how large each contract is: contracts/gas.json, measured here again.

The figures are exact, so a change of cost shows up in review; write them anew with
`TWINLEDGER_WRITE_GAS=1 pytest tests/contracts/test_gas.py`.
"""

import json
import os
from pathlib import Path

import pytest
from onchain import Fees, found, submission_values
from pychain import COUNCIL, MINERS, actor

from contracts import NAMES, artifact
from registry.core.ids import Role
from registry.core.signing import to_compact

GAS = Path(__file__).parents[2] / "contracts" / "gas.json"
CODE_LIMIT = 24_000
CALLDATA_LIMIT = 120 * 1024
ITEMS = 200


def batch(world, submitters, round_, parents=()):
    """200 signed items with two parents each, spread over the submitters."""
    return [
        world.signed(
            who, world.version(who, f"{round_}.{i}", size=64, parents=tuple(parents[2 * i % 200 :][:2]))
        )
        for i, who in ((i, submitters[i % len(submitters)]) for i in range(ITEMS))
    ]


def registration_gas(count) -> int:
    """Gas per item of a full batch by so many submitters who each sealed in an earlier epoch."""
    world = found(Fees(slots_per_epoch=1, slot_bytes=10**9, grace_slots=0))
    submitters = [actor(f"submitter {i}") for i in range(count)]
    for i, who in enumerate(submitters):
        world.admit(who, f"org{i}", Role.SUBMITTER)
        world.deposit(who, 10**15)
    world.admit(MINERS[0], "mine", Role.MINER)
    world.price(MINERS[:1], (7,))
    first = batch(world, submitters, 0)
    world.seal(MINERS[0], *first)
    for epoch in range(2):
        world.slot(epoch + 1)
        world.registry.send(MINERS[0], "post", epoch, 0, 0)
        world.registry.send(COUNCIL, "close", epoch)
        world.registry.send(COUNCIL, "payRebates", epoch, 1_000)
    items = batch(world, submitters, 1, [s.version.id for s, _ in first])
    assert (
        len(
            world.registry.data(
                "seal", [submission_values(s) for s, _ in items], [to_compact(g) for _, g in items]
            )
        )
        <= CALLDATA_LIMIT
    )
    done = world.seal(MINERS[0], *items)
    assert len(done.all("Registered")) == ITEMS
    return done.gas_used // ITEMS


@pytest.fixture(scope="module")
def measured():
    return {
        "registration": {f"batch 200, {n} submitters": registration_gas(n) for n in (20, 200)},
        "runtime_bytes": {name: len(artifact(name).runtime) for name in NAMES},
    }


def test_the_committed_figures_are_what_is_measured(measured):
    if os.environ.get("TWINLEDGER_WRITE_GAS"):
        GAS.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n")
    assert json.loads(GAS.read_text()) == measured


def test_a_registration_costs_at_most_45_000_gas(measured):
    assert measured["registration"]["batch 200, 20 submitters"] <= 45_000


def test_every_contract_stays_below_24_000_bytes(measured):
    assert max(measured["runtime_bytes"].values()) < CODE_LIMIT
