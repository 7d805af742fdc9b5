"""Auction, contract, reputation and the other payees through a live gateway; money moves for each."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from rewards_world import (  # after the path that finds it
    EVALUATION,
    cast,
    parameters,
    plan,
    settled,
    train,
    update_of,
)

from registry.core.ids import keccak
from registry.core.signing import KeySigner
from registry.errors import Conflict, Malformed, NotAuthorized, NotFound, VerificationFailed
from registry.sdk import Client
from registry.sdk.owed import verify_owed
from registry.sdk.services import AwardPlan
from registry.wire_services import JobBody, WorthBody


def played(people, task, losses):
    """Begin, train and settle round 0, and wait out the window."""
    people.sponsor.tasks.begin(task.task, 0, EVALUATION)
    train(people, task, losses)
    people.sponsor.tasks.settle(task.task, 0)
    (round_,) = people.sponsor.tasks.show(task.task).progress
    people.wait_past(round_.claimable_at)


def coin(client):
    return int(client.account.show().coin)


def test_an_auction_is_committed_revealed_and_paid_by_vcg(live):
    people = cast(live, "bidders")
    task = people.sponsor.tasks.create(
        plan(people, "auction", unit=50, capacity=2, seats=3, bids_s=8, reveals_s=8)
    )
    bids = [[(10 + i, 40, 1), (1, 5, 2)] for i in range(3)]
    for device, own in zip(people.devices, bids, strict=True):
        device.tasks.bid(task.task, own)
    people.wait_past(task.bids_until)
    with pytest.raises(VerificationFailed):
        people.devices[0].tasks.reveal(task.task, [(9, 40, 1)])
    for device, own in zip(people.devices, bids, strict=True):
        device.tasks.reveal(task.task, own)
    people.wait_past(task.reveals_until)
    played(people, task, [10**5, 10**5, 10**5])
    before = [coin(d) for d in people.devices]
    for device in people.devices:
        device.tasks.claim(task.task)
    gained = [coin(d) - b for d, b in zip(people.devices, before, strict=True)]
    assert gained == [12, 12, 0]
    (owed,) = people.devices[0].tasks.owed(task.task)
    assert "at least the bid of 10" in verify_owed(owed).reasons[-1]
    people.sponsor.tasks.recompute(task.task, 0)
    people.close()


def test_a_contract_pays_the_chosen_item_and_who_chose_none_gets_nothing(live):
    people = cast(live, "choosers")
    menu = {"rewards": (10, 16), "costs": ((10, 20), (6, 12))}
    task = people.sponsor.tasks.create(plan(people, "contract", bids_s=6, **menu))
    people.devices[0].tasks.choose(task.task, 0)
    people.devices[1].tasks.choose(task.task, 1)
    with pytest.raises(Conflict):
        people.devices[1].tasks.choose(task.task, 0)
    people.wait_past(task.reveals_until)
    played(people, task, [10**5, 10**5, 10**5])
    before = [coin(d) for d in people.devices]
    people.sponsor.tasks.claim_all(task.task, 0)
    assert [coin(d) - b for d, b in zip(people.devices, before, strict=True)] == [10, 16, 0]
    people.close()


def test_a_bad_round_of_an_earlier_task_closes_the_gate_of_a_later_one(live):
    people = cast(live, "gated", devices=2)
    first = people.sponsor.tasks.create(plan(people))
    people.wait_past(first.reveals_until)
    people.sponsor.tasks.begin(first.task, 0, EVALUATION)
    copy = keccak(b"one and the same update")
    for device in people.devices:
        device.tasks.contribute(first.task, 0, copy, samples=1)
    people.sponsor.tasks.countersign(first.task, 0)
    for entry in people.sponsor.tasks.contributions(first.task, 0):
        for validator in people.validators:
            validator.tasks.measure(entry, evaluation=EVALUATION, losses=(10**6, 10**5), update=update_of(3))
    people.sponsor.tasks.settle(first.task, 0)
    rider = next(d for d in people.devices if d.tasks.owed(first.task)[0].leaf is None)
    second = settled(
        people, [10**5, 10**5], parameters=parameters(people, reputation_ppm=500_000, note="second")
    )
    (payouts,) = people.sponsor.tasks.payouts(second.task)
    said = {s.device: s.excluded for s in payouts.screened}
    assert said.pop(str(rider.address)) == "the device's reputation is below the task's threshold"
    assert list(said.values()) == [None]
    people.sponsor.tasks.recompute(second.task, 0)
    people.close()


def test_all_other_payees_are_offered_awarded_attested_and_paid(live):
    sponsor = live.client()
    names = ("aggregator", "host", "rival", "operator", "validator")
    roles = ("aggregator", "host", "host", "operator", "validator")
    clients = {}
    for name, role in zip(names, roles, strict=True):
        signer = KeySigner(keccak(f"payee {name}".encode()))
        sponsor.members.add(signer.address, "payees", [role])
        clients[name] = Client(live.url, signer, home=live.home.root)
    attestor = clients["validator"]
    moved = {}

    def earn(name, service):
        before = coin(clients[name])
        attestor.services.attest(service.service, 0, passed=True)
        sponsor.services.pay(service.service, 0)
        sponsor.services.end(service.service)
        moved[name] = coin(clients[name]) - before

    job = keccak(b"average the updates of task 1")
    offer = clients["aggregator"].services.offer(job, "aggregation", 40)
    plan_ = AwardPlan(str(attestor.address), reserve=10)
    earn("aggregator", sponsor.services.award(job, "aggregation", {offer.offer: 100}, plan_))
    rule = JobBody(
        requester=sponsor.address,
        kind="hosting",
        wanted="host the twin of cell 7",
        values=[WorthBody(provider=clients[name].address, value="90") for name in ("host", "rival")],
        bonus="7",
        attestor=attestor.address,
        deadline=sponsor.account.show().chain_time + 3600,
    )
    with pytest.raises(Malformed, match="its requester publishes it"):
        clients["rival"].services.publish(rule)
    job = sponsor.services.publish(rule)
    first = clients["host"].services.offer(job, "hosting", 30)
    second = clients["rival"].services.offer(job, "hosting", 55)
    assert clients["rival"].services.document(job) == rule
    with pytest.raises(NotAuthorized, match="to award"):
        clients["rival"].services.award_by_document(job)
    earn("host", sponsor.services.award_by_document(job))
    assert first.offer < second.offer
    job = keccak(b"20 units of rate in cell 7")
    posted = clients["operator"].services.offer(job, "connectivity", 3)
    earn("operator", sponsor.services.take(posted.offer, AwardPlan(str(attestor.address), units=20)))
    assert moved == {"aggregator": 90, "host": 55 + 7, "operator": 60}
    clients["rival"].services.withdraw(second.offer)
    with pytest.raises(NotFound):
        sponsor.services.show(10**6)
    paged_one_by_one(sponsor)
    for client in (sponsor, *clients.values()):
        client.close()


def paged_one_by_one(client):
    """The pages of one row each, put together, are the whole list: services first, then offers."""
    rows, cursor = [], {}
    while cursor is not None:
        page = client._session.http.get("/v1/services", {"limit": 1, **cursor})
        rows += page["items"] + page["offers"]
        cursor = {"cursor": page["next"]} if page["next"] else None
    whole = client.services.all()
    assert len(whole.items) >= 3
    assert rows == [row.model_dump(mode="json") for row in (*whole.items, *whole.offers)]
