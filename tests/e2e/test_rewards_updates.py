"""Updates encrypted to the aggregator and the validators, opened in a challenge, and what that shows."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

sys.path.append(str(Path(__file__).parent))

from rewards_world import EVALUATION, cast, plan, update_of  # after the path that finds it

from incentives.averaging import average, average_digest
from incentives.payouts import Scope
from incentives.settlement import Record, settle
from registry.cli.app import run
from registry.core.ids import keccak, parse_hex32, sha256, to_address
from registry.core.sealed_update import Handover, handover_digest
from registry.core.signing import KeySigner
from registry.core.version import Domain
from registry.errors import Conflict, NotAuthorized, NotFound
from registry.sdk.updates import values_of
from registry.storage.unixfs import import_file
from registry.wire import parse_body
from registry.wire_payouts import PayoutFile, payout_file
from registry.wire_tasks import agreement_of
from registry.wire_updates import handover_body

# A window in which a busy machine challenges in time.
UNHURRIED = {"window_s": 300, "deadline_s": 3_600}


def begun(live, label, updates):
    """A task whose devices committed to these updates and handed them over; all readers have keys."""
    people = cast(live, label, devices=len(updates))
    for validator in people.validators:
        validator.members.make_key()
    task = people.sponsor.tasks.create(plan(people, **UNHURRIED))
    people.wait_past(task.reveals_until)
    people.sponsor.tasks.begin(task.task, 0, EVALUATION)
    for samples, (device, update) in enumerate(zip(people.devices, updates, strict=True), start=1):
        device.tasks.contribute(task.task, 0, sha256(update.tobytes()), samples=samples)
        device.tasks.hand_over(task.task, 0, update.tobytes())
    return people, task.task


def measured(people, task, stated=None):
    """Countersign and measure; `stated` are updates whose norm and sketch validators state instead."""
    entries = people.sponsor.tasks.countersign(task, 0)
    for validator in people.validators:
        for entry in entries:
            opened = np.frombuffer(validator.tasks.open_update(entry), dtype="<f4")
            shown = (stated or {}).get(entry.contribution.device, opened)
            validator.tasks.measure(entry, evaluation=EVALUATION, losses=(10**6, 400_000), update=shown)
    return entries


def challenged(people, task, judge_by):
    """Freeze the round; validators disclose; answers what the openings show."""
    with pytest.raises(Conflict, match="only in a challenge"):
        people.validators[0].tasks.disclose(task, 0)
    device = people.devices[0].address
    people.sponsor.tasks.challenge(task, 0, "open the updates", account=device)
    openings = [v.tasks.disclose(task, 0) for v in people.validators[:judge_by]]
    return people.devices[-1].tasks.judge(task, 0, openings)


def mean_of(people, updates):
    rows = {d.address: (i, u) for i, (d, u) in enumerate(zip(people.devices, updates, strict=True), start=1)}
    return average(rows)


def test_an_honest_round_opens_to_what_was_stated(live):
    updates = [update_of(seed) for seed in range(3)]
    people, task = begun(live, "sealing", updates)
    with pytest.raises(NotAuthorized, match="is not encrypted to a key"):
        people.devices[1].tasks.open_update(people.devices[1].tasks.contributions(task, 0)[0])
    measured(people, task)
    mean = people.sponsor.tasks.averaged(task, 0)
    assert mean.tobytes() == mean_of(people, updates).tobytes()
    people.sponsor.tasks.settle(task, 0, average=average_digest(mean))
    found = challenged(people, task, judge_by=1)
    assert found.findings == () and len(found.opened) == 3
    (payouts,) = people.sponsor.tasks.payouts(task, 0)
    assert "0x" + found.settlement.table.root.hex() == payouts.root
    people.close()


def test_a_wrong_average_and_a_dropped_device_show_in_the_opened_updates(live):
    updates = [update_of(seed) for seed in range(3)]
    people, task = begun(live, "twisting", updates)
    measured(people, task)
    honest = parse_body(PayoutFile, people.sponsor.http.get(f"/v1/tasks/{task}/settlement", {"round": 0}))
    kept = honest.record
    dropped = kept.entries[0].contribution.device
    poorer = Record(kept.evaluation, kept.entries[1:], kept.standing)
    tasks = people.sponsor.tasks
    agreement = agreement_of(tasks.show(task), tasks.parameters(task))
    scope = Scope(honest.chain_id, to_address(honest.pool), task, 0)
    lie = payout_file(settle(scope, agreement, poorer), poorer)
    wrong = "0x" + average_digest(mean_of(people, updates) * np.float32(2)).hex()
    tasks.settle_by(lie.model_copy(update={"average_sha256": wrong}))
    found = challenged(people, task, judge_by=1)
    missing, twisted = found.findings
    assert missing.startswith(dropped) and "signed for it and left it out" in missing
    assert f"the aggregator states the average {wrong}" in twisted
    people.sponsor.tasks.decide(task, 0, upheld=True, reason=twisted)
    assert tasks.show(task).progress[0].state == "begun"
    tasks.settle(task, 0, average=average_digest(tasks.averaged(task, 0)))
    assert len(tasks.payouts(task, 0)[0].leaves) == 3
    people.close()


def test_validators_who_hide_a_copy_or_an_outlier_are_named(live):
    copy = update_of(0) + np.float32(1e-4) * update_of(9)
    updates = [update_of(0), copy, update_of(2), update_of(3) * np.float32(50)]
    people, task = begun(live, "hiding", updates)
    stated = {
        people.devices[0].address: update_of(11),
        people.devices[1].address: update_of(12),
        people.devices[3].address: update_of(13),
    }
    measured(people, task, stated)
    people.sponsor.tasks.settle(task, 0)
    found = challenged(people, task, judge_by=2)
    said = "\n".join(found.findings)
    assert said.count("states norm") == 3 * 3
    assert "is counted, and by the opened updates left out because its norm is far above the median" in said
    assert "left out because it points where an earlier update points" in said
    people.close()


def test_what_does_not_open_is_not_countersigned_and_not_taken_for_another_device(live):
    people, task = begun(live, "mixing", [update_of(0), update_of(1)])
    first, second = people.devices
    stolen = first.tasks.handed(task, 0)[0].handover
    body = {"handover": stolen.model_dump() | {"device": str(second.address)}}
    signature = first.tasks.handed(task, 0)[0].signature
    with pytest.raises(NotAuthorized, match="is handed over by"):
        second.http.post(f"/v1/tasks/{task}/updates", body | {"signature": signature})
    hand_over_bytes(first, KeySigner(keccak(b"mixing device 0")), task, b"no sealed update at all")
    signed = people.sponsor.tasks.countersign(task, 0)
    assert [e.contribution.device for e in signed] == [second.address]
    with pytest.raises(NotFound, match="did not contribute"):
        people.sponsor.tasks.hand_over(task, 0, b"\0\0\0\0")
    people.close()


def hand_over_bytes(client, signer, task, raw):
    """A device signs for bytes which are no sealed update of its own."""
    cid = import_file([raw]).cid
    client.http.put(f"/v1/content/{cid}", raw, "application/octet-stream")
    mine = next(e for e in client.tasks.contributions(task, 0) if e.contribution.device == signer.address)
    given = Handover(task, 0, signer.address, parse_hex32(mine.contribution.update_sha256), cid)
    domain = Domain(client.deployment.chain_id, client.deployment.address("TwinRegistry"))
    signature = signer.sign_hash(handover_digest(domain, given))
    body = {"handover": handover_body(given).model_dump(), "signature": "0x" + signature.hex()}
    client.http.post(f"/v1/tasks/{task}/updates", body)


def test_a_round_by_commands_alone_is_opened_and_judged(live, tmp_path, capsys):
    people = cast(live, "typed", devices=0)
    for validator in people.validators:
        validator.members.make_key()
    task = people.sponsor.tasks.create(plan(people, **UNHURRIED))
    people.wait_past(task.reveals_until)
    number, own = str(task.task), people.sponsor.address
    (tmp_path / "evaluation").write_bytes(b"rows that nobody trained on")
    (tmp_path / "mine.safetensors").write_bytes(save({"w": update_of(5)}))

    def typed(*words, exits=0):
        code = run(["task", *words, "--home", str(live.home.root), "--json"])
        found = capsys.readouterr()
        assert code == exits, found.err
        return json.loads(found.out)

    typed("begin", number, "--evaluation", str(tmp_path / "evaluation"))
    typed("contribute", number, "--update", str(tmp_path / "mine.safetensors"), "--samples", "9")
    assert typed("updates", number, "-o", str(tmp_path / "opened")) == {
        str(own): (tmp_path / "mine.safetensors").stat().st_size
    }
    (opened,) = (tmp_path / "opened").iterdir()
    assert opened.read_bytes() == (tmp_path / "mine.safetensors").read_bytes()
    typed("average", number, "-o", str(tmp_path / "none"), exits=3)
    # The aggregator's own contribution carries both of its signatures at once.
    (entry,) = people.sponsor.tasks.contributions(task.task, 0)
    evaluation = sha256(b"rows that nobody trained on")
    for validator in people.validators:
        shown = values_of(validator.tasks.open_update(entry))
        validator.tasks.measure(entry, evaluation=evaluation, losses=(10**6, 10**5), update=shown)
    typed("average", number, "-o", str(tmp_path / "average"))
    assert (tmp_path / "average").read_bytes() == update_of(5).tobytes()
    typed("settle", number, "--average", str(tmp_path / "mine.safetensors"))
    typed("disclose", number, "-o", str(tmp_path / "keys.json"), exits=4)
    typed("challenge", number, "--round", "0", "--reason", "that is no average")
    typed("disclose", number, "-o", str(tmp_path / "keys.json"))
    said = typed("judge", number, "--openings", str(tmp_path / "keys.json"), exits=5)
    assert "the aggregator states the average" in said["detail"]
    people.close()
