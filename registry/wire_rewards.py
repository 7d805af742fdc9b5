"""JSON shapes of tasks: parameters, contributions, measurements and the payout file (interface.md 4, 5).

The parameter document and the payout file lie in the content store as their RFC 8785 bytes, so that their
sha-256 is their CID.
"""

from typing import Annotated, Literal

from pydantic import Field

from incentives.contributions import Rules
from incentives.payouts import Payout
from incentives.settlement import Entry, Gate, SignedMeasurement
from registry.core.canonical import canonical
from registry.core.ids import Address, hex32, parse_hex32, to_address
from registry.core.measurement import Measurement
from registry.core.version import Contribution
from registry.wire import AddressText, Body, Count, Hex32, PromiseBody, Signature, Wei, signature_of

Ppm = Annotated[int, Field(ge=0, le=1_000_000)]
Word = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,77})$")]
Number = Annotated[float, Field(ge=0, strict=False)]


class PrivacyBody(Body):
    """What the task does for the devices' privacy; the numbers of dp are stated, none has none."""

    kind: Literal["none", "dp"] = "none"
    clip: Number | None = None
    sigma: Number | None = None
    epsilon: Number | None = None
    delta: Number | None = None


class ParametersBody(Body):
    """The task's parameter document: everything that a payout depends on and the chain does not hold."""

    schema_: Literal["twinledger/task/1"] = Field(alias="schema", default="twinledger/task/1")
    model: str
    validators: list[AddressText] = Field(min_length=3, max_length=64)
    near_bits: Annotated[int, Field(ge=0, lt=128)] = 16
    norm_limit_ppm: Annotated[int, Field(ge=1_000_000, lt=2**53)] = 3_000_000
    reputation_ppm: Ppm = 0
    prior_ppm: Ppm = 500_000
    weights: tuple[Annotated[int, Field(gt=0, lt=2**31)], Annotated[int, Field(gt=0, lt=2**31)]] = Field(
        default=(4, 6), strict=False
    )
    privacy: PrivacyBody = PrivacyBody()
    note: str = Field(default="", max_length=4096)

    @property
    def rules(self) -> Rules:
        """The thresholds for contributions."""
        return Rules(self.near_bits, self.norm_limit_ppm)

    @property
    def gate(self) -> Gate:
        """The threshold for devices."""
        return Gate(self.reputation_ppm, self.prior_ppm, self.weights)

    @property
    def voices(self) -> tuple[Address, ...]:
        """Who measures."""
        return tuple(to_address(v) for v in self.validators)

    def encode(self) -> bytes:
        """The bytes whose sha-256 the chain holds."""
        return canonical(self.model_dump(mode="json", by_alias=True))


class ContributionBody(Body):
    """The EIP-712 struct `Contribution`."""

    task: Count
    round: Count
    device: AddressText
    update_sha256: Hex32
    samples: Count
    cell: str = Field(max_length=256)
    issued_at: Count


class SignedContribution(Body):
    """A contribution with the signature of its device or of the task's aggregator."""

    contribution: ContributionBody
    signature: Signature


class MeasurementBody(Body):
    """The EIP-712 struct `Measurement`; losses and norm in micro-units."""

    task: Count
    round: Count
    device: AddressText
    update_sha256: Hex32
    evaluation: Hex32
    loss_before: Count
    loss_after: Count
    norm: Count
    sketch: Hex32


class SignedMeasurementBody(Body):
    """A measurement with its validator's signature."""

    measurement: MeasurementBody
    signature: Signature


class StatementBody(Body):
    """A measurement in the record of a round, with who signed it."""

    measurement: MeasurementBody
    validator: AddressText
    signature: Signature


class EntryBody(Body):
    """One contribution of a round: both signatures (the aggregator's null until given), measurements."""

    contribution: ContributionBody
    device_signature: Signature
    aggregator_signature: Signature | None
    measurements: list[StatementBody]


class TakenBody(EntryBody):
    """What a gateway answers to a signature under a contribution: the record, and its promise to the device.

    `promise` is null for what a release took that made none.
    """

    promise: PromiseBody | None


class StandingBody(Body):
    """A device's good and bad rounds in earlier tasks."""

    device: AddressText
    positive: Count
    negative: Count


class ScreenedBody(Body):
    """What became of one contribution."""

    device: AddressText
    theta_ppm: Ppm
    excluded: str | None


class LeafBody(Body):
    """One payout: the amount in wei and the integers it rests on."""

    account: AddressText
    amount: Wei
    detail: list[Word]

    @property
    def payout(self) -> Payout:
        """The payout."""
        return Payout(to_address(self.account), int(self.amount), tuple(map(int, self.detail)))


def leaf_body(payout: Payout) -> LeafBody:
    """A payout as it is written."""
    return LeafBody(account=payout.account, amount=str(payout.amount), detail=[str(n) for n in payout.detail])


def contribution_of(body: ContributionBody) -> Contribution:
    """The struct; Malformed names what is out of range."""
    return Contribution(
        task=body.task,
        round=body.round,
        device=to_address(body.device),
        update_sha256=parse_hex32(body.update_sha256),
        samples=body.samples,
        cell=body.cell,
        issued_at=body.issued_at,
    )


def contribution_body(given: Contribution) -> ContributionBody:
    """The wire form."""
    return ContributionBody(
        task=given.task,
        round=given.round,
        device=given.device,
        update_sha256=hex32(given.update_sha256),
        samples=given.samples,
        cell=given.cell,
        issued_at=given.issued_at,
    )


def measurement_of(body: MeasurementBody) -> Measurement:
    """The struct; Malformed names what is out of range."""
    return Measurement(
        task=body.task,
        round=body.round,
        device=to_address(body.device),
        update_sha256=parse_hex32(body.update_sha256),
        evaluation=parse_hex32(body.evaluation),
        loss_before=body.loss_before,
        loss_after=body.loss_after,
        norm=body.norm,
        sketch=parse_hex32(body.sketch),
    )


def measurement_body(given: Measurement) -> MeasurementBody:
    """The wire form."""
    return MeasurementBody(
        task=given.task,
        round=given.round,
        device=given.device,
        update_sha256=hex32(given.update_sha256),
        evaluation=hex32(given.evaluation),
        loss_before=given.loss_before,
        loss_after=given.loss_after,
        norm=given.norm,
        sketch=hex32(given.sketch),
    )


def entry_of(body: EntryBody) -> Entry:
    """A countersigned contribution of the record; one without countersignature has an empty one."""
    return Entry(
        contribution=contribution_of(body.contribution),
        device_signature=signature_of(body.device_signature),
        aggregator_signature=b""
        if body.aggregator_signature is None
        else signature_of(body.aggregator_signature),
        measurements=tuple(
            SignedMeasurement(
                measurement_of(s.measurement), to_address(s.validator), signature_of(s.signature)
            )
            for s in body.measurements
        ),
    )


def entry_body(entry: Entry) -> EntryBody:
    """The wire form."""
    return EntryBody(
        contribution=contribution_body(entry.contribution),
        device_signature="0x" + entry.device_signature.hex(),
        aggregator_signature=("0x" + entry.aggregator_signature.hex())
        if entry.aggregator_signature
        else None,
        measurements=[
            StatementBody(
                measurement=measurement_body(s.measurement),
                validator=s.validator,
                signature="0x" + s.signature.hex(),
            )
            for s in entry.measurements
        ],
    )
