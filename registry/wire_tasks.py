"""JSON shapes of what a gateway answers about tasks, payouts, offers and services; money in wei."""

from typing import Literal

from pydantic import Field

from incentives.auction import Bid
from incentives.settlement import Agreement, Mechanism
from registry.core.ids import to_address
from registry.wire import AddressText, BlockBody, Body, Count, Hex32, ReceiptProofBody, Wei
from registry.wire_rewards import EntryBody, LeafBody, ParametersBody, ScreenedBody

MECHANISMS = ("stackelberg", "auction", "contract")
ROUND_STATES = ("none", "begun", "settled", "frozen")
KINDS = ("aggregation", "hosting", "connectivity")


class BidBody(Body):
    """A revealed bid."""

    device: AddressText
    claim: Wei
    value: Wei
    channels: int


class ChoiceBody(Body):
    """A chosen item of the menu, as a device of this type."""

    device: AddressText
    kind: int
    item: int


class RoundBody(Body):
    """Where a round stands; root and payout file once it is settled."""

    round: int
    state: str
    begun_at: int
    evaluation: Hex32
    root: Hex32 | None
    total: Wei | None
    leaves: int | None
    payouts_cid: str | None
    claimable_at: int | None
    held: Wei
    challenger: AddressText | None


class TaskBody(Body):
    """A task: its terms on chain, what was bid and chosen, its rounds."""

    task: int
    sponsor: AddressText
    model_id: Hex32
    mechanism: str
    rounds: int
    seats: int
    capacity: int
    unit: Wei
    window: int
    bids_until: int
    reveals_until: int
    deadline: int
    aggregator: AddressText
    bond: Wei
    parameters: Hex32
    escrow: Wei
    free: Wei
    rewards: list[Wei]
    costs: list[Wei]
    committed: list[AddressText]
    bids: list[BidBody]
    choices: list[ChoiceBody]
    progress: list[RoundBody]


class EventProof(Body):
    """Where an event of RewardPool is on chain, and the proof that its block holds it."""

    block: BlockBody
    tx_hash: Hex32
    event_index: int
    receipt_proof: ReceiptProofBody | None


class OwedBody(Body):
    """What one account is owed by one round, why, and the proof: verifiable without any network.

    `leaf` is null for a contribution that was left out; `screened` says why.
    """

    schema_: Literal["twinledger/owed/1"] = Field(alias="schema", default="twinledger/owed/1")
    chain_id: Count
    registry: AddressText
    pool: AddressText
    task: Count
    round: Count
    account: AddressText
    state: str
    claimable_at: int
    claimed: bool
    leaf: LeafBody | None
    proof: list[Hex32]
    root: Hex32
    evaluation: Hex32
    entry: EntryBody | None
    screened: ScreenedBody | None
    parameters: ParametersBody
    opened: EventProof
    settled: EventProof


class PayoutsBody(Body):
    """One settled round: its leaves, and the file they come from."""

    round: int
    state: str
    root: Hex32
    total: Wei
    payouts_cid: str
    claimable_at: int
    leaves: list[LeafBody]
    screened: list[ScreenedBody]
    claimed: list[AddressText]


class OfferBody(Body):
    """A provider's offer; `price` per epoch, for connectivity per rate unit and epoch."""

    offer: int
    provider: AddressText
    kind: str
    standing: bool
    job: Hex32
    price: Wei
    bond: Wei


class EpochBody(Body):
    """What became of one epoch of a service."""

    epoch: int
    attested: bool
    passed: bool
    paid: bool


class ServiceBody(Body):
    """An awarded service; `wage` per passed epoch, `held` still to be paid."""

    service: int
    offer: int
    kind: str
    requester: AddressText
    provider: AddressText
    attestor: AddressText
    epochs: list[EpochBody]
    deadline: int
    ended: bool
    wage: Wei
    held: Wei
    bond: Wei


class ServicesBody(Body):
    """Every awarded service, as a list, and beside it the offers that they come from."""

    items: list[ServiceBody]
    next: str | None
    offers: list[OfferBody]


def agreement_of(task: TaskBody, parameters: ParametersBody) -> Agreement:
    """What was fixed before the rounds: the chain's terms, the parameters, bids and choices."""
    return Agreement(
        mechanism=Mechanism(MECHANISMS.index(task.mechanism)),
        unit=int(task.unit),
        seats=task.seats,
        capacity=task.capacity,
        aggregator=to_address(task.aggregator),
        validators=parameters.voices,
        rules=parameters.rules,
        gate=parameters.gate,
        rewards=tuple(map(int, task.rewards)),
        bids=tuple(Bid(b.device, int(b.value), int(b.claim), b.channels) for b in task.bids),
        choices={to_address(c.device): (c.kind, c.item) for c in task.choices},
    )
