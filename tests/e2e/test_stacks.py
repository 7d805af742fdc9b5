"""The end-to-end suite: one story of a consortium, told on every stack of tests/stacks.py.

What is submitted through one gateway is retrieved and verified through the other, where there are two. The
parts of the story share one installation and stand in the order in which they happen.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from stacks import MINERS, PEOPLE, STACKS, Stack, command, signer

from registry.core import merkle
from registry.core.ids import parse_hex32
from registry.sdk import Client

sys.path.append(str(Path(__file__).parent))

from rewards_world import Cast, settled  # after the path that finds it
from stack_story import (
    BO,
    MEMBER,
    checkpoint,
    coin,
    reads_as_far_as,
    same_everywhere,
    sent,
    submit,
    sums,
    trust_of,
    working,
    x25519,
)

# What follows from the content, the provenance, the submitter and the salt, and from nothing of the stack:
# the VersionId (a struct hash), the CID of the weights' directory and that of the manifest.
KNOWN = {
    "local/twin": (
        "0x56393b157af9d0d1d9d84bb84e34a2c7f70bde046b29d7397fc65d34cb5dadfd",
        "bafybeid4yjwxcab363b6j4esfz6q66nmvth4fa7wxwesetjczgnaypcq7u",
        "bafkreib5qmkbqt4k4kmzliuazzd6edfpz3e5stkeknvsgtwds6pdurriom",
    ),
    "local/child": (
        "0x58e3612eb1e964a33978246ad2bc3aefb180e104b74d8a4b34b768a9347992dc",
        "bafybeic3alx76b4g6imilpom6w3wpdd3hij5knupjiahwc2xcbbqqnayu4",
        "bafkreiaxiogsmbys7zrtc6ydfq3nyb5zwv6wiaq4gwtteo273isuxu6uru",
    ),
}


@pytest.fixture(scope="module", params=STACKS)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One installation for all parts of the story."""
    with STACKS[request.param](tmp_path_factory.mktemp(request.param)) as made:
        yield made


def test_submitted_through_one_gateway_sealed_by_a_miner_retrieved_through_another(stack: Stack) -> None:
    receipt = submit(stack, "local/twin", 1)
    assert (receipt["model"], receipt["number"]) == ("local/twin", 1)
    reads_as_far_as(stack, receipt)
    out = stack.home.parent / "twin"
    found = stack.read("retrieve", "local/twin", "-o", out, "--cell", "beta/tower", key="bo")
    assert found["version_id"] == receipt["version_id"]
    assert (out / "weights.safetensors").read_bytes() == sent(stack, "local/twin")


def test_the_same_act_again_is_the_same_version_and_costs_nothing(stack: Stack) -> None:
    before = stack.do("account", "show")["balance"]
    again = submit(stack, "local/twin", 1)
    assert (again["version_id"], again["number"]) == (KNOWN["local/twin"][0], 1)
    assert stack.do("account", "show")["balance"] == before


def test_a_child_names_its_parent_and_both_gateways_know_the_lineage(stack: Stack) -> None:
    receipt = submit(stack, "local/child", 2, "--parent", "local/twin")
    reads_as_far_as(stack, receipt)
    kin = stack.read("lineage", "local/child", "--direction", "up")
    assert [(item["model"], item["depth"]) for item in kin] == [("local/child", 0), ("local/twin", 1)]
    assert stack.read("verify", "local/child")["version"] == receipt["version_id"]


@pytest.mark.parametrize("model", KNOWN)
def test_names_and_content_ids_are_the_same_on_every_stack(stack: Stack, model: str) -> None:
    assert same_everywhere(stack.do("show", model)) == KNOWN[model]
    assert same_everywhere(stack.read("show", model)) == KNOWN[model]


def test_an_alias_set_through_one_gateway_is_followed_by_the_other(stack: Stack) -> None:
    twin = KNOWN["local/twin"][0]
    stack.do("alias", "local/twin", "field-tested", twin)
    stack.eventually(lambda: stack.read("show", twin)["aliases"] == ["field-tested"])
    assert stack.read("show", "local/twin@field-tested")["version_id"] == twin


def test_the_manifest_is_searchable_on_both_gateways(stack: Stack) -> None:
    for ask in (stack.do, stack.read):
        found = {item["model"] for item in ask("search", "--tag", "every-stack")}
        assert found == {"local/twin", "local/child"}


def test_a_status_is_the_same_everywhere_and_revoked_needs_a_word_more(stack: Stack) -> None:
    child = KNOWN["local/child"][0]
    stack.do("deprecate", "local/child", "--reason", "superseded")
    stack.eventually(lambda: stack.read("show", child)["status"] == "deprecated")
    stack.do("revoke", child, "--reason", "trained on the wrong cell")
    stack.eventually(lambda: stack.read("show", child)["status"] == "revoked")
    out = stack.home.parent / "revoked"
    refused = command("retrieve", child, "-o", out, "--url", stack.reads, home=stack.home)
    assert refused.code == 4, refused.err
    assert not out.exists()
    stack.read("retrieve", child, "-o", out, "--allow-revoked")


def test_every_miner_is_on_the_roster(stack: Stack) -> None:
    roster = {miner["address"] for miner in stack.read("miner", "list") if miner["enrolled"]}
    assert roster == {signer(name).address for name in MINERS}


def test_the_doctor_finds_nothing_wrong_while_everything_runs(stack: Stack) -> None:
    def is_well(home: Path) -> bool:
        # A gateway pins a little later what was sealed through another.
        done = command("doctor", home=home)
        print(done.out, done.err)  # shown where it never comes to hold
        assert done.code in (0, 5, 6), "well, not well, or a node that does not answer in time"
        if done.code != 6:
            found = {finding["part"]: finding["result"] for finding in done.json}
            assert {"service", "chain"} <= set(found) and "not running" not in found["service"]
        return done.code == 0

    for home in stack.servers:
        stack.eventually(partial(is_well, home))


def test_what_is_not_sealed_yet_can_be_withdrawn_and_what_waits_is_sealed_in_its_turn(stack: Stack) -> None:
    # On a machine busy with other tests the first of two that wait may be on its way into a block when the
    # second one comes; then another pair is looked at.
    for seed in (10, 110, 210):
        # A large item spends the sealing budget of two epochs: what comes behind it stays pending so long.
        submit(stack, "local/large", seed, side=128)
        late = submit(stack, "local/late", seed + 1, "--no-wait")
        assert late["state"] == "pending"
        stack.do("submission", "cancel", late["version_id"])
        behind = [
            submit(stack, "local/patient", seed + 2, "--no-wait"),
            submit(stack, "beta/urgent", seed + 3, "--no-wait", "--fee", "priority", key="bo"),
        ]
        assert [item["state"] for item in behind] == ["pending"] * 2
        patient, urgent = (item["version_id"] for item in behind)
        withdrawn = partial(stack.do, "submission", "show", late["version_id"])
        stack.eventually(lambda shown=withdrawn: shown()["state"] == "cancelled")
        receipts = [stack.do("submission", "wait", patient), stack.do("submission", "wait", urgent, key="bo")]
        assert [receipt["version_id"] for receipt in receipts] == [patient, urgent]
        standard, priority = (stack.do("show", one) for one in (patient, urgent))
        assert (standard["fee_class"], priority["fee_class"]) == (0, 1)
        if standard["block"]["time"] > stack.do("submission", "show", urgent)["received"] + 5:
            break
    assert priority["block"]["number"] <= standard["block"]["number"]
    assert "local/late" not in {item["model"] for item in stack.do("ls")}


def test_a_private_model_comes_back_to_its_reader_and_to_nobody_else(stack: Stack) -> None:
    stack.do("key", "register", key="bo")
    stack.eventually(lambda: x25519(stack, BO) is not None)
    receipt = submit(stack, "local/secret", 20, "--private-to", BO)
    reads_as_far_as(stack, receipt)
    (file,) = stack.read("show", "local/secret")["manifest"]["files"]
    assert file["format"] == "encrypted"
    stack.read("retrieve", "local/secret", "-o", stack.home.parent / "secret", key="bo")
    clear = stack.home.parent / "secret" / "weights.safetensors"
    assert clear.read_bytes() == sent(stack, "local/secret")
    out = stack.home.parent / "no"
    refused = command(
        "retrieve", "local/secret", "-o", out, "--url", stack.reads, "--key", "cy", home=stack.home
    )
    assert (refused.code, out.exists()) == (4, False), refused.err


def test_devices_are_paid_for_a_round_that_anyone_recomputes(stack: Stack) -> None:
    names = ("development", *PEOPLE, *MINERS)
    clients = [stack.client(name) for name in names]
    sponsor, *others = clients
    people = Cast(stack, sponsor, others[: len(PEOPLE)], others[len(PEOPLE) :], clients)
    # Bidding has to end after the block that opens the task.
    task = settled(people, [200_000, 500_000], bids_s=4 if stack.name == "embedded" else 15)
    (owed,) = stack.do("task", "owed", task.task, key="bo")
    assert owed["leaf"]["amount"] == str(8 * 10**11)
    people.wait_past(owed["claimable_at"])
    before = coin(stack, "bo")
    stack.do("task", "claim", task.task, key="bo")
    assert before < coin(stack, "bo") <= before + 8 * 10**11
    (payouts,) = stack.do("task", "payouts", task.task)
    assert payouts["claimed"] == [BO]
    counted = others[1].tasks.recompute(task.task, 0)
    assert "0x" + counted.table.root.hex() == payouts["root"]
    stack.eventually(lambda: is_counted_by_the_other_gateway(stack, task.task, payouts["root"]))
    people.close()


def is_counted_by_the_other_gateway(stack: Stack, task: int, root: str) -> bool:
    """Which has gathered the payout file by then, and says what is owed from it."""
    told = command("task", "owed", task, "--url", stack.reads, "--key", "bo", home=stack.home)
    assert told.code in (0, 3, 6), told.err
    return told.code == 0 and [owed["root"] for owed in told.json] == [root]


def test_a_service_is_offered_awarded_attested_and_paid(stack: Stack) -> None:
    offer = stack.do("service", "offer", "host the twin of cell 7", "--price", 3 * 10**16, key="bo")["offer"]
    worth = ("--value", f"{offer}={10**17}", "--attestor", signer("cy").address)
    service = stack.do("service", "award", "host the twin of cell 7", *worth)["service"]
    stack.do("service", "attest", service, "--epoch", 0, "--passed", key="cy")
    before = coin(stack, "bo")
    stack.do("service", "pay", service, "--epoch", 0)
    # A lone bidder wins at the reserve of 0: its wage is what the job is worth.
    assert coin(stack, "bo") - before == 10**17
    stack.do("service", "end", service)
    assert [one["held"] for one in stack.do("service", "list")["items"]] == ["0"]


def test_who_is_sealed_after_others_waited_pays_a_tax_that_comes_back_to_them(stack: Stack) -> None:
    seeds = count(100)

    def is_given_back() -> bool:
        # What waited in an epoch is taxed in the one after the next; epochs end where there is work.
        submit(stack, "beta/taxed", next(seeds), "--fee", "priority", key="bo")
        return sums(stack, BO).get("waiting_tax", 0) < 0 < sums(stack, MEMBER).get("rebate", 0)

    stack.eventually(is_given_back)
    closed = [epoch for epoch in stack.read("fees", "epochs") if epoch["rebates"]]
    assert sum(int(epoch["tax"]) for epoch in closed) >= sum(int(e["rebates"]["paid"]) for e in closed) > 0


def test_who_what_when_and_where_is_answered_and_proved_offline(stack: Stack) -> None:
    twin, child, case = KNOWN["local/twin"][0], KNOWN["local/child"][0], stack.home.parent / "case.zip"
    told = [moment["kind"] for moment in stack.read("audit", "timeline", "--model", "local/twin", key="bo")]
    assert {"registered", "retrieval"} <= set(told)
    seen = stack.read("audit", "trace", BO, key="bo")["sightings"]
    assert "beta/tower" in {one["cell"] for one in seen}
    reached = stack.read("audit", "impact", twin, key="bo")
    assert [one["version"] for one in reached["versions"]] == [twin, child]
    assert BO in {one["who"] for one in reached["deliveries"]}
    stack.read("audit", "export", "--version", twin, "-o", case, key="bo")
    report = command("audit", "verify", case, "--trust", trust_of(stack), home=stack.home.parent)
    assert report.code == 0 and report.json["pinned"], report.err
    raw = bytearray(case.read_bytes())
    raw[len(raw) // 2] ^= 1
    case.write_bytes(raw)
    assert command("audit", "verify", case, home=stack.home.parent).code == 5


def test_a_promise_was_kept_and_a_changed_one_convicts_nobody(stack: Stack) -> None:
    out, path = stack.home.parent / "promised", stack.home.parent / "promise.json"
    promise = stack.read("retrieve", "local/twin", "-o", out, key="bo")["promise"]
    trust = trust_of(stack)

    def finding() -> str:
        path.write_text(json.dumps(promise))
        return str(stack.read("audit", "accuse", path, "--trust", trust)["finding"])

    stack.eventually(lambda: finding() == "kept")
    path.write_text(json.dumps(promise | {"entry_sha256": "0x" + "ab" * 32}))
    told = command("audit", "accuse", path, "--trust", trust, "--url", stack.reads, home=stack.home)
    assert told.code == 5, told.out


def test_both_gateways_grow_one_chain_log_each_from_the_chain(stack: Stack) -> None:
    with stack.client() as one, Client(stack.reads, home=stack.home) as other:
        heads = {at: checkpoint(at) for at in (one, other)}
        shorter, longer = sorted((one, other), key=lambda at: heads[at].size)
        old, new = heads[shorter], heads[longer]
        assert old.origin == new.origin and old.size > 50
        proof = [parse_hex32(node) for node in longer.audit.consistency("chain", old.size, new.size)]
        merkle.verify_consistency(old.size, new.size, old.root, new.root, proof)


def test_work_under_way_is_no_finding(stack: Stack) -> None:
    with working(stack, "local/busy"):
        for home in dict.fromkeys(stack.servers):
            for look in (("doctor",), ("audit", "fsck")):
                done = command(*look, home=home)
                assert done.code == 0, [finding for finding in done.json if finding["wrong"]]


def test_every_miner_is_audited_and_paid(stack: Stack) -> None:
    def paid() -> list[Any]:
        return [miner for miner in stack.read("miner", "list") if int(miner["collected"])]

    stack.eventually(lambda: len(paid()) == len(MINERS))
    assert all(miner["audited"] > 0 and miner["failed"] == 0 for miner in paid())


def test_every_epoch_follows_from_the_chain_alone(stack: Stack) -> None:
    at = ("--rpc", stack.rpc) if stack.rpc else ()
    done = command("fees", "recompute", *at, home=stack.home)
    assert done.code == 0, done.err
    assert done.json["differences"] == [] and done.json["epochs"] >= 3
