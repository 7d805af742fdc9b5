"""Puts one consortium's contracts on a chain.

The order is fixed by who needs whose address. Last, the council connects them, without which nobody can be
admitted: a council of one that deploys is done here; of a larger one the deployer proposes it and the
others approve; a deployer outside the council leaves `connection` to be proposed.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from types import MappingProxyType

from registry.chain.base import ChainLink
from registry.chain.deployment import DeployedContract, Deployment
from registry.chain.encoding import encode_call, encode_constructor
from registry.chain.sender import Sender
from registry.core.ids import Address, keccak
from registry.core.signing import Signer
from registry.errors import ChainUnavailable

NOBODY = Address("0x" + "0" * 40)


@dataclass(frozen=True, slots=True)
class FeeSettings:
    """The fee market's constants (protocol.md 2 and 3), in the order of the contract's struct."""

    slots_per_epoch: int = 64
    slot_s: int = 1
    eta: int = 6
    run_cap: int = 128
    eps: int = 1
    g_h: int = 4
    g_l: int = 1
    tau0_h: int = 2
    tau0_l: int = 1
    slot_bytes: int = 64 << 20
    turn_slots: int = 4
    grace_slots: int = 2
    post_slots: int = 4
    max_item_bytes: int = 4 << 30


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """The storage market's constants (protocol.md 4), in the order of its constructor; money in wei."""

    audit_slots: int = 64
    retention_epochs: int = 1 << 20
    minimum_bond: int = 0
    penalty: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a constructor takes that is not an address."""

    fees: FeeSettings = field(default_factory=FeeSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    predecessor: Address = NOBODY


def deploy(
    link: ChainLink, signer: Signer, settings: Settings, council: Sequence[Address], threshold: int
) -> Deployment:
    """Create the contracts and, for a signer of the council, propose to connect them."""
    start_block = link.head().number + 1
    work = _Work(link, Sender(link, signer))
    consortium = work.create("Consortium", list(council), threshold, settings.predecessor)
    registry = work.create("TwinRegistry", consortium, astuple(settings.fees))
    work.create("StorageMarket", consortium, registry, *astuple(settings.storage))
    work.create("RewardPool", consortium)
    work.create("AuditAnchor", consortium)
    made = Deployment(link.chain_id, link.genesis_hash, start_block, MappingProxyType(work.made))
    if signer.address in council:
        reason = "connect the contracts of this deployment"
        work.sender.send(
            consortium, encode_call("Consortium", "propose", (consortium, connection(made), reason))
        )
    return made


def connection(deployment: Deployment) -> bytes:
    """The call to Consortium by which its council connects the deployment's contracts."""
    names = ("TwinRegistry", "StorageMarket", "RewardPool", "AuditAnchor")
    return encode_call("Consortium", "connect", [deployment.address(name) for name in names])


class _Work:
    """The contracts made so far."""

    def __init__(self, link: ChainLink, sender: Sender) -> None:
        self._link = link
        self.sender = sender
        self.made: dict[str, DeployedContract] = {}

    def create(self, name: str, *args: object) -> Address:
        receipt = self.sender.send(None, encode_constructor(name, args))
        if receipt.contract_address is None:
            raise ChainUnavailable(f"the receipt of {name}'s creation names no address")
        code = self._link.code(receipt.contract_address)
        self.made[name] = DeployedContract(receipt.contract_address, keccak(code))
        return receipt.contract_address
