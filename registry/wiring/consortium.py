"""The development consortium that `twinledger up` creates in an empty home.

Three miners, and one member with every member role in namespace `local`, who is the council too. Each step
looks at what is there first, so an interrupted creation is simply run again.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from registry.chain.base import ChainLink
from registry.chain.deploy import FeeSettings, StorageSettings, deploy
from registry.chain.deploy import Settings as DeploySettings
from registry.chain.deployment import Deployment, deployment_json
from registry.chain.encoding import encode_call
from registry.chain.gateway import Contracts
from registry.chain.sender import Sender
from registry.config import Fees, Home, Settings, Storage
from registry.core.ids import Address, Role
from registry.core.signing import KeySigner
from registry.keystore import (
    create_development_keystore,
    new_x25519,
    next_x25519,
    open_keystore,
    write_private,
)
from registry.wiring.backends import find_deployment, fund, funded

MINERS = 3
NAMESPACE = "local"
MEMBER_ROLES = (
    Role.SUBMITTER
    | Role.SPONSOR
    | Role.DEVICE
    | Role.AGGREGATOR
    | Role.VALIDATOR
    | Role.HOST
    | Role.OPERATOR
    | Role.AUDITOR
    | Role.WITNESS
    | Role.GATEWAY
)
_ESCROW = 10**24


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a development consortium."""

    member: KeySigner
    gateway: KeySigner
    miners: tuple[KeySigner, ...]

    @property
    def addresses(self) -> list[Address]:
        """All of them."""
        return [key.address for key in (self.member, self.gateway, *self.miners)]


def make_keys(home: Home) -> Keys:
    """Open the development keys, making those that are missing; they are funded before the first block."""
    keys = Keys(
        member=_key(home.keys / "development.json"),
        gateway=_key(home.keys / "gateway.json"),
        miners=tuple(_key(home.keys / f"miner-{n}.json") for n in range(1, MINERS + 1)),
    )
    if not funded(home):
        fund(home, keys.addresses)
    return keys


def create_consortium(home: Home, settings: Settings, link: ChainLink, keys: Keys) -> Deployment:
    """Deploy, admit and fund, as far as it is not done yet; HOME/deployment.json is written last but one."""
    if home.deployment.exists():
        deployment = find_deployment(settings, home)
    else:
        deployment = deploy(link, keys.member, deploy_settings(settings), [keys.member.address], 1)
        write_deployment(home.deployment, deployment)
    contracts = Contracts(link, deployment)
    _populate(contracts, settings, keys)
    _register_x25519(home, contracts, keys.member)
    return deployment


def write_deployment(path: Path, deployment: Deployment) -> None:
    """Write deployment.json."""
    write_private(path, json.dumps(deployment_json(deployment), indent=2) + "\n")


def deploy_settings(settings: Settings) -> DeploySettings:
    """Constructor values from the settings' sections `fees` and `storage`."""
    return DeploySettings(fees=_fees(settings.fees), storage=_storage(settings.storage))


def _populate(contracts: Contracts, settings: Settings, keys: Keys) -> None:
    sender = Sender(contracts.link, keys.member)
    wanted = [
        (keys.member.address, NAMESPACE, MEMBER_ROLES),
        (keys.gateway.address, NAMESPACE, Role.GATEWAY | Role.WITNESS),
        *((miner.address, NAMESPACE, Role.MINER) for miner in keys.miners),
    ]
    for address, namespace, roles in wanted:
        if not contracts.account(address).namespace_id:
            _propose(sender, contracts, "Consortium", "admit", [address, namespace, int(roles)])
    if not contracts.read("StorageMarket", "roster")[1]:
        miners = [miner.address for miner in keys.miners]
        prices = [settings.storage.price] * len(miners)
        _propose(sender, contracts, "StorageMarket", "setPrices", [miners, prices])
    if not contracts.account(keys.member.address).balance:
        payload = encode_call("TwinRegistry", "deposit", [keys.member.address])
        Sender(contracts.link, keys.member).send(contracts.address("TwinRegistry"), payload, _ESCROW)


def _register_x25519(home: Home, contracts: Contracts, member: KeySigner) -> None:
    """Give the member a key for private models, so that they work at once."""
    if contracts.read("Consortium", "keyOf", member.address)[0]:
        return
    public = new_x25519(next_x25519(home.keys, member.address))
    payload = encode_call("Consortium", "registerKey", [public])
    Sender(contracts.link, member).send(contracts.address("Consortium"), payload)


def _propose(sender: Sender, contracts: Contracts, target: str, function: str, args: list[object]) -> None:
    call = encode_call(target, function, args)
    payload = encode_call(
        "Consortium", "propose", [contracts.address(target), call, "development consortium"]
    )
    sender.send(contracts.address("Consortium"), payload)


def _key(path: Path) -> KeySigner:
    return open_keystore(path) if path.exists() else create_development_keystore(path)


def _fees(fees: Fees) -> FeeSettings:
    return FeeSettings(
        slots_per_epoch=fees.slots_per_epoch,
        slot_s=fees.slot_s,
        eta=fees.eta,
        run_cap=fees.run_cap,
        eps=fees.eps,
        g_h=fees.g_h,
        g_l=fees.g_l,
        tau0_h=fees.tau0_h,
        tau0_l=fees.tau0_l,
        slot_bytes=fees.slot_bytes,
        turn_slots=fees.turn_slots,
        grace_slots=fees.grace_slots,
        post_slots=fees.post_slots,
        max_item_bytes=fees.max_item_bytes,
    )


def _storage(storage: Storage) -> StorageSettings:
    return StorageSettings(audit_slots=storage.audit_slots, retention_epochs=storage.retention_epochs)
