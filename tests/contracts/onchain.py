"""A deployed consortium for the contract tests. A slot lasts 1,000 s, so many transactions fit into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from pychain import ANA, BO, CHAIN_ID, COUNCIL, MINERS, Actor, Contract, Done, Evm, deploy

from registry.chain.gateway import version_tuple
from registry.core.ids import FeeClass, Role, keccak, name_hash
from registry.core.signing import to_compact
from registry.core.version import NO_SALT, Domain, Submission, Version, submission_digest

SLOT_S = 1_000
NOBODY = "0x" + "0" * 40
BOND, PENALTY = 1_000, 600


@dataclass(frozen=True)
class Fees:
    """FeeParams in the contract's order; small numbers that are easy to follow."""

    slots_per_epoch: int = 4
    slot_s: int = SLOT_S
    eta: int = 2
    run_cap: int = 64
    eps: int = 1
    g_h: int = 40
    g_l: int = 10
    tau0_h: int = 12
    tau0_l: int = 5
    slot_bytes: int = 100_000
    turn_slots: int = 2
    grace_slots: int = 1
    post_slots: int = 4
    max_item_bytes: int = 50_000


@dataclass
class World:
    """A consortium with its contracts; `council` proposes for a council of one."""

    evm: Evm
    consortium: Contract
    registry: Contract
    storage: Contract
    fees: Fees

    def council(self, target: Contract, function: str, *args: Any) -> Done:
        data = target.data(function, *args)
        return self.consortium.send(COUNCIL, "propose", target.address, data, "because")

    def admit(self, who: Actor, namespace: str, roles: Role) -> Done:
        return self.council(self.consortium, "admit", who.address, namespace, int(roles))

    def price(self, miners: Sequence[Actor], prices: Sequence[int]) -> Done:
        return self.council(self.storage, "setPrices", [m.address for m in miners], list(prices))

    def deposit(self, who: Actor, amount: int) -> Done:
        return self.registry.send(COUNCIL, "deposit", who.address, value=amount)

    def balance(self, who: Actor) -> int:
        return self.registry.read("account", who.address)[0]

    def slot(self, number: int) -> None:
        """Let the next block be in this slot, or later in it when it has begun."""
        self.evm.at = max(self.evm.at, self.registry.read("start") + number * self.fees.slot_s)

    @property
    def now(self) -> int:
        """The time of the next block."""
        return max(self.evm.at, self.evm.chain.get_canonical_head().timestamp + 1)

    def version(self, who: Actor, label: str = "m", size: int = 100, **fields: Any) -> Version:
        namespace = fields.pop("namespace_id", self.registry.read("account", who.address)[1])
        given = {"parents": (), "salt": NO_SALT, "submitter": who.address} | fields
        digest = keccak(label.encode())
        return Version(
            namespace_id=namespace,
            name_hash=name_hash(label),
            weights_root=digest,
            manifest=digest,
            size=size,
            **given,
        )

    def signed(
        self, who: Actor, version: Version, high: bool = False, **terms: Any
    ) -> tuple[Submission, bytes]:
        given = {"max_price": 10**6, "issued_at": self.now, "deadline": self.now + 80_000} | terms
        fee_class = FeeClass.PRIORITY if high else FeeClass.STANDARD
        submission = Submission(version=version, fee_class=fee_class, **given)
        digest = submission_digest(Domain(CHAIN_ID, self.registry.address), submission)
        return submission, who.signer.sign_hash(digest)

    def seal(self, miner: Actor, *items: tuple[Submission, bytes]) -> Done:
        submissions = [submission_values(s) for s, _ in items]
        return self.registry.send(miner, "seal", submissions, [to_compact(g) for _, g in items])

    def submit(
        self, who: Actor, label: str, size: int = 100, high: bool = False, miner: Actor = MINERS[0]
    ) -> Version:
        """Seal one good item, in whatever slot it is."""
        version = self.version(who, label, size)
        assert not self.seal(miner, self.signed(who, version, high)).all("Rejected")
        return version


def version_values(v: Version) -> tuple[object, ...]:
    """The struct as the ABI takes it."""
    digests = v.name_hash, v.weights_root, v.manifest
    return v.namespace_id, *digests, list(v.parents), v.size, v.salt, v.submitter


def submission_values(s: Submission) -> tuple[object, ...]:
    """The struct as the ABI takes it."""
    return version_tuple(s.version), int(s.fee_class), s.max_price, s.issued_at, s.deadline


def found(
    fees: Fees,
    *,
    audit_slots: int = 8,
    minimum_bond: int = 0,
    penalty: int = 0,
    evm: Evm | None = None,
    predecessor: str = NOBODY,
) -> World:
    """A connected deployment without members, by default on a chain of its own."""
    evm = evm or Evm()
    consortium = deploy(evm, "Consortium", [COUNCIL.address], 1, predecessor)
    registry = deploy(evm, "TwinRegistry", consortium.address, astuple(fees))
    storage = deploy(
        evm,
        "StorageMarket",
        consortium.address,
        registry.address,
        audit_slots,
        1 << 20,
        minimum_bond,
        penalty,
    )
    world = World(evm, consortium, registry, storage, fees)
    world.council(consortium, "connect", registry.address, storage.address, NOBODY, NOBODY)
    return world


def populate(world: World) -> None:
    """ANA in alpha, BO in beta, three miners at 7, 5 and 9 wei per byte, money for both."""
    for who, namespace in ((ANA, "alpha"), (BO, "beta")):
        world.admit(who, namespace, Role.SUBMITTER | Role.OPERATOR | Role.GATEWAY)
        world.deposit(who, 10**12)
    for i, miner in enumerate(MINERS):
        world.admit(miner, f"mine{i}", Role.MINER)
    world.price(MINERS, (7, 5, 9))


def again(world: World) -> World:
    """An independent copy of a world."""
    evm = world.evm.copy()
    return replace(
        world,
        evm=evm,
        consortium=Contract(evm, "Consortium", world.consortium.raw),
        registry=Contract(evm, "TwinRegistry", world.registry.raw),
        storage=Contract(evm, "StorageMarket", world.storage.raw),
    )
