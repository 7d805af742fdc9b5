"""The contracts of one deployment, as typed calls over any chain.

Reads answer records; writes answer calldata, because keys never pass through here.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry.chain.base import Block, ChainLink
from registry.chain.deployment import Deployment
from registry.chain.encoding import read
from registry.chain.events import Event, decode_log
from registry.core.ids import Address, FeeClass, Role, Status, VersionId, to_address
from registry.core.note import ED25519, VerifierKey
from registry.core.version import Domain, Version
from registry.errors import ChainReorganised, NotFound

_KEPT_EVENTS = 4_000


@dataclass(frozen=True, slots=True)
class Account:
    """Escrow and membership of one address, as the chain has it now."""

    balance: int
    namespace_id: int
    roles: Role


@dataclass(frozen=True, slots=True)
class Record:
    """The one storage slot of a version."""

    submitter: Address
    block: int
    fee_class: FeeClass
    status: Status
    time: int


@dataclass(frozen=True, slots=True)
class Menu:
    """Prices in force, wei per byte, by class: `rho` the fee, `tax` the waiting tax."""

    rho: tuple[int, int]
    tax: tuple[int, int]

    def price(self, fee_class: FeeClass) -> int:
        """What one byte costs in a class."""
        return self.rho[fee_class] + self.tax[fee_class]


@dataclass(frozen=True, slots=True)
class FeeParams:
    """What the fee market was deployed with."""

    slots_per_epoch: int
    slot_s: int
    eta: int
    run_cap: int
    eps: int
    g_h: int
    g_l: int
    tau0_h: int
    tau0_l: int
    slot_bytes: int
    turn_slots: int
    grace_slots: int
    post_slots: int
    max_item_bytes: int


@dataclass(frozen=True, slots=True)
class OpenEpoch:
    """The epoch that sealing is in or waits for."""

    epoch: int
    roster_id: int
    accounts: int
    posted: int
    sealed_in: bool
    sealed_before: bool
    ever_sealed: bool


@dataclass(frozen=True, slots=True)
class Rebate:
    """The rebate run of the epoch closed last."""

    epoch: int
    cursor: int
    length: int
    accounts: int
    due: bool
    taxes: int
    outside: int
    carry: int
    paid: int


class Contracts:
    """Calls and events of TwinRegistry, Consortium, StorageMarket, RewardPool and AuditAnchor."""

    def __init__(self, link: ChainLink, deployment: Deployment) -> None:
        self.link = link
        self.deployment = deployment
        self.domain = Domain(link.chain_id, deployment.address("TwinRegistry"))
        self._names = {deployment.address(name): name for name in deployment.names}
        self._params: FeeParams | None = None
        self._start: int | None = None
        self._recent: dict[bytes, list[Event]] = {}  # of the blocks read last, by their hash

    def address(self, contract: str) -> Address:
        """Where a contract is."""
        return self.deployment.address(contract)

    def events(self, first: int, last: int) -> list[Event]:
        """Every event of these contracts in blocks first to last, in chain order."""
        logs = self.link.logs(first, last, list(self._names))
        events = [decode_log(self._names[log.address], log) for log in logs]
        self._keep(events)
        return events

    def events_in(self, blocks: Sequence[Block]) -> list[Event]:
        """The same of these blocks, one after the other; what was read of them lately is not read again.

        NotFound when one of them is no longer in the chain.
        """
        known = [self._recent.get(block.hash, ()) for block in blocks]
        # Of a block without events nothing is kept: whether it has none, the chain is asked.
        if all(known):
            return [event for of_one in known for event in of_one]
        events = self.events(blocks[0].number, blocks[-1].number)
        if not {event.log.block_hash for event in events} <= {block.hash for block in blocks}:
            raise NotFound(f"block {blocks[-1].number} changed while it was read", hint="it is read again")
        return events

    def _keep(self, events: Sequence[Event]) -> None:
        of_block: defaultdict[bytes, list[Event]] = defaultdict(list)
        for event in events[-_KEPT_EVENTS:]:
            of_block[event.log.block_hash].append(event)
        if len(events) > _KEPT_EVENTS:
            del of_block[events[-_KEPT_EVENTS].log.block_hash]  # not all of its events are among them
        kept = {**self._recent, **of_block}
        count = sum(map(len, kept.values()))
        while count > _KEPT_EVENTS:
            count -= len(kept.pop(next(iter(kept))))
        self._recent = kept

    def read(self, contract: str, function: str, *args: object) -> Any:
        """Call a view: the value it answers, a tuple where there are several; a refusal is its class."""
        values = read(self.link, contract, self.address(contract), function, args)
        return values[0] if len(values) == 1 else values

    def account(self, address: Address) -> Account:
        """Escrow, namespace and roles of an address."""
        balance, namespace_id, _enrolment, roles = self.read("TwinRegistry", "account", address)
        return Account(balance, namespace_id, Role(roles))

    def record(self, version_id: VersionId) -> Record | None:
        """The record of a version, None when the chain never took it."""
        word: int = self.read("TwinRegistry", "record", version_id)
        if word == 0:
            return None
        return Record(
            submitter=to_address(f"0x{word >> 96:040x}"),
            block=(word >> 56) & (1 << 40) - 1,
            fee_class=FeeClass((word >> 52) & 0xF),
            status=Status((word >> 48) & 0xF),
            time=word & (1 << 48) - 1,
        )

    def menu(self) -> Menu:
        """The prices of the open epoch."""
        rho_h, rho_l, tax_h, tax_l = self.read("TwinRegistry", "menu")
        return Menu((rho_l, rho_h), (tax_l, tax_h))

    def params(self) -> FeeParams:
        """The fee market's constants."""
        if self._params is None:
            self._params = FeeParams(*self.read("TwinRegistry", "params"))
        return self._params

    def slot_at(self, time: int) -> int:
        """The slot of a chain time."""
        if self._start is None:
            self._start = int(self.read("TwinRegistry", "start"))
        return max(0, time - self._start) // self.params().slot_s

    def open_epoch(self) -> OpenEpoch:
        """Where closing stands."""
        return OpenEpoch(*self.read("TwinRegistry", "openEpoch"))

    def rebate(self) -> Rebate:
        """Where paying rebates stands."""
        return Rebate(*self.read("TwinRegistry", "rebate"))

    def budget(self) -> int:
        """Bytes that may still begin to be sealed in this slot."""
        return int(self.read("TwinRegistry", "budget"))

    def roster(self) -> list[tuple[Address, int]]:
        """The miners of the open epoch in turn order, with their prices in wei per byte."""
        miners, prices = self.read("TwinRegistry", "roster")
        return list(zip(miners, prices, strict=True))

    def turn(self, slot: int) -> tuple[Address, bool]:
        """Whose turn a slot is, and whether nobody else may seal in it."""
        miner, exclusive = self.read("TwinRegistry", "turnOf", slot)
        return miner, exclusive

    def log_key(self, origin: str) -> VerifierKey | None:
        """The key that the owner of a log registered for it, None when nobody did."""
        owner, _version, key = self.read("Consortium", "logKeyOf", origin)
        return VerifierKey(origin, ED25519, key) if int(owner, 16) else None

    def log_origins(self) -> set[str]:
        """The logs that somebody registered a key for."""
        first, last = self.deployment.start_block, self.link.head().number
        logs = self.link.logs(first, last, [self.address("Consortium")])
        events = (decode_log("Consortium", log) for log in logs)
        return {event.args["origin"] for event in events if event.name == "LogKeyRegistered"}

    def check_genesis(self) -> None:
        """ChainReorganised when this chain is not the one that was deployed on."""
        if self.link.genesis_hash != self.deployment.genesis_hash:
            raise ChainReorganised(
                f"the chain begins with block 0x{self.link.genesis_hash.hex()}, the deployment with "
                f"0x{self.deployment.genesis_hash.hex()}",
                hint="this is another chain: check the RPC URL, or deploy anew into an empty home",
            )
        for name in self.deployment.names:
            if not self.link.code(self.address(name)):
                raise NotFound(f"there is no {name} at {self.address(name)}", hint="run `twinledger deploy`")


def version_tuple(version: Version) -> tuple[object, ...]:
    """The struct as the ABI wants it."""
    return (
        version.namespace_id,
        version.name_hash,
        version.weights_root,
        version.manifest,
        list(version.parents),
        version.size,
        version.salt,
        version.submitter,
    )
