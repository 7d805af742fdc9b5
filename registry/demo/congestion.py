"""The demo's market: two operators publish the rounds of a training, more than the slots can take.

The demo deploys small slots and says so; it sets no price, no backlog and no balance. What follows is the
market's own doing: submissions wait, miners post how long, the waiting tax rises, those who come later pay
it, and one epoch later it goes back to all operators while the miners are paid for storing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.learner import draw_twin
from registry.demo.weights import write_twin
from registry.demo.world import BuiltinSource, plan_cells

if TYPE_CHECKING:
    from registry import Client

FIRST_WAVE, SECOND_WAVE = 15, 5
PRICE_MARGIN = 1_000
PATIENCE_S = 45.0
_BAR = 20


@dataclass(frozen=True, slots=True)
class EpochLine:
    """One epoch of the market, taxes in wei per byte and money in wei."""

    epoch: int
    items: int
    tax_h: int
    tax_l: int
    charged: int
    rebates: int


@dataclass(frozen=True, slots=True)
class OperatorLine:
    """One operator: what it paid and what came back, in wei."""

    name: str
    fees: int
    tax: int
    rebates: int


@dataclass(frozen=True, slots=True)
class MinerLine:
    """One miner: what it sealed and was paid, in wei."""

    address: str
    sealed: int
    earned: int
    collected: int


@dataclass(frozen=True, slots=True)
class Congestion:
    """How the market took it."""

    slot_bytes: int
    slot_s: int
    slots_per_epoch: int
    submitted: int
    epochs: tuple[EpochLine, ...]
    operators: tuple[OperatorLine, ...]
    miners: tuple[MinerLine, ...]


def congest(operators: "Mapping[str, Client]", seed: int, folder: Path, console: Console) -> Congestion:
    """Two waves of submissions by every operator, then the wait for what the market makes of them."""
    first = next(iter(operators.values()))
    began = _open_epoch(first)
    _wave(operators, (seed, 0), FIRST_WAVE, folder, console)
    # What the first wave shows in two epochs makes the price of the third, which the second wave pays.
    _until(lambda: _tax(first) > 0)
    taxed = _open_epoch(first)
    _wave(operators, (seed, 1), SECOND_WAVE, folder, console)
    _until(lambda: _is_paid_back(first, taxed))
    return _found(operators, began, len(operators) * (FIRST_WAVE + SECOND_WAVE))


def _wave(
    operators: "Mapping[str, Client]", draw: tuple[int, int], count: int, folder: Path, console: Console
) -> None:
    """Every operator publishes so many rounds; returns when all are sealed."""
    console.print(f"market: {count} rounds of a training from each of {len(operators)} operators")
    sent = [
        (client, version_id)
        for place, (name, client) in enumerate(operators.items())
        for version_id in _publish(client, name, (*draw, place), count, folder)
    ]
    for client, version_id in sent:
        client.wait(version_id)


def _publish(
    client: "Client", operator: str, draw: tuple[int, ...], count: int, folder: Path
) -> Sequence[str]:
    """Submit the twin of every round; every fourth in class priority. Answers the version ids."""
    from registry.sdk.submitting import Work

    schedule = Schedule(1)
    rng = np.random.default_rng(draw)
    cell = plan_cells(1, "market-cell")[0]
    cohort = cohort_of(cell, BuiltinSource().tracks(cell, 2, draw[0]), schedule.uplink)
    quotes = {fee: client.quote(1, fee) for fee in ("standard", "priority")}
    twin, works = draw_twin(rng), []
    for number in range(count):
        twin = federate(twin, cohort, schedule, rng).twin
        path = folder / "-".join(map(str, (*draw, number))) / "round.safetensors"
        path.parent.mkdir(parents=True)
        write_twin(twin, path)
        fee = "priority" if number % 4 == 0 else "standard"
        price = PRICE_MARGIN * (int(quotes[fee].rho) + int(quotes[fee].tax))
        manifest = {"description": f"round {number} of {operator}", "tags": ["training-round"]}
        model = f"{operator}/rounds-{draw[1]}"
        works.append(Work(model, [path], manifest, fee=fee, max_price=price))
    sent = client.submit_many(works, wait=False)
    failed = [result for result in sent if isinstance(result, Exception)]
    if failed:
        raise failed[0]
    return [result.version_id for result in sent if not isinstance(result, Exception)]


def _open_epoch(client: "Client") -> int:
    return max((epoch.last + 1 for epoch in client.fees.epochs()), default=0)


def _tax(client: "Client") -> int:
    return int(client.fees.menu().standard.tax)


def _is_paid_back(client: "Client", since: int) -> bool:
    """Whether a tax of an epoch from `since` on was given back, and a miner has its money."""
    rebates = [int(e.rebates.paid) for e in client.fees.epochs() if e.rebates and e.first >= since]
    return sum(rebates) > 0 and any(int(miner.collected) for miner in client.fees.miners())


def _until(is_true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not is_true() and time.monotonic() < until:
        time.sleep(0.5)


def _found(operators: "Mapping[str, Client]", began: int, submitted: int) -> Congestion:
    client = next(iter(operators.values()))
    params = client.fees.epoch(began).params
    return Congestion(
        slot_bytes=params.slot_bytes,
        slot_s=params.slot_s,
        slots_per_epoch=params.slots_per_epoch,
        submitted=submitted,
        epochs=tuple(
            EpochLine(
                epoch=e.first,
                items=e.items,
                tax_h=int(e.menu.priority.tax) if e.menu else 0,
                tax_l=int(e.menu.standard.tax) if e.menu else 0,
                charged=int(e.tax),
                rebates=int(e.rebates.paid) if e.rebates else 0,
            )
            for e in client.fees.epochs()
            if e.first >= began
        ),
        operators=tuple(_operator(name, own) for name, own in operators.items()),
        miners=tuple(
            MinerLine(m.address, m.sealed, int(m.earned), int(m.collected)) for m in client.fees.miners()
        ),
    )


def _operator(name: str, client: "Client") -> OperatorLine:
    sums: dict[str, int] = {}
    for entry in client.account.statement():
        sums[entry.reason] = sums.get(entry.reason, 0) + int(entry.amount)
    return OperatorLine(name, -sums.get("fee", 0), -sums.get("waiting_tax", 0), sums.get("rebate", 0))


def print_congestion(found: Congestion, console: Console) -> None:
    """The market's table, the tax as bars, and who paid and got what."""
    console.print(
        f"\nmarket: {found.submitted} submissions into slots of {found.slot_bytes:,} bytes and "
        f"{found.slot_s} s, {found.slots_per_epoch} slots an epoch",
        highlight=False,
        soft_wrap=True,
    )
    most = max((line.tax_l for line in found.epochs), default=0)
    epochs = _table("epoch", "sealed", "tax H", "tax L", "charged", "given back", "tax L plotted")
    for line in found.epochs:
        bar = "█" * (line.tax_l * _BAR // most if most else 0)
        epochs.add_row(
            *map(str, (line.epoch, line.items, line.tax_h, line.tax_l, line.charged, line.rebates, bar))
        )
    console.print(epochs)
    operators = _table("operator", "storage fees", "waiting tax", "rebates")
    for own in found.operators:
        operators.add_row(own.name, f"{own.fees:,}", f"{own.tax:,}", f"{own.rebates:,}")
    console.print(operators)
    miners = _table("miner", "sealed", "earned", "paid out")
    for miner in found.miners:
        miners.add_row(miner.address[:10], str(miner.sealed), f"{miner.earned:,}", f"{miner.collected:,}")
    console.print(miners)


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, collapse_padding=True)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place in (0, len(headings) - 1) else "right")
    return table
