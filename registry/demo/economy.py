"""Who trains, and how much: devices with unlike costs answer one of the three reward mechanisms.

A device's costs follow from the radio and its processor: A from the seconds its update is on air (u/Γ), B
from the seconds that one unit of ln 1/θ takes on its own rows. What a mechanism asks of it (an accuracy, a
plan, a processor frequency) becomes a number of local steps, and the devices that decline do not train at
all. Money is in units here and in whole wei where it leaves this module.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, log
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from incentives import contract_theory, stackelberg
from incentives.auction import Bid, Outcome, vcg
from incentives.contract_theory import IntegerMenu, integer_menu
from registry.demo.federated import BITS_PER_PARAMETER, Cohort
from registry.demo.learner import SIZES, parameter_count
from registry.demo.uplink import Uplink, throughput_bps

WEI_PER_UNIT = 10**15
UNITS_PER_SECOND = 10.0
CYCLES_PER_ROW = 6e4
PROCESSORS_HZ = (1.0e9, 1.4e9, 1.8e9, 2.4e9)
STEPS_PER_NEPER = 4.0
MOST_STEPS = 12
PLANS_STEPS = (3, 8)
SLOT_S = 0.02
CAPACITY_SHARE = 0.6
LEADER = stackelberg.Server(beta=60.0, a=0.3, b=0.0, delta=10.0, theta_max=0.8, reward_max=40.0, k_min=1)


@dataclass(frozen=True, slots=True)
class Costs:
    """What one round costs a device: money per update sent, money per local step, and its rows."""

    device: str
    communication: float
    per_step: float
    samples: int
    slots: int

    def of(self, steps: int) -> float:
        """The whole cost of a round with so many local steps."""
        return self.communication + steps * self.per_step


@dataclass(frozen=True, slots=True)
class PostedRate:
    """Stackelberg: wei per unit of accuracy gained."""

    rate: int


@dataclass(frozen=True, slots=True)
class Auctioned:
    """VCG: every bid and what came of them."""

    bids: tuple[Bid, ...]
    outcome: Outcome
    capacity: int


@dataclass(frozen=True, slots=True)
class Offered:
    """Contract theory: the menu in wei, and each device's (type, item)."""

    menu: IntegerMenu
    choices: Mapping[str, tuple[int, int]]


Terms: TypeAlias = PostedRate | Auctioned | Offered


@dataclass(frozen=True, slots=True)
class Hired:
    """A device that takes part, its effort, its cost and what it expects, in wei."""

    device: str
    local_steps: int
    cost: int
    expected: int


@dataclass(frozen=True, slots=True)
class Hiring:
    """What a mechanism decided."""

    mechanism: str
    terms: Terms
    hired: tuple[Hired, ...]


def to_wei_up(units: float) -> int:
    """A cost in wei, rounded against whoever must bear it."""
    return ceil(units * WEI_PER_UNIT)


def costs_of(cohort: Cohort, uplink: Uplink) -> tuple[Costs, ...]:
    """Each device's costs; processors differ by device in a fixed order."""
    found = []
    for i, device in enumerate(cohort.devices):
        air_s = BITS_PER_PARAMETER * parameter_count(SIZES) / throughput_bps(uplink, device.uplink_snr)
        step_s = len(device.samples) * CYCLES_PER_ROW / PROCESSORS_HZ[i % len(PROCESSORS_HZ)]
        found.append(
            Costs(
                device=device.name,
                communication=UNITS_PER_SECOND * air_s,
                per_step=UNITS_PER_SECOND * step_s,
                samples=len(device.samples),
                slots=ceil(air_s / SLOT_S),
            )
        )
    return tuple(found)


def post_rate(costs: Sequence[Costs]) -> Hiring:
    """Stackelberg: the best rate that brings half of the devices; each picks its accuracy."""
    players = [stackelberg.Device(c.communication, c.per_step * STEPS_PER_NEPER) for c in costs]
    posted = stackelberg.post_reward(replace(LEADER, k_min=(len(costs) + 1) // 2), players)
    rate = int(posted.reward * WEI_PER_UNIT)
    hired = []
    for hire in posted.hired:
        steps = min(MOST_STEPS, max(1, round(STEPS_PER_NEPER * log(1.0 / hire.theta))))
        own = costs[hire.index]
        cost = (1.0 + hire.theta) * own.of(steps)
        hired.append(Hired(own.device, steps, to_wei_up(cost), int(hire.payment * WEI_PER_UNIT)))
    return Hiring("stackelberg", PostedRate(rate), tuple(hired))


def auction_channels(costs: Sequence[Costs]) -> Hiring:
    """VCG: each device bids its true cost for a light and a full plan; air time is scarce."""
    plans = [(own, steps) for own in costs for steps in PLANS_STEPS]
    rows = sum(own.samples for own in costs)
    bids = []
    for own, steps in plans:
        worth = 20.0 * own.samples * len(costs) / rows * (1.0 - exp(-steps / STEPS_PER_NEPER))
        bids.append(Bid(own.device, int(worth * WEI_PER_UNIT), to_wei_up(own.of(steps)), own.slots))
    capacity = max(1, int(CAPACITY_SHARE * sum(own.slots for own in costs)))
    outcome = vcg(bids, capacity)
    hired = tuple(
        Hired(bids[k].user, plans[k][1], bids[k].claim, outcome.payments[bids[k].user])
        for k in outcome.winners
    )
    return Hiring("auction", Auctioned(tuple(bids), outcome, capacity), hired)


def offer_contracts(costs: Sequence[Costs]) -> Hiring:
    """Contract theory: devices of up to three types (by their rows) choose from one menu."""
    rows = np.array([own.samples for own in costs], dtype=np.float64)
    edges = np.quantile(rows, (1 / 3, 2 / 3))
    raw = np.searchsorted(edges, rows)
    kinds = {int(k): i for i, k in enumerate(np.unique(raw))}
    types = [float(rows[raw == k].mean() / rows.mean()) for k in kinds]
    shares = [float(np.mean(raw == k)) for k in kinds]
    menu = contract_theory.publish(replace(contract_theory.EXAMPLE, devices=len(costs)), types, shares)
    offer = integer_menu(menu, WEI_PER_UNIT)
    choices, hired = {}, []
    for own, k in zip(costs, raw, strict=True):
        kind = kinds[int(k)]
        gains = [reward - cost for reward, cost in zip(offer.rewards, offer.costs[kind], strict=True)]
        # Its own item is among the best by design; taking it breaks the tie towards truth.
        item = kind if gains[kind] == max(gains) else gains.index(max(gains))
        choices[own.device] = (kind, item)
        steps = min(MOST_STEPS, max(1, round(2.0 * menu.frequencies[item])))
        hired.append(Hired(own.device, steps, offer.costs[kind][item], offer.rewards[item]))
    return Hiring("contract", Offered(offer, MappingProxyType(choices)), tuple(hired))


MECHANISMS: Mapping[str, Callable[[Sequence[Costs]], Hiring]] = MappingProxyType(
    {"stackelberg": post_rate, "auction": auction_channels, "contract": offer_contracts}
)


def employ(cohort: Cohort, hiring: Hiring) -> Cohort:
    """The cohort of those who were hired, each with the effort it chose."""
    steps = {h.device: h.local_steps for h in hiring.hired}
    devices = tuple(replace(d, local_steps=steps[d.name]) for d in cohort.devices if d.name in steps)
    return Cohort(devices, cohort.held_out)
