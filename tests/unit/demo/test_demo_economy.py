"""Devices with unlike costs decide by the mechanism whether and how much to train."""

from dataclasses import replace

import numpy as np
import pytest

from incentives import stackelberg
from registry.demo.economy import (
    MECHANISMS,
    MOST_STEPS,
    STEPS_PER_NEPER,
    WEI_PER_UNIT,
    auction_channels,
    costs_of,
    employ,
    offer_contracts,
    post_rate,
)
from registry.demo.federated import Schedule, cohort_of, federate
from registry.demo.learner import draw_twin
from registry.demo.uplink import Uplink
from registry.demo.world import BuiltinSource, plan_cells

CELL = plan_cells(1, "new-cell")[0]
COHORT = cohort_of(CELL, BuiltinSource(mean_samples=120).tracks(CELL, 8, 7), Uplink())
COSTS = costs_of(COHORT, Uplink())
EACH = pytest.mark.parametrize("mechanism", sorted(MECHANISMS))


def test_devices_differ_in_cost():
    assert len({round(c.communication, 6) for c in COSTS}) == 8
    assert len({round(c.per_step, 6) for c in COSTS}) == 8
    assert all(c.slots >= 1 for c in COSTS)


@EACH
def test_nobody_hired_expects_less_than_its_cost(mechanism):
    for hired in MECHANISMS[mechanism](COSTS).hired:
        if mechanism == "stackelberg":
            continue  # steps are whole; the exact theta is checked below
        assert hired.expected >= hired.cost


def test_stackelberg_devices_answer_with_their_best_accuracy():
    hiring = post_rate(COSTS)
    assert len(hiring.hired) >= 4
    rate = hiring.terms.rate / WEI_PER_UNIT
    by_name = {c.device: c for c in COSTS}
    for hired in hiring.hired:
        own = by_name[hired.device]
        player = stackelberg.Device(own.communication, own.per_step * STEPS_PER_NEPER)
        theta = stackelberg.best_response(player, rate)
        assert stackelberg.utility(player, rate, theta) >= -1e-9
        assert hired.local_steps == min(MOST_STEPS, max(1, round(STEPS_PER_NEPER * np.log(1 / theta))))


def test_a_cheaper_processor_second_buys_more_steps():
    dear = post_rate([replace(c, per_step=c.per_step * 3) for c in COSTS])
    assert sum(h.local_steps for h in dear.hired) < sum(h.local_steps for h in post_rate(COSTS).hired)


def test_the_auction_respects_the_air_time_and_takes_one_plan_each():
    hiring = auction_channels(COSTS)
    slots = {c.device: c.slots for c in COSTS}
    names = [h.device for h in hiring.hired]
    assert len(names) == len(set(names))
    assert 0 < len(names) < len(COSTS)
    assert sum(slots[n] for n in names) <= hiring.terms.capacity


def test_contract_devices_choose_their_own_item():
    hiring = offer_contracts(COSTS)
    assert len(hiring.hired) == len(COSTS)
    assert all(kind == item for kind, item in hiring.terms.choices.values())
    assert len(set(hiring.terms.choices.values())) > 1


def test_devices_of_one_type_get_one_item():
    alike = [replace(c, samples=100) for c in COSTS]
    assert set(offer_contracts(alike).terms.choices.values()) == {(0, 0)}


@EACH
def test_only_the_hired_train_and_with_the_effort_they_chose(mechanism):
    hiring = MECHANISMS[mechanism](COSTS)
    employed = employ(COHORT, hiring)
    assert {d.name: d.local_steps for d in employed.devices} == {
        h.device: h.local_steps for h in hiring.hired
    }
    training = federate(draw_twin(np.random.default_rng(1)), employed, Schedule(4), np.random.default_rng(2))
    assert {p.device for p in training.participants} <= {h.device for h in hiring.hired}
    assert training.error_db < training.rounds[0].error_db


@EACH
def test_a_single_device_is_no_special_case(mechanism):
    assert len(MECHANISMS[mechanism](COSTS[:1]).hired) <= 1
