"""A wallet that calls back while it is paid is paid once, and leaves the contract as a tame one would."""

import pytest
from attackers import Tally, create, reenterer, storage_root
from eth_abi import encode
from onchain import again
from pychain import ANA, BO, COUNCIL, CY, Contract, Evm, selector_text
from rewards import copy, found_rewards
from scenes import SCENES, Stage

from contracts import artifact
from registry.core.ids import Role, keccak


@pytest.fixture(scope="session")
def _stage(_empty):
    found = found_rewards(again(_empty))
    cells = Role.VALIDATOR | Role.AGGREGATOR | Role.HOST | Role.OPERATOR
    for who in (BO, CY):
        found.world.council(found.world.consortium, "setRoles", who.address, int(cells))
    bad = reenterer(found.world.evm)
    found.world.admit(bad, "bad", cells | Role.SPONSOR | Role.DEVICE)
    # Other people's money, which an attack would have to take.
    found.pool.send(CY, "offer", keccak(b"another job"), 1, 10**9, value=10**15)
    return Stage(found.world, found, bad)


def fork(stage):
    world = again(stage.world)
    return Stage(world, copy(stage.rewards, world), stage.bad.on(world.evm))


def played(stage, scene, then):
    """What the wallet got, what the contract holds and remembers, and what came of the calls back."""
    stage = fork(stage)
    evm = stage.world.evm
    contract = Contract(evm, scene.contract.name, scene.contract.raw)
    data = contract.data(then[0], *then[1]) if then else b""
    before = evm.balance(stage.bad.raw)
    function, args = scene.call
    if scene.by_council:
        stage.bad.send(contract, "taskCount", then=data)
        stage.world.council(contract, function, *args)
    else:
        stage.bad.send(contract, function, *args, value=scene.value, then=data)
    got = evm.balance(stage.bad.raw) - before
    return got, evm.balance(contract.raw), storage_root(evm, contract.raw), stage.bad.tally()


@pytest.mark.parametrize("name", SCENES)
def test_the_balance_is_taken_once_and_nobody_else_is_harmed(_stage, name):
    stage = fork(_stage)
    scene = SCENES[name](stage)
    got, held, root, _ = played(stage, scene, None)
    assert got == scene.due
    assert held > 0
    for then, error in scene.then:
        answer = selector(scene.contract, error) if error else bytes(4)
        tally = Tally(paid=1, succeeded=0 if error else 1, answer=answer)
        assert played(stage, scene, then) == (got, held, root, tally), then


def selector(contract, error):
    (entry,) = (e for e in artifact(contract.name).abi if e["type"] == "error" and e["name"] == error)
    return keccak(selector_text(entry).encode())[:4]


def test_what_is_left_is_taken_from_inside_a_payment_and_not_a_wei_more(_stage):
    """Calling back is no crime: the rest of the own balance may leave so, and then nothing is left."""
    stage = fork(_stage)
    SCENES["TwinRegistry.withdraw"](stage)
    registry, held = stage.world.registry, stage.world.evm.balance(stage.world.registry.raw)
    stage.bad.send(registry, "withdraw", 60, then=registry.data("withdraw", 40))
    # The third payment would be the first that is not its own.
    assert stage.bad.tally() == Tally(paid=2, succeeded=1, answer=bytes(4))
    assert stage.world.evm.balance(registry.raw) == held - 100
    for who in (ANA, BO):
        registry.send(who, "withdraw", 1_000)


def test_the_same_wallet_empties_a_contract_that_pays_before_it_writes():
    evm = Evm()
    wallet, leaky = reenterer(evm), create(evm, "Leaky")
    for who, amount in ((wallet.raw, 60), (bytes.fromhex(ANA.address[2:]), 600)):
        deposit = keccak(b"deposit(address)")[:4] + encode(["address"], [who])
        evm.transact(COUNCIL, leaky, deposit, amount)
    withdraw = keccak(b"withdraw(uint128)")[:4] + encode(["uint128"], [60])
    wallet.call(leaky, withdraw, then=withdraw)
    assert (evm.balance(wallet.raw), evm.balance(leaky)) == (660, 0)
