"""The contracts behave alike on every chain: deployed, sealed into, refusing, proving."""

import secrets
from typing import Any

import pytest

from registry.chain.deploy import Settings, deploy
from registry.chain.deployment import Deployment, verify_deployment
from registry.chain.encoding import decode_log, encode_call, encode_seal, read
from registry.chain.refusals import rejection
from registry.chain.sender import Sender
from registry.core.ids import FeeClass, Role, keccak
from registry.core.receipt_proof import open_receipt_proof
from registry.core.signing import KeySigner
from registry.core.version import Domain, Submission, Version, submission_digest
from registry.errors import FeeTooLow, NotAuthorized, Unauthenticated

Rig = Any  # conftest.Rig: a link, and a sender that can pay


@pytest.fixture(scope="module")
def deployment(rig: Rig) -> Deployment:
    """A council of one, who is also the only miner and submitter, with escrow."""
    made = deploy(rig.link, rig.key, Settings(), [rig.key.address], 1)
    roles = int(Role.SUBMITTER | Role.MINER)
    for contract, function, args in (
        ("Consortium", "admit", (rig.key.address, "local", roles)),
        ("StorageMarket", "setPrices", ([rig.key.address], [1])),
    ):
        call = encode_call(contract, function, args)
        propose = encode_call("Consortium", "propose", (made.address(contract), call, "for a test"))
        rig.rich.send(made.address("Consortium"), propose)
    registry = made.address("TwinRegistry")
    rig.rich.send(registry, encode_call("TwinRegistry", "deposit", [rig.key.address]), 10**15)
    return made


def signed(rig: Rig, made: Deployment, key: KeySigner) -> tuple[Submission, bytes]:
    now = rig.link.head().time
    digests = [secrets.token_bytes(32) for _ in range(2)]
    version = Version(1, keccak(b"twin"), *digests, (), 100, bytes(32), rig.key.address)
    submission = Submission(version, FeeClass.STANDARD, 1000, now - 60, now + 3600)
    domain = Domain(rig.link.chain_id, made.address("TwinRegistry"))
    return submission, key.sign_hash(submission_digest(domain, submission))


def test_a_deployment_verifies_on_the_chain_that_has_it(rig: Rig, deployment: Deployment) -> None:
    verify_deployment(rig.link, deployment)


def test_a_batch_is_sealed_and_its_bad_item_named(rig: Rig, deployment: Deployment) -> None:
    good, bad = signed(rig, deployment, rig.key), signed(rig, deployment, KeySigner(b"\x08" * 32))
    batch = [good, bad, signed(rig, deployment, rig.key)]
    data = encode_seal([s for s, _ in batch], [signature for _, signature in batch])
    receipt = rig.rich.send(deployment.address("TwinRegistry"), data)
    names = {deployment.address(name): name for name in deployment.names}
    events = [decode_log(names[log.address], log) for log in receipt.logs]
    sealed = [event.args["versionId"] for event in events if event.name == "Registered"]
    assert sealed == [batch[0][0].version.id, batch[2][0].version.id]
    refused = next(event for event in events if event.name == "Rejected")
    assert refused.args["index"] == 1
    assert type(rejection(refused.args["why"])) is Unauthenticated
    proof = rig.link.receipt_proof(receipt.tx_hash)
    proven = open_receipt_proof(proof.header, proof.tx_index, proof.nodes, receipt.block_hash)
    assert [(p.topics, p.data) for p in proven.logs] == [(log.topics, log.data) for log in receipt.logs]


def test_a_refusal_is_the_same_class_everywhere(rig: Rig, deployment: Deployment) -> None:
    registry = deployment.address("TwinRegistry")
    too_much = encode_call("TwinRegistry", "withdraw", [10**30])
    with pytest.raises(FeeTooLow, match="insufficient escrow"):
        rig.rich.send(registry, too_much)
    with pytest.raises(FeeTooLow, match="insufficient escrow"):
        rig.rich.send(registry, too_much, gas=200_000)  # mined, and its reason found afterwards
    stranger = rig.newcomer()
    with pytest.raises(NotAuthorized):
        Sender(rig.link, stranger).send(registry, encode_seal(*zip(signed(rig, deployment, rig.key))))
    assert read(rig.link, "TwinRegistry", registry, "currentSlot")[0] >= 0
