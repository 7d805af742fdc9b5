"""A round seen by a program that knows the pages and nothing of our code: eth_account, eth_abi, raw JSON."""

import sys
from pathlib import Path

from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

sys.path.append(str(Path(__file__).parent))

from rewards_world import EVALUATION, cast, plan, update_of  # after the path that finds it

_CONTRIBUTION = [
    ("uint64", "task"),
    ("uint32", "round"),
    ("address", "device"),
    ("bytes32", "updateSha256"),
    ("uint64", "samples"),
    ("string", "cell"),
    ("uint64", "issuedAt"),
]
_NAMES = ("task", "round", "device", "update_sha256", "samples", "cell", "issued_at")
_LEAF = ["uint256", "address", "uint64", "uint32", "address", "uint256", "bytes32"]


def contribution(client, key, task, digest, issued_at):
    """A device's signed contribution as it goes over the wire, made with eth_account alone."""
    account = Account.from_key(key)
    values = (task, 0, account.address, digest, 7, "", issued_at)
    domain = {
        "name": "TwinLedger",
        "version": "1",
        "chainId": client.deployment.chain_id,
        "verifyingContract": client.deployment.address("TwinRegistry"),
    }
    types = {"Contribution": [{"name": name, "type": kind} for kind, name in _CONTRIBUTION]}
    message = {name: value for (_, name), value in zip(_CONTRIBUTION, values, strict=True)}
    signable = encode_typed_data(domain_data=domain, message_types=types, message_data=message)
    signature = account.sign_message(signable).signature
    body = dict(zip(_NAMES, values, strict=True)) | {"update_sha256": "0x" + digest.hex()}
    return {"contribution": body, "signature": "0x" + bytes(signature).hex()}


def root_by(scope, account, amount, detail, proof):
    """Where a proof leads, by protocol.md 5."""
    encoded = keccak(encode(["uint256"] * len(detail), detail))
    node = keccak(keccak(encode(_LEAF, [*scope, account, amount, encoded])))
    for text in proof:
        sibling = bytes.fromhex(text[2:])
        node = keccak(min(node, sibling) + max(node, sibling))
    return "0x" + node.hex()


def test_contributions_signed_by_any_wallet_are_paid_by_leaves_anyone_can_check(live):
    people = cast(live, "foreign")
    task = people.sponsor.tasks.create(plan(people)).task
    people.wait_past(people.sponsor.tasks.show(task).reveals_until)
    people.sponsor.tasks.begin(task, 0, EVALUATION)
    http, now = people.sponsor.http, people.chain_time()
    for i in range(3):
        digest = keccak(f"update {i}".encode())
        given = contribution(people.sponsor, keccak(f"foreign device {i}".encode()), task, digest, now)
        http.post(f"/v1/tasks/{task}/contributions", given)
    for entry in people.sponsor.tasks.countersign(task, 0):
        place = [str(d.address) for d in people.devices].index(entry.contribution.device)
        for validator in people.validators:
            losses = (3_000_000, 1_000_001)
            validator.tasks.measure(entry, evaluation=EVALUATION, losses=losses, update=update_of(place))
    people.sponsor.tasks.settle(task, 0)
    (settled,) = http.get(f"/v1/tasks/{task}/payouts")["items"]
    theta = 10**6 * 1_000_001 // 3_000_000
    scope = (people.sponsor.deployment.chain_id, people.sponsor.deployment.address("RewardPool"), task, 0)
    for device in people.devices:
        (owed,) = http.get(f"/v1/tasks/{task}/payouts/{device.address}/proof")["items"]
        assert owed["leaf"] == {
            "account": str(device.address),
            "amount": str(10**12 * (10**6 - theta) // 10**6),
            "detail": [str(10**12), str(theta)],
        }
        amount, detail = int(owed["leaf"]["amount"]), [10**12, theta]
        assert root_by(scope, device.address, amount, detail, owed["proof"]) == settled["root"]
    people.close()
