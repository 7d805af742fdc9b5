"""Tasks through a live gateway, as sponsors, devices, validators and an aggregator use it."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from rewards_world import EVALUATION, cast, plan, settled, train, update_of  # after the path that finds it

from incentives.payouts import Scope
from incentives.settlement import Record, settle
from registry.core.ids import sha256, to_address
from registry.errors import Conflict, Expired, FeeTooLow, NotAuthorized, NotFound, VerificationFailed
from registry.index.tasks import TaskIndex
from registry.sdk.owed import load_owed, save_owed, verify_owed
from registry.service.tasks_rounds import Rounds
from registry.wire import parse_body
from registry.wire_payouts import PayoutFile, payout_file
from registry.wire_tasks import agreement_of


def test_devices_are_paid_for_accuracy_and_verify_it_offline(live, tmp_path):
    people = cast(live, "paid")
    task = settled(people, [200_000, 500_000, 10**6])
    ana = people.devices[0]
    (owed,) = ana.tasks.owed(task.task)
    assert owed.leaf is not None and int(owed.leaf.amount) == 8 * 10**11
    save_owed([owed], tmp_path / "owed.json")
    (kept,) = load_owed(tmp_path / "owed.json")
    found = verify_owed(kept)
    assert found.amount == 8 * 10**11 and len(found.reasons) == 5
    people.wait_past(owed.claimable_at)
    before = int(ana.account.show().coin)
    ana.tasks.claim(task.task)
    assert int(ana.account.show().coin) - before == 8 * 10**11
    people.sponsor.tasks.claim_all(task.task, 0)
    (payouts,) = people.sponsor.tasks.payouts(task.task)
    assert sorted(payouts.claimed) == sorted(str(d.address) for d in people.devices)
    people.close()


def test_a_changed_document_says_what_does_not_follow(live):
    people = cast(live, "changed")
    task = settled(people, [200_000, 500_000])
    (owed,) = people.devices[0].tasks.owed(task.task)
    assert owed.leaf is not None
    richer = owed.model_copy(update={"leaf": owed.leaf.model_copy(update={"amount": str(10**12)})})
    with pytest.raises(VerificationFailed, match="is not under this root"):
        verify_owed(richer)
    other = owed.model_copy(update={"root": "0x" + "11" * 32})
    with pytest.raises(VerificationFailed, match="not by the root"):
        verify_owed(other)
    with pytest.raises(VerificationFailed, match="parameters"):
        verify_owed(
            owed.model_copy(update={"parameters": owed.parameters.model_copy(update={"near_bits": 1})})
        )
    people.close()


def test_a_round_recomputes_bit_for_bit(live):
    people = cast(live, "recount")
    task = settled(people, [300_000, 700_000])
    found = people.devices[1].tasks.recompute(task.task, 0)
    (payouts,) = people.sponsor.tasks.payouts(task.task)
    assert "0x" + found.table.root.hex() == payouts.root
    people.close()


def test_copies_and_outliers_are_left_out_for_a_stated_reason(live):
    people = cast(live, "riders", devices=4)
    task = people.sponsor.tasks.create(plan(people))
    people.wait_past(task.reveals_until)
    people.sponsor.tasks.begin(task.task, 0, EVALUATION)
    updates = [update_of(0), update_of(0), update_of(2), update_of(3) * 50]
    noisy = updates[0] + 1e-4 * update_of(9)
    updates[2] = noisy
    for device, update in zip(people.devices, updates, strict=True):
        device.tasks.contribute(task.task, 0, sha256(update.tobytes()), samples=5)
    for entry in people.sponsor.tasks.countersign(task.task, 0):
        place = [str(d.address) for d in people.devices].index(entry.contribution.device)
        for validator in people.validators:
            validator.tasks.measure(
                entry, evaluation=EVALUATION, losses=(10**6, 400_000), update=updates[place]
            )
    people.sponsor.tasks.settle(task.task, 0)
    (payouts,) = people.sponsor.tasks.payouts(task.task)
    reasons = {s.device: s.excluded for s in payouts.screened}
    said = [reasons[str(d.address)] for d in people.devices]
    assert sum(reason is None for reason in said) == 1
    assert {reason for reason in said if reason} == {
        "another device sent the same bytes before",
        "it points where an earlier update points",
        "its norm is far above the median",
    }
    excluded = next(d for d in people.devices if reasons[str(d.address)])
    (owed,) = excluded.tasks.owed(task.task)
    assert owed.leaf is None and verify_owed(owed).amount == 0
    people.close()


class Behind(TaskIndex):
    """A projection that has not read of any settlement yet."""

    def events(self, task, names=()):
        return [event for event in super().events(task, names) if event.name != "RoundSettled"]


def test_a_round_that_was_settled_in_a_block_not_read_yet_is_still_open(live):
    people = cast(live, "ahead")
    task = settled(people, [200_000]).task
    service, engine = live.running.gateway.service, live.running.gateway.service.rounds._index._engine
    read, unread = (
        Rounds(live.running.gateway.contracts, index, service.tasks).show(task).progress[0]
        for index in (TaskIndex(engine), Behind(engine))
    )
    assert (read.state, unread.state) == ("settled", "begun")
    assert read.root is not None and unread.root is None
    people.close()


def test_late_duplicate_and_unsigned_contributions_are_refused(live):
    people = cast(live, "late")
    task = people.sponsor.tasks.create(plan(people))
    device = people.devices[0]
    with pytest.raises(Conflict, match="has not begun"):
        device.tasks.contribute(task.task, 0, bytes(32), samples=1)
    people.wait_past(task.reveals_until)
    people.sponsor.tasks.begin(task.task, 0, EVALUATION)
    entry = device.tasks.contribute(task.task, 0, bytes(32), samples=1)
    assert device.tasks.contribute(task.task, 0, bytes(32), samples=1) == entry, "the first one stands"
    with pytest.raises(Conflict, match="already contributed"):
        device.tasks.contribute(task.task, 0, b"\1" * 32, samples=1)
    body = {
        "contribution": entry.contribution.model_dump() | {"samples": 2},
        "signature": entry.device_signature,
    }
    with pytest.raises(NotAuthorized, match="neither its device nor the aggregator"):
        device.http.post(f"/v1/tasks/{task.task}/contributions", body)
    with pytest.raises(NotAuthorized, match="is not one of the validators"):
        device.tasks.measure(entry, evaluation=EVALUATION, losses=(5, 1), update=update_of(1))
    with pytest.raises(VerificationFailed, match="evaluation set"):
        people.validators[0].tasks.measure(entry, evaluation=bytes(32), losses=(5, 1), update=update_of(1))
    people.sponsor.tasks.settle(task.task, 0)
    with pytest.raises(Expired, match="is settled"):
        people.devices[1].tasks.contribute(task.task, 0, bytes(32), samples=1)
    people.close()


def test_a_device_cannot_state_its_own_accuracy(live):
    people = cast(live, "selfish", devices=2)
    own = people.devices[0]
    validators = [own, *people.validators[:2]]
    people.sponsor.members.add(own.address, "selfish-devices", ["device", "validator"])
    given = plan(people)
    voices = [str(v.address) for v in validators]
    chosen = given.parameters.model_copy(update={"validators": voices})
    task = people.sponsor.tasks.create(plan(people, parameters=chosen))
    people.wait_past(task.reveals_until)
    people.sponsor.tasks.begin(task.task, 0, EVALUATION)
    own.tasks.contribute(task.task, 0, sha256(update_of(1).tobytes()), samples=1)
    (entry,) = people.sponsor.tasks.countersign(task.task, 0)
    for voice in validators:
        voice.tasks.measure(entry, evaluation=EVALUATION, losses=(10, 1), update=update_of(1))
    people.sponsor.tasks.settle(task.task, 0)
    (payouts,) = people.sponsor.tasks.payouts(task.task)
    assert payouts.screened[0].excluded == "fewer than three independent validators measured it"
    assert payouts.leaves == []
    people.close()


def test_a_task_that_cannot_pay_or_whose_parameters_nobody_holds_is_not_opened(live):
    people = cast(live, "poor", devices=0)
    with pytest.raises(FeeTooLow, match="escrow too small"):
        people.sponsor.tasks.create(plan(people, escrow=1))
    with pytest.raises(NotFound):
        people.sponsor.tasks.show(10**6)
    people.close()


def test_a_dropped_device_proves_it_and_the_council_voids_the_root(live):
    people = cast(live, "dropped")
    task = people.sponsor.tasks.create(plan(people, window_s=300, deadline_s=3_600))
    people.wait_past(task.reveals_until)
    people.sponsor.tasks.begin(task.task, 0, EVALUATION)
    train(people, task, [100_000, 200_000, 300_000])
    found = people.sponsor.http.get(f"/v1/tasks/{task.task}/settlement", {"round": 0})
    honest = parse_body(PayoutFile, found)
    kept = honest.record
    poorer = Record(kept.evaluation, kept.entries[1:], kept.standing)
    dropped = next(d for d in people.devices if d.address == kept.entries[0].contribution.device)
    agreement = agreement_of(people.sponsor.tasks.show(task.task), people.sponsor.tasks.parameters(task.task))
    scope = Scope(honest.chain_id, to_address(honest.pool), honest.task, honest.round)
    people.sponsor.tasks.settle_by(payout_file(settle(scope, agreement, poorer), poorer))
    assert dropped.tasks.owed(task.task) == []
    entry = dropped.http.get(f"/v1/tasks/{task.task}/contributions", {"round": 0})["items"]
    assert any(e["aggregator_signature"] for e in entry if e["contribution"]["device"] == dropped.address)
    reason = "my countersigned contribution is missing"
    people.sponsor.tasks.challenge(task.task, 0, reason, account=dropped.address)
    assert people.sponsor.tasks.show(task.task).progress[0].state == "frozen"
    people.sponsor.tasks.decide(task.task, 0, upheld=True, reason="it is countersigned")
    assert people.sponsor.tasks.show(task.task).progress[0].state == "begun"
    people.sponsor.tasks.settle(task.task, 0)
    (owed,) = dropped.tasks.owed(task.task)
    assert owed.leaf is not None
    people.close()
