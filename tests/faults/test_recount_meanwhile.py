"""`twinledger fees recompute` on a chain that goes on while it is read, and takes blocks back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from meanwhile import meanwhile
from nodes import RICH, Front, ask, create_probe, words

from registry.chain.deploy import Settings as Terms
from registry.chain.deploy import deploy
from registry.chain.deployment import Deployment, deployment_json
from registry.chain.encoding import encode_call, read
from registry.chain.rpc import RpcChain
from registry.chain.sender import Sender
from registry.chain.signed import Draft, sign_draft
from registry.config import Home, Settings
from registry.core.ids import Role
from registry.errors import ChainReorganised, ChainUnavailable
from registry.wiring.recounting import Recounting, recount_chain


class Payer:
    """Pays into an escrow, a block for each payment."""

    def __init__(self, url: str, link: RpcChain, deployment: Deployment) -> None:
        self.url, self.link = url, link
        self.registry = deployment.address("TwinRegistry")
        self.paid = 0

    def pay(self) -> None:
        fields = {"chain_id": self.link.chain_id, "nonce": self.link.nonce(RICH.address), "gas": 200_000}
        payload = encode_call("TwinRegistry", "deposit", [RICH.address])
        draft = Draft(fee=self.link.fee_policy(), to=self.registry, value=1, payload=payload, **fields)
        self.link.send(sign_draft(draft, RICH))
        self.paid += 1

    def held(self) -> int:
        (account,) = read(self.link, "TwinRegistry", self.registry, "account", [RICH.address])
        return int(account[0])

    def take_back(self) -> None:
        """Another newest block takes the place of two."""
        ask(self.url, "anvil_reorg", 2, [])
        self.pay()


class Between(Front):
    """Before the node answers as of a block, something happens: as often as is left."""

    left = 0
    happens: Callable[[], None]

    def own(self, call: dict[str, Any]) -> dict[str, Any] | None:
        if call["method"] == "eth_call" and isinstance(call["params"][1], dict) and self.left:
            type(self).left -= 1
            self.happens()
        return None


@pytest.fixture
def payer(engine: Callable[[str], Any], connect: Callable[..., RpcChain], tmp_path: Path) -> Payer:
    url = engine("anvil").start()["TWINLEDGER_ANVIL"]
    link = connect(url, timeout_s=60.0)
    deployment = deploy(link, RICH, Terms(), [RICH.address], 1)
    admitted = encode_call("Consortium", "admit", [RICH.address, "local", int(Role.SUBMITTER)])
    proposal = [deployment.address("Consortium"), admitted, "the first"]
    Sender(link, RICH).send(deployment.address("Consortium"), encode_call("Consortium", "propose", proposal))
    Home(tmp_path / "home").make()
    (tmp_path / "home/deployment.json").write_text(json.dumps(deployment_json(deployment)))
    return Payer(url, link, deployment)


def recounted(url: str, folder: Path) -> Recounting:
    return recount_chain(Home(folder / "home"), Settings(), url)


def test_what_is_paid_while_it_is_read_is_no_difference(payer: Payer, tmp_path: Path) -> None:
    with meanwhile(payer.pay):
        found = [recounted(payer.url, tmp_path) for _ in range(20)]
    assert [counted.recount.differences for counted in found] == [[]] * 20
    assert found[-1].block > found[0].block, "the chain went on"
    assert recounted(payer.url, tmp_path).recount.balance(RICH.address) == payer.paid


def test_blocks_that_are_taken_back_while_it_is_read_are_read_again(payer: Payer, tmp_path: Path) -> None:
    for _ in range(3):
        payer.pay()
    Between.behind, Between.happens = payer.url, staticmethod(payer.take_back)
    with Between.standing() as front:
        for times in (1, 4):
            Between.left = times
            counted = recounted(front, tmp_path)
            assert counted.recount.differences == []
            assert counted.recount.balance(RICH.address) == payer.held()
        Between.left = 1_000
        with pytest.raises(ChainReorganised, match="was replaced while its state was read"):
            recounted(front, tmp_path)


def test_a_state_is_that_of_the_block_which_was_asked_for(payer: Payer) -> None:
    sender = Sender(payer.link, RICH)
    contract = create_probe(sender)
    sender.send(contract, words(1, 7))
    state = payer.link.after(payer.link.head())
    sender.send(contract, words(1, 8))
    assert [at.call(contract, words(0)) for at in (state, payer.link)] == [words(7), words(8)]
    ask(payer.url, "anvil_reorg", 2, [])
    with pytest.raises(ChainReorganised, match="was replaced while its state was read"):
        state.call(contract, words(0))


def test_a_node_that_has_forgotten_the_state_is_unavailable(
    engine: Callable[[str], Any], connect: Callable[..., RpcChain]
) -> None:
    url = engine("anvil").start("--args=--prune-history=1")["TWINLEDGER_ANVIL"]
    link = connect(url, timeout_s=60.0)
    contract = create_probe(Sender(link, RICH))
    state = link.after(link.head())
    ask(url, "anvil_mine", hex(300))
    with pytest.raises(ChainUnavailable, match="does not answer as of block 1"):
        state.call(contract, words(0))
