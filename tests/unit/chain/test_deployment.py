"""Deploying the contracts, deployment.json, and telling whether a chain holds what the file says."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry.chain.blocks import Genesis
from registry.chain.deploy import FeeSettings, Settings, connection, deploy
from registry.chain.deployment import (
    DeployedContract,
    Deployment,
    deployment_json,
    parse_deployment,
    verify_deployment,
)
from registry.chain.embedded import EmbeddedChain
from registry.chain.encoding import decode_log, encode_call, event_topic, read
from registry.chain.sender import Sender
from registry.core.ids import Address, Role, keccak
from registry.core.signing import KeySigner
from registry.errors import ChainUnavailable, Malformed, NotAuthorized, NotFound, VerificationFailed

COUNCIL = [KeySigner(bytes([n]) * 32) for n in (1, 2, 3)]
OUTSIDER = KeySigner(b"\x09" * 32)
GENESIS = Genesis(1337, tuple((key.address, 10**24) for key in (*COUNCIL, OUTSIDER)))
SETTINGS = Settings(fees=FeeSettings(slots_per_epoch=8, max_item_bytes=1 << 20))


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedChain]:
    link = EmbeddedChain(tmp_path_factory.mktemp("chain"), GENESIS)
    yield link
    link.close()


@pytest.fixture(scope="module")
def deployment(chain: EmbeddedChain) -> Deployment:
    return deploy(chain, COUNCIL[0], SETTINGS, [COUNCIL[0].address], 1)


def ask(chain: EmbeddedChain, deployment: Deployment, contract: str, function: str, *args: object) -> object:
    return read(chain, contract, deployment.address(contract), function, args)[0]


def test_all_contracts_are_there_connected_and_verified(chain: EmbeddedChain, deployment: Deployment) -> None:
    assert deployment.names == ("Consortium", "TwinRegistry", "StorageMarket", "RewardPool", "AuditAnchor")
    verify_deployment(chain, deployment)
    connected = ("twinRegistry", "storageMarket", "rewardPool", "auditAnchor")
    for name, function in zip(deployment.names[1:], connected, strict=True):
        assert ask(chain, deployment, "Consortium", function) == deployment.address(name)
    assert ask(chain, deployment, "TwinRegistry", "params")[0] == 8


def test_the_file_reads_back_as_it_was_written(deployment: Deployment) -> None:
    document = deployment_json(deployment)
    assert parse_deployment(document) == deployment
    assert set(document["contracts"]) == {
        *("consortium", "twin_registry", "storage_market", "reward_pool", "audit_anchor")
    }


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": "1337"},
        {"chain_id": -1},
        {"start_block": True},
        {"genesis_hash": "0x12"},
        {"genesis_hash": 5},
        {"contracts": []},
        {"contracts": {"treasury": {}}},
        {"contracts": {"consortium": {"address": "0x12", "code_hash": "0x" + "00" * 32}}},
        {"contracts": {"consortium": {"address": "0x" + "11" * 20}}},
        {"extra": 1},
    ],
)
def test_a_file_with_a_wrong_member_is_malformed(deployment: Deployment, change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        parse_deployment(deployment_json(deployment) | change)


def test_other_code_at_an_address_fails_verification(chain: EmbeddedChain, deployment: Deployment) -> None:
    wrong = DeployedContract(deployment.address("AuditAnchor"), keccak(b"other code"))
    with pytest.raises(VerificationFailed, match="AuditAnchor"):
        verify_deployment(
            chain, replace(deployment, contracts={**deployment.contracts, "AuditAnchor": wrong})
        )


def test_a_deployment_on_another_chain_is_unavailable_here(
    chain: EmbeddedChain, deployment: Deployment
) -> None:
    for other in (replace(deployment, chain_id=1), replace(deployment, genesis_hash=bytes(32))):
        with pytest.raises(ChainUnavailable):
            verify_deployment(chain, other)


def test_a_contract_that_was_not_deployed_is_not_found(deployment: Deployment) -> None:
    with pytest.raises(NotFound):
        replace(deployment, contracts={}).address("TwinRegistry")


def test_a_larger_council_connects_by_approving_the_deployers_proposal(chain: EmbeddedChain) -> None:
    made = deploy(chain, COUNCIL[0], SETTINGS, [key.address for key in COUNCIL], 2)
    consortium = made.address("Consortium")
    nobody = Address("0x" + "0" * 40)
    assert ask(chain, made, "Consortium", "twinRegistry") == nobody
    Sender(chain, COUNCIL[1]).send(consortium, encode_call("Consortium", "approve", [1]))
    assert ask(chain, made, "Consortium", "twinRegistry") == made.address("TwinRegistry")


def test_a_deployer_outside_the_council_leaves_the_connection_to_it(chain: EmbeddedChain) -> None:
    made = deploy(chain, OUTSIDER, SETTINGS, [COUNCIL[0].address], 1)
    consortium = made.address("Consortium")
    propose = encode_call("Consortium", "propose", (consortium, connection(made), "connect"))
    with pytest.raises(NotAuthorized, match=r"not council .*caller 0x"):
        Sender(chain, OUTSIDER).send(consortium, propose)
    Sender(chain, COUNCIL[0]).send(consortium, propose)
    assert ask(chain, made, "Consortium", "auditAnchor") == made.address("AuditAnchor")


def test_a_refused_read_is_raised_as_its_class(chain: EmbeddedChain, deployment: Deployment) -> None:
    with pytest.raises(NotFound, match="unknown proposal"):
        read(
            *(chain, "Consortium", deployment.address("Consortium"), "approve", [999]),
            sender=COUNCIL[0].address,
        )


def test_events_come_out_with_names_and_values(chain: EmbeddedChain, deployment: Deployment) -> None:
    consortium, member = deployment.address("Consortium"), OUTSIDER.address
    admit = encode_call("Consortium", "admit", (member, "lab", int(Role.SUBMITTER)))
    receipt = Sender(chain, COUNCIL[0]).send(
        consortium, encode_call("Consortium", "propose", (consortium, admit, "welcome"))
    )
    names = {deployment.address(name): name for name in deployment.names}
    events = [decode_log(names[log.address], log) for log in receipt.logs]
    admitted = next(event for event in events if event.name == "MemberAdmitted")
    assert admitted.contract == "Consortium"
    assert admitted.args["member"] == member
    assert admitted.args["namespace_"] == "lab"
    assert admitted.args["roles"] == Role.SUBMITTER
    assert admitted.log.topics[0] == event_topic("Consortium", "MemberAdmitted")
    with pytest.raises(VerificationFailed, match="no event"):
        decode_log("AuditAnchor", admitted.log)


def test_values_that_do_not_fit_their_types_are_malformed() -> None:
    for args in ([-1], ["x"], [], [1, 2], [2**128]):
        with pytest.raises(Malformed):
            encode_call("TwinRegistry", "withdraw", args)
    with pytest.raises(Malformed, match="0 functions"):
        encode_call("TwinRegistry", "no_such_function", [])


def test_the_default_settings_are_taken_by_the_contracts(tmp_path: Path) -> None:
    link = EmbeddedChain(tmp_path, GENESIS)
    verify_deployment(link, deploy(link, COUNCIL[0], Settings(), [COUNCIL[0].address], 1))
    link.close()
