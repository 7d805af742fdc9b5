"""A reward pool for the contract tests: members in every role, and tasks of each mechanism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eth_abi import encode
from onchain import World
from pychain import ANA, BO, CHAIN_ID, COUNCIL, CY, EVE, Contract, Done, actor, deploy

from incentives.payouts import Payout, PayoutTable, Scope
from registry.core.ids import Role, keccak

SPONSOR, AGGREGATOR, VALIDATOR = ANA, BO, CY
DEVICES = tuple(actor(f"device {i}") for i in range(4))
STACKELBERG, AUCTION, CONTRACT = range(3)
RATE = 10**12
BOND = 1_000
WINDOW = 100
MODEL = keccak(b"model")
FILE = b"\x01\x55\x12\x20" + keccak(b"file")
# Two types; type 1 works cheaper. R_0 = c_00, R_1 = R_0 + c_11 - c_10.
REWARDS, COSTS = (10, 16), (10, 20, 6, 12)


@dataclass(frozen=True)
class Terms:
    """IRewardPool.Terms, times counted from the opening."""

    mechanism: int = STACKELBERG
    rounds: int = 2
    seats: int = 4
    capacity: int = 0
    window: int = WINDOW
    bids: int = 50
    reveals: int = 100
    deadline: int = 1_000
    unit: int = RATE
    bond: int = BOND
    parameters: bytes = keccak(b"parameters")

    def values(self, now: int, aggregator: str) -> tuple[object, ...]:
        return (
            self.mechanism,
            self.rounds,
            self.seats,
            self.capacity,
            self.unit,
            self.window,
            now + self.bids,
            now + self.reveals,
            now + self.deadline,
            aggregator,
            self.bond,
            self.parameters,
        )

    @property
    def escrow(self) -> int:
        seats = min(self.seats, self.capacity) if self.mechanism == AUCTION else self.seats
        return self.unit * seats * self.rounds


@dataclass
class Rewards:
    """The pool of a world; `opened` is when the newest task was."""

    world: World
    pool: Contract
    opened: int = 0

    def at(self, seconds: int) -> None:
        """Let the next block be so long after the opening."""
        self.world.evm.at = self.opened + seconds

    def open(
        self,
        terms: Terms = Terms(),
        *,
        menu: tuple[Sequence[int], Sequence[int]] = ((), ()),
        value: int | None = None,
        sponsor: Any = SPONSOR,
        aggregator: Any = AGGREGATOR,
    ) -> Done:
        self.opened = self.world.now
        self.world.evm.at = self.opened
        escrow = terms.escrow if value is None else value
        given = terms.values(self.opened, aggregator.address)
        return self.pool.send(sponsor, "openTask", MODEL, given, *menu, value=escrow)

    def begin(self, task: int = 1, round_: int = 0) -> Done:
        return self.pool.send(AGGREGATOR, "beginRound", task, round_, keccak(b"evaluation"))

    def table(self, payouts: Sequence[Payout], task: int = 1, round_: int = 0) -> PayoutTable:
        return PayoutTable(Scope(CHAIN_ID, self.pool.address, task, round_), payouts)

    def settle(self, table: PayoutTable, *, value: int = BOND) -> Done:
        scope = table.scope
        given = (scope.task, scope.round, table.root, table.total, len(table.payouts), FILE)
        return self.pool.send(AGGREGATOR, "settle", *given, value=value)

    def settled(self, payouts: Sequence[Payout], round_: int = 0) -> PayoutTable:
        """A round of task 1, begun and settled by these payouts."""
        self.at(101 + 200 * round_)
        self.begin(1, round_)
        table = self.table(payouts, 1, round_)
        self.settle(table)
        return table

    def claim(self, table: PayoutTable, accounts: Sequence[Any], *, by: Any = EVE) -> Done:
        leaves = [leaf(table, a.address) for a in accounts]
        return self.pool.send(by, "claim", table.scope.task, table.scope.round, leaves)

    def challenge(self, given: tuple[object, ...], reason: str = "", *, value: int = BOND) -> Done:
        return self.pool.send(VALIDATOR, "challenge", 1, 0, given, reason, value=value)

    def held(self) -> int:
        return self.world.evm.balance(self.pool.raw)

    def fund(self, who: Any, amount: int = 10**24) -> None:
        """Gas costs nothing here; a payer needs only what it pays."""
        self.world.evm.transact(COUNCIL, bytes.fromhex(who.address[2:]), b"", amount)


def leaf(table: PayoutTable, account: Any) -> tuple[object, ...]:
    """The struct a claim carries."""
    payout = table.payout(account)
    return payout.account, payout.amount, payout.detail_bytes, list(table.proof(account))


def missing(account: Any) -> tuple[object, ...]:
    """A challenge on behalf of a device that has no leaf."""
    return account.address, 0, b"", []


def found_rewards(world: World) -> Rewards:
    """A pool with its members admitted."""
    pool = deploy(world.evm, "RewardPool", world.consortium.address)
    for who, roles in ((SPONSOR, Role.SPONSOR), (AGGREGATOR, Role.AGGREGATOR), (VALIDATOR, Role.VALIDATOR)):
        world.admit(who, f"org-{who.name}", roles)
    for device in DEVICES:
        world.admit(device, "devices", Role.DEVICE)
    return Rewards(world, pool)


def copy(rewards: Rewards, world: World) -> Rewards:
    """The same pool on another copy of the world."""
    return replace(rewards, world=world, pool=Contract(world.evm, "RewardPool", rewards.pool.raw))


def accuracies(*thetas: int, rate: int = RATE) -> list[Payout]:
    """Stackelberg payouts of the first devices."""
    return [
        Payout(d.address, rate * (10**6 - t) // 10**6, (rate, t))
        for d, t in zip(DEVICES, thetas, strict=False)
    ]


def commitment(rewards: Rewards, device: Any, bids: Sequence[tuple[int, int, int]], salt: bytes) -> bytes:
    """What a device commits to before it reveals."""
    types = ["uint256", "address", "uint64", "address", "(uint128,uint128,uint32)[]", "bytes32"]
    return keccak(encode(types, [CHAIN_ID, rewards.pool.address, 1, device.address, list(bids), salt]))
