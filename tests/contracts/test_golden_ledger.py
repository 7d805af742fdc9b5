"""The recorded histories of the economics, replayed on the contract: equal to the wei after every close."""

import json
from itertools import islice
from pathlib import Path

import pytest
from onchain import Fees, World, found
from pychain import Actor, actor

from registry.core.ids import Role

GOLDEN = Path(__file__).parents[1] / "vectors" / "data" / "mechanisms_golden.json"
HISTORIES = json.loads(GOLDEN.read_text())["fwt_ledger"]


def deployment(inputs) -> tuple[World, dict[str, Actor], dict[str, Actor]]:
    """The history's constants, users and miners; actors that are not named in onchain.py get coins here."""
    (tau_h, tau_l), slots = inputs["tau0"], len(inputs["epochs"][0])
    world = found(
        Fees(
            slots_per_epoch=slots,
            eta=inputs["eta"],
            run_cap=inputs["run_cap"],
            eps=inputs["eps"],
            g_h=inputs["gH"],
            g_l=inputs["gL"],
            tau0_h=tau_h,
            tau0_l=tau_l,
            grace_slots=0,
        )
    )
    users = {name: actor(name) for name in inputs["users"]}
    miners = {name: actor(name) for name in inputs["miners"]}
    for name, user in users.items():
        world.admit(user, name, Role.SUBMITTER)
        world.deposit(user, inputs["initial_user_balance"])
    for name, miner in miners.items():
        world.admit(miner, name, Role.MINER)
    world.price(list(miners.values()), list(inputs["miners"].values()))
    return world, users, miners


def bitmap(slots, *classes) -> int:
    return sum(1 << i for i, slot in enumerate(slots) if any(slot[f"backlog_{k}"] for k in classes))


def seal_epoch(world, users, miners, epoch, slots) -> None:
    for i, slot in enumerate(slots):
        world.slot(epoch * len(slots) + i)
        items = [
            world.signed(users[name], world.version(users[name], f"{epoch}.{i}.{j}", size), high=k == "H")
            for j, (name, size, k) in enumerate(slot["txs"])
        ]
        done = world.seal(miners[slot["sealer"]], *items)
        assert not done.all("Rejected")


def balance(world, who, closed) -> int:
    """Escrow and what was earned, whether the audit has released it or not."""
    earned = sum(world.registry.read("creditOf", who.address, e) for e in range(closed + 1))
    return world.balance(who) + earned


def assert_row(world, users, miners, epoch, row) -> None:
    """What the reference wrote down right after this close."""
    assert list(world.registry.read("tau")) == row["tau_after"]
    assert world.registry.read("pool") == row["pool"]
    assert world.registry.read("carry") == row["carry"]
    found_ = {name: balance(world, who, epoch) for name, who in {**users, **miners}.items()}
    assert found_ == row["balances"]


@pytest.mark.parametrize("history", HISTORIES, ids=["eta 2", "eta 3"])
@pytest.mark.parametrize("page", [1, 100], ids=["page of 1", "one page"])
def test_a_recorded_history_gives_the_recorded_money(history, page):
    inputs = history["inputs"]
    world, users, miners = deployment(inputs)
    for epoch, (slots, row) in enumerate(zip(inputs["epochs"], history["outputs"], strict=True)):
        rho_h, rho_l, tax_h, tax_l = world.registry.read("menu")
        assert {"rho_H": rho_h, "rho_L": rho_l, "tax_H": tax_h, "tax_L": tax_l} == row["menu_in_force"]
        seal_epoch(world, users, miners, epoch, slots)
        world.slot((epoch + 1) * len(slots))
        for miner in miners.values():
            world.registry.send(miner, "post", epoch, bitmap(slots, "H"), bitmap(slots, "H", "L"))
        world.registry.send(users["u0"], "close", epoch)
        assert_row(world, users, miners, epoch, row)
        for _ in islice(iter(lambda: world.registry.read("rebate")[4], False), 99):
            world.registry.send(users["u0"], "payRebates", epoch, page)


def test_the_histories_are_the_whole_golden_file():
    assert len(HISTORIES) == 2
