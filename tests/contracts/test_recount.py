"""A recount of the contracts' own events agrees to the wei, and one changed number shows."""

import random
import re
from dataclasses import replace
from typing import Any

import pytest
from twins import Twins

from incentives.market_events import MarketEvent
from incentives.recount import Recount
from registry.core.ids import to_address


def told(twins: Twins) -> list[MarketEvent]:
    history = twins.world.evm.history
    return [MarketEvent(f"event {i}", e.contract, e.name, read(e.args)) for i, e in enumerate(history)]


def read(args: dict[str, Any]) -> dict[str, Any]:
    """Addresses as the registry writes them."""
    is_address = re.compile("0x[0-9a-f]{40}").fullmatch
    return {k: to_address(v) if isinstance(v, str) and is_address(v) else v for k, v in args.items()}


def live(twins: Twins, epochs: int = 4) -> None:
    twins.seal_some()
    for _ in range(epochs):
        twins.close()
        if twins.chance.random() < 0.4:
            twins.change()
        if twins.chance.random() < 0.4:
            twins.rest()
        twins.seal_some()


def recount(twins: Twins, events: list[MarketEvent]) -> Recount:
    counted = Recount(twins.ledger.rules, slots_per_epoch=twins.slots)
    counted.take_all(events)
    return counted


@pytest.mark.parametrize("seed", range(100, 104))
def test_a_recount_from_events_alone_is_the_contract_to_the_wei(seed):
    twins = Twins(random.Random(seed))
    live(twins)
    counted = recount(twins, told(twins))
    assert counted.differences == []
    registry = twins.world.registry
    for who in twins.everyone.values():
        assert counted.balance(who.address) == twins.world.balance(who)
    assert counted.ledger.pool == registry.read("pool")
    assert counted.ledger.carry == registry.read("carry")
    assert counted.ledger.supply == twins.world.evm.balance(registry.address)
    assert counted.epochs[-1].last == registry.read("openEpoch")[0] - 1


def test_an_account_alone_is_counted_though_it_shares_with_nobody():
    twins = Alone(random.Random(100))
    for _ in range(3):
        twins.seal_some()
        twins.close()
    counted = recount(twins, told(twins))
    assert counted.differences == []
    assert [(epoch.accounts, epoch.taxes) for epoch in counted.epochs] == [(1, 0)] * 3


class Alone(Twins):
    """A history in which one account pays."""

    names = (1,)


@pytest.mark.parametrize(
    ("event", "argument"),
    [
        *(("EpochClosed", name) for name in ("estH", "tauL", "taxes", "carry", "accounts")),
        *(("MenuSet", name) for name in ("rhoL", "taxH")),
        *(("Registered", name) for name in ("fee", "tax", "size")),
        ("RebatePaid", "amount"),
        ("RebatesCompleted", "carry"),
    ],
)
def test_one_changed_number_is_found(event, argument):
    twins = Twins(random.Random(100))
    live(twins, 3)
    events = told(twins)
    place = max(i for i, e in enumerate(events) if e.name == event)
    changed = {**events[place].args, argument: int(events[place].args[argument]) + 1}
    events[place] = replace(events[place], args=changed)
    assert recount(twins, events).differences
