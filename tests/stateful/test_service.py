"""A whole installation against a dict: submit, cancel, seal, name, set aside and retrieve in any order.

Chain, store, gateway, API and miners are the embedded ones, asked through the SDK over a socket. Only the
miners do not run by themselves: the machine says when they look, so that an item can be cancelled before.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import write_weights
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from stateful.kit import run

from miners.node import LocalSource, MinerNode, StorePeer
from registry.cli.serving import in_background
from registry.config import Home, load_settings
from registry.errors import Conflict, NotFound
from registry.sdk import Client
from registry.storage.embedded import EmbeddedStore
from registry.wiring.backends import open_chain
from registry.wiring.consortium import create_consortium, make_keys
from registry.wiring.gateway import open_gateway
from registry.wiring.up import bind, url_of, write_client

ALIASES = ("champion", "shadow")
SEALED = ("sealed", "final")
_TURNS = 400


@dataclass(frozen=True)
class Installation:
    """What `twinledger up` starts, its miners still."""

    folder: Path
    client: Client
    miners: tuple[MinerNode, ...]

    def seal(self, version_ids: list[str]) -> None:
        """Let the miners look, each in its turn, until these are sealed."""
        for _ in range(_TURNS):
            for miner in self.miners:
                miner.step()
                miner.settle(10)
            if all(self.client.submission(version_id).state in SEALED for version_id in version_ids):
                return
        raise AssertionError(f"{version_ids} are not sealed after {_TURNS} turns")


@contextmanager
def installation(folder: Path) -> Iterator[Installation]:
    home = Home(folder / "home").make()
    settings = load_settings(home, {}, folder=home.root, options={"api.port": 0}).settings
    with ExitStack() as stack:
        listener = stack.enter_context(bind(settings.api.host, settings.api.port))
        keys = make_keys(home)
        link = open_chain(settings, home)
        stack.callback(link.close)
        deployment = create_consortium(home, settings, link, keys)
        gateway = open_gateway(home, settings, link, deployment, keys.gateway)
        stack.callback(gateway.close)
        gateway.start()
        stores = [
            stack.enter_context(EmbeddedStore(home.miner_store(n))) for n in range(1, len(keys.miners) + 1)
        ]
        peers = {key.address: StorePeer(store) for key, store in zip(keys.miners, stores, strict=True)}
        source = LocalSource(gateway.pool, gateway.store)
        miners = tuple(
            MinerNode(gateway.contracts, key, store, source, peers=peers)
            for key, store in zip(keys.miners, stores, strict=True)
        )
        for miner in miners:
            stack.callback(miner.close)
        stack.enter_context(in_background(gateway.service, settings, listener))
        write_client(home, deployment, url_of(settings, listener))
        yield Installation(folder, stack.enter_context(Client(home=home.root)), miners)


@dataclass
class Item:
    """What the model knows of one submission."""

    version_id: str
    model: str
    weights: Path
    state: str = "pending"
    number: int = 0
    status: str = "active"


class ServiceMachine(RuleBasedStateMachine):
    """The model: every submission with its state, and where each alias of each model points."""

    at: ClassVar[Installation]
    numbers: ClassVar[Iterator[int]] = count()

    def __init__(self) -> None:
        super().__init__()
        self.name = f"local/m{next(self.numbers)}"
        self.items: list[Item] = []
        self.aliases: dict[tuple[str, str], Item] = {}
        self.client = self.at.client

    def some(self, data: st.DataObject, *states: str) -> Item | None:
        found = [item for item in self.items if not states or item.state in states]
        return data.draw(st.sampled_from(found)) if found else None

    def sealed(self, model: str) -> list[Item]:
        """In order of their numbers."""
        found = [item for item in self.items if item.model == model and item.number]
        return sorted(found, key=lambda item: item.number)

    @rule(model=st.sampled_from("ab"), priority=st.booleans())
    def submit(self, model: str, priority: bool) -> None:
        seed = next(self.numbers)
        weights = write_weights(self.at.folder / "sent" / f"{seed}" / "twin.safetensors", seed)
        fee = "priority" if priority else "standard"
        status = self.client.submit(f"{self.name}{model}", weights, {}, fee=fee, wait=False)
        self.items.append(Item(status.version_id, f"{self.name}{model}", weights))

    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        """The same act is the same version, whatever has become of it."""
        item = self.some(data, "pending", "sealed")
        if item is not None:
            again = self.client.submit(item.model, item.weights, {}, wait=False)
            assert again.version_id == item.version_id

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        item = self.some(data, "pending", "sealed")
        if item is None:
            return
        if item.state == "sealed":
            with pytest.raises(Conflict):
                self.client.cancel(item.version_id)
            return
        self.client.cancel(item.version_id)
        item.state = "cancelled"

    @precondition(lambda self: any(item.state == "pending" for item in self.items))
    @rule()
    def seal(self) -> None:
        """All that wait are sealed; each model counts its versions on."""
        waiting = [item for item in self.items if item.state == "pending"]
        self.at.seal([item.version_id for item in waiting])
        before = {item.model: len(self.sealed(item.model)) for item in waiting}
        for item in waiting:
            receipt = self.client.wait(item.version_id, 60)
            item.state, item.number = "sealed", receipt.body.number
        for model, held in before.items():
            assert [item.number for item in self.sealed(model)] == list(
                range(1, 1 + held + sum(item.model == model for item in waiting))
            )

    @rule(data=st.data(), alias=st.sampled_from(ALIASES))
    def name_one(self, data: st.DataObject, alias: str) -> None:
        item = self.some(data)
        if item is None:
            return
        if item.number == 0:
            with pytest.raises(NotFound):
                self.client.alias(item.model, alias, item.version_id)
        elif item.status == "revoked":
            with pytest.raises(Conflict):
                self.client.alias(item.model, alias, item.version_id)
        else:
            self.client.alias(item.model, alias, item.version_id)
            self.aliases[item.model, alias] = item

    @rule(data=st.data(), revoke=st.booleans())
    def set_aside(self, data: st.DataObject, revoke: bool) -> None:
        """Only ever forward: active, deprecated, revoked."""
        item = self.some(data, "sealed")
        if item is None:
            return
        wanted, act = ("revoked", self.client.revoke) if revoke else ("deprecated", self.client.deprecate)
        order = ("active", "deprecated", "revoked")
        if order.index(wanted) <= order.index(item.status):
            with pytest.raises(Conflict):
                act(item.version_id, "because")
            return
        act(item.version_id, "because")
        item.status = wanted

    @rule(
        data=st.data(), model=st.sampled_from("ab"), form=st.sampled_from(("id", "number", "name", *ALIASES))
    )
    def retrieve(self, data: st.DataObject, model: str, form: str) -> None:
        """Each kind of reference means what the model says, and brings the bytes that were submitted."""
        full = self.name + model
        wanted = self._meant(data, full, form)
        reference = {"id": wanted.version_id if wanted else f"0x{'0' * 64}", "name": full}.get(form)
        if form == "number":
            reference = f"{full}@v{wanted.number if wanted else 1}"
        target = self.at.folder / "back" / str(next(self.numbers))
        asked = reference or f"{full}@{form}"
        if wanted is None:
            with pytest.raises(NotFound):
                self.client.retrieve(asked, target)
            return
        if wanted.status == "revoked":
            with pytest.raises(Conflict):
                self.client.retrieve(asked, target)
        found = self.client.retrieve(asked, target, allow_revoked=True)
        assert (found.version.version_id, found.version.status) == (wanted.version_id, wanted.status)
        assert (target / wanted.weights.name).read_bytes() == wanted.weights.read_bytes()

    def _meant(self, data: st.DataObject, model: str, form: str) -> Item | None:
        sealed = self.sealed(model)
        if form in ("id", "number"):
            return data.draw(st.sampled_from(sealed)) if sealed else None
        pointed = self.aliases.get((model, "champion" if form == "name" else form))
        if pointed is None and form == "name":
            return next((item for item in reversed(sealed) if item.status == "active"), None)
        return pointed

    @invariant()
    def agrees(self) -> None:
        for item in self.items:
            state = self.client.submission(item.version_id).state
            assert state in (SEALED if item.state == "sealed" else (item.state,)), item
        for model in {item.model for item in self.items if item.number}:
            found = [(v.version_id, v.number, v.status) for v in self.client.versions(model)]
            assert found == [(i.version_id, i.number, i.status) for i in self.sealed(model)]

    def teardown(self) -> None:
        """Nothing of this history waits in the next one."""
        for item in self.items:
            if item.state == "pending":
                self.client.cancel(item.version_id)


def test_the_service_is_a_dict_of_versions(tmp_path: Path) -> None:
    with installation(tmp_path) as found:

        class Here(ServiceMachine):
            at = found

        run(Here, examples=4, steps=14)
