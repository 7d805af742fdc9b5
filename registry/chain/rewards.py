"""RewardPool read as records: tasks, rounds, offers, services."""

from dataclasses import dataclass
from enum import IntEnum

from registry.chain.gateway import Contracts
from registry.core.ids import Address


class RoundState(IntEnum):
    """Where a round stands on chain."""

    NONE = 0
    BEGUN = 1
    SETTLED = 2
    FROZEN = 3


@dataclass(frozen=True, slots=True)
class TaskTerms:
    """IRewardPool.Terms, in the contract's order."""

    mechanism: int
    rounds: int
    seats: int
    capacity: int
    unit: int
    window: int
    bids_until: int
    reveals_until: int
    deadline: int
    aggregator: Address
    bond: int
    parameters: bytes

    @property
    def values(self) -> tuple[object, ...]:
        """The struct as the ABI takes it."""
        return (
            self.mechanism,
            self.rounds,
            self.seats,
            self.capacity,
            self.unit,
            self.window,
            self.bids_until,
            self.reveals_until,
            self.deadline,
            self.aggregator,
            self.bond,
            self.parameters,
        )

    @property
    def escrow(self) -> int:
        """The least escrow: every payout at its largest."""
        seats = min(self.seats, self.capacity) if self.mechanism == 1 else self.seats
        return self.unit * seats * self.rounds


@dataclass(frozen=True, slots=True)
class OpenedTask:
    """A task on chain; `free` is what it holds outside its settled rounds."""

    sponsor: Address
    model_id: bytes
    terms: TaskTerms
    free: int


@dataclass(frozen=True, slots=True)
class Round:
    """A round on chain; `purse` is what it may still pay."""

    root: bytes
    purse: int
    claimable_at: int
    channels: int
    state: RoundState
    bonded: bool
    challenger: Address
    begun_at: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider's offer."""

    provider: Address
    kind: int
    standing: bool
    job: bytes
    price: int
    bond: int


@dataclass(frozen=True, slots=True)
class AwardedService:
    """An awarded service."""

    requester: Address
    provider: Address
    attestor: Address
    offer: int
    epochs: int
    open: int
    deadline: int
    ended: bool
    wage: int
    held: int
    bond: int


class RewardReads:
    """Typed views of RewardPool."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts

    def task(self, task: int) -> OpenedTask:
        """A task; NotFound when there is none of this number."""
        sponsor, model, terms, free = self._contracts.read("RewardPool", "task", task)
        return OpenedTask(sponsor, model, TaskTerms(*terms), free)

    def round(self, task: int, round_: int) -> Round:
        """A round, also one that has not begun."""
        root, purse, claimable_at, channels, state, bonded, challenger, begun_at = self._contracts.read(
            "RewardPool", "roundOf", task, round_
        )
        return Round(root, purse, claimable_at, channels, RoundState(state), bonded, challenger, begun_at)

    def is_claimed(self, task: int, round_: int, account: Address) -> bool:
        """Whether an account's payout was claimed."""
        return bool(self._contracts.read("RewardPool", "isClaimed", task, round_, account))

    def offer(self, offer: int) -> Offer:
        """An offer; NotFound when there is none of this number."""
        return Offer(*self._contracts.read("RewardPool", "offerOf", offer))

    def service(self, service: int) -> AwardedService:
        """A service; NotFound when there is none of this number."""
        return AwardedService(*self._contracts.read("RewardPool", "serviceOf", service))

    def epoch(self, service: int, epoch: int) -> tuple[bool, bool, bool]:
        """Attested, passed, paid."""
        attested, passed, paid = self._contracts.read("RewardPool", "epochOf", service, epoch)
        return attested, passed, paid
