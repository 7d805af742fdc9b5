"""The uplink's physics and federated averaging over it."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.demo.federated import Cohort, Schedule, average, cohort_of, federate, update_digest
from registry.demo.learner import draw_twin
from registry.demo.uplink import Uplink, loss_probability, send, throughput_bps
from registry.demo.world import BuiltinSource, plan_cells

CELL = plan_cells(1, "new-cell")[0]
TRACKS = BuiltinSource(mean_samples=80).tracks(CELL, 4, 7)
COHORT = cohort_of(CELL, TRACKS, Uplink())


def start():
    return draw_twin(np.random.default_rng(1))


def test_throughput_is_the_used_share_of_shannons_capacity():
    assert throughput_bps(Uplink(bandwidth_hz=1e6, capacity_share=0.5), 3.0) == pytest.approx(1e6)


def test_an_update_of_u_bits_takes_u_over_throughput_seconds():
    uplink = Uplink(bandwidth_hz=1e6, capacity_share=0.5, attempts=1)
    for seed in range(20):
        delivery = send(uplink, 20_000, 3.0, np.random.default_rng(seed))
        assert delivery.seconds == pytest.approx(20_000 / 1e6)


def test_losses_are_as_frequent_as_rayleigh_fading_makes_them():
    uplink = replace(Uplink(), attempts=1, deadline_s=100.0)
    rng = np.random.default_rng(9)
    lost = np.mean([not send(uplink, 1000, 5.0, rng).has_arrived for _ in range(4000)])
    assert lost == pytest.approx(loss_probability(uplink, 5.0), abs=0.025)


def test_a_lost_update_is_sent_again_and_each_attempt_takes_its_time():
    uplink = replace(Uplink(), deadline_s=100.0, attempts=10)
    found = [send(uplink, 20_000, 0.5, np.random.default_rng(s)) for s in range(60)]
    each = 20_000 / throughput_bps(uplink, 0.5)
    assert max(d.attempts for d in found) > 1
    assert all(d.seconds == pytest.approx(d.attempts * each) for d in found)


@given(snr=st.floats(1e-4, 1e6), bits=st.integers(1, 10**7), seed=st.integers(0, 2**32))
def test_no_delivery_outlasts_the_deadline_or_the_attempts(snr, bits, seed):
    delivery = send(Uplink(), bits, snr, np.random.default_rng(seed))
    assert delivery.seconds <= Uplink().deadline_s * (1 + 1e-9)
    assert delivery.attempts <= Uplink().attempts
    assert delivery.attempts > 0 or not delivery.has_arrived


def test_a_device_too_slow_for_the_round_is_absent():
    assert not send(Uplink(), 10**12, 100.0, np.random.default_rng(0)).has_arrived


def test_the_average_weighs_by_samples():
    assert average([np.array([0.0, 3.0]), np.array([4.0, 3.0])], [3, 1]) == pytest.approx([1.0, 3.0])


def test_an_update_is_named_by_its_float32_bytes():
    update = np.array([0.5, -1.25])
    assert update_digest(update) == "0x" + sha256(np.array([0.5, -1.25], "<f4").tobytes()).hexdigest()


def test_a_quarter_of_every_way_is_held_out_and_nobody_trains_on_it():
    total = sum(len(t.rsrp_dbm) for t in TRACKS)
    trained = sum(len(d.samples) for d in COHORT.devices)
    assert trained + len(COHORT.held_out) == total
    assert len(COHORT.held_out) == pytest.approx(total / 4, rel=0.05)


def test_training_is_a_function_of_its_arguments():
    first, again = (federate(start(), COHORT, Schedule(4), np.random.default_rng(2)) for _ in range(2))
    assert np.array_equal(first.twin.theta, again.twin.theta)
    assert first.rounds == again.rounds
    assert first.participants == again.participants


def test_training_lowers_the_held_out_error():
    training = federate(start(), COHORT, Schedule(8), np.random.default_rng(2))
    assert training.error_db < training.rounds[0].error_db / 1.5
    assert [r.number for r in training.rounds] == list(range(9))


def test_training_stops_at_the_target():
    full = federate(start(), COHORT, Schedule(8), np.random.default_rng(2))
    target = full.rounds[3].error_db
    short = federate(start(), COHORT, Schedule(8, target_db=target), np.random.default_rng(2))
    assert short.error_db <= target
    assert len(short.rounds) <= 4


def test_a_start_that_is_good_enough_needs_no_round():
    training = federate(start(), COHORT, Schedule(8, target_db=1e9), np.random.default_rng(2))
    assert len(training.rounds) == 1
    assert training.participants == ()


def test_a_round_in_which_nobody_arrives_changes_nothing():
    deaf = replace(Uplink(), deadline_s=1e-9)
    training = federate(start(), COHORT, Schedule(2, uplink=deaf), np.random.default_rng(2))
    assert np.array_equal(training.twin.theta, start().theta)
    assert training.rounds[1].absent == tuple(d.name for d in COHORT.devices)
    assert training.participants == ()


def test_participants_state_their_samples_and_rounds():
    training = federate(start(), COHORT, Schedule(3), np.random.default_rng(2))
    absences = sum(len(r.absent) for r in training.rounds)
    assert sum(p.rounds for p in training.participants) == 3 * len(COHORT.devices) - absences
    sizes = {d.name: len(d.samples) for d in COHORT.devices}
    assert all(p.samples == sizes[p.device] for p in training.participants)


def test_a_single_device_is_its_own_average():
    alone = Cohort(COHORT.devices[:1], COHORT.held_out)
    training = federate(start(), alone, Schedule(3), np.random.default_rng(2))
    assert len(training.participants) == 1
