"""Where the contracts are: `deployment.json`, and whether a chain really holds them there.

    {"chain_id": 1337, "genesis_hash": "0x…", "start_block": 1,
     "contracts": {"twin_registry": {"address": "0x…", "code_hash": "0x…"}, …}}

A code hash is the keccak of the code on the chain, immutables filled in, so it pins the constructor's
values too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from registry.chain.base import ChainReads
from registry.core.ids import Address, hex32, keccak, parse_hex32, to_address
from registry.errors import ChainUnavailable, Malformed, NotFound, VerificationFailed

KEY_OF: Mapping[str, str] = MappingProxyType(
    {
        "Consortium": "consortium",
        "TwinRegistry": "twin_registry",
        "StorageMarket": "storage_market",
        "RewardPool": "reward_pool",
        "AuditAnchor": "audit_anchor",
    }
)
_NAME_OF = {key: name for name, key in KEY_OF.items()}


@dataclass(frozen=True, slots=True)
class DeployedContract:
    """One contract on the chain."""

    address: Address
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class Deployment:
    """The contracts of one consortium on one chain, by the names of contracts/src."""

    chain_id: int
    genesis_hash: bytes
    start_block: int
    contracts: Mapping[str, DeployedContract]

    @property
    def names(self) -> tuple[str, ...]:
        """The contracts that are deployed."""
        return tuple(self.contracts)

    def address(self, name: str) -> Address:
        """Where a contract is; NotFound when the deployment goes without it."""
        if name not in self.contracts:
            raise NotFound(f"this deployment has no {name}", hint="compare deployment.json")
        return self.contracts[name].address


def deployment_json(deployment: Deployment) -> dict[str, Any]:
    """The deployment as deployment.json and `GET /v1/deployment` write it."""
    return {
        "chain_id": deployment.chain_id,
        "genesis_hash": hex32(deployment.genesis_hash),
        "start_block": deployment.start_block,
        "contracts": contracts_json(deployment.contracts),
    }


def contracts_json(contracts: Mapping[str, DeployedContract]) -> dict[str, Any]:
    """The `contracts` member, which trust.json shares."""
    return {
        KEY_OF[name]: {"address": held.address, "code_hash": hex32(held.code_hash)}
        for name, held in contracts.items()
    }


def parse_deployment(document: object) -> Deployment:
    """Read what `deployment_json` writes; Malformed names the member that is wrong."""
    fields = _object(document, "deployment", {"chain_id", "genesis_hash", "start_block", "contracts"})
    return Deployment(
        chain_id=_number(fields["chain_id"], "chain_id"),
        genesis_hash=parse_hex32(_text(fields["genesis_hash"], "genesis_hash")),
        start_block=_number(fields["start_block"], "start_block"),
        contracts=parse_contracts(fields["contracts"]),
    )


def parse_contracts(document: object) -> Mapping[str, DeployedContract]:
    """Read what `contracts_json` writes."""
    if not isinstance(document, dict) or not set(document) <= set(_NAME_OF):
        raise Malformed(f"contracts is an object with some of {', '.join(_NAME_OF)}")
    return MappingProxyType({_NAME_OF[key]: _contract(value, key) for key, value in document.items()})


def verify_deployment(link: ChainReads, deployment: Deployment) -> None:
    """Check chain id, genesis and the code at every address.

    Another chain is ChainUnavailable, because the right one is elsewhere; other code is VerificationFailed.
    """
    if link.chain_id != deployment.chain_id or link.genesis_hash != deployment.genesis_hash:
        raise ChainUnavailable(
            f"the deployment is on chain {deployment.chain_id} with genesis"
            f" {hex32(deployment.genesis_hash)}, but this is chain {link.chain_id}"
            f" with {hex32(link.genesis_hash)}",
            hint="compare deployment.json with the chain settings of `twinledger config show`",
        )
    for name, held in deployment.contracts.items():
        found = keccak(link.code(held.address))
        if found != held.code_hash:
            raise VerificationFailed(
                f"{name} at {held.address} has code hash {hex32(found)}, expected {hex32(held.code_hash)}"
            )


def _contract(document: object, key: str) -> DeployedContract:
    fields = _object(document, key, {"address", "code_hash"})
    return DeployedContract(
        to_address(_text(fields["address"], "address")), parse_hex32(_text(fields["code_hash"], "code_hash"))
    )


def _object(document: object, name: str, keys: set[str]) -> dict[str, object]:
    if not isinstance(document, dict) or set(document) != keys:
        raise Malformed(f"{name} is an object of {', '.join(sorted(keys))}")
    return document


def _number(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise Malformed(f"{name} is {value!r}, which is no whole number")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{name} is {value!r}, which is no text")
    return value
