"""JSON shapes of the REST interface, and their translation to and from core values.

Wei are decimal strings, 32-byte values `0x` + lower-case hex, addresses EIP-55 out and any case in,
sizes and times integers; a field nobody defined is refused (interface.md section 5).
"""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from registry.core.ids import FeeClass, VersionId, hex32, parse_hex32, to_address
from registry.core.version import Submission, Version
from registry.errors import Malformed

Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Signature = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{130}$")]
Wei = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,38})$")]
AddressText = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
HexData = Annotated[str, Field(pattern=r"^0x([0-9a-fA-F]{2})*$")]
Count = Annotated[int, Field(ge=0, lt=2**64)]


class Body(BaseModel):
    """The base of every shape: exact types, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True)


Shape = TypeVar("Shape", bound=Body)


class VersionBody(Body):
    """The EIP-712 struct `Version`."""

    namespace_id: Count
    name_hash: Hex32
    weights_root: Hex32
    manifest: Hex32
    parents: list[Hex32] = Field(max_length=8)
    size: Count
    salt: Hex32
    submitter: AddressText


class SubmissionBody(Body):
    """The EIP-712 struct `Submission`."""

    version: VersionBody
    fee_class: Annotated[int, Field(ge=0, le=1)]
    max_price: Wei
    issued_at: Count
    deadline: Count


class SignedSubmission(Body):
    """A submission and its 65-byte signature r‖s‖v."""

    submission: SubmissionBody
    signature: Signature


class RawTransaction(Body):
    """An ordinary transaction, signed by the member."""

    raw_transaction: HexData


class TransactionAnswer(Body):
    """The hash of a relayed transaction."""

    tx_hash: Hex32


class QuoteRequest(Body):
    """What a quote is asked for: bytes and class."""

    size: Count
    fee_class: Annotated[int, Field(ge=0, le=1)] = 0


class QuoteBody(Body):
    """The price of one submission at the menu in force; `rho` and `tax` are wei per byte."""

    fee_class: int
    size: int
    rho: Wei
    tax: Wei
    total: Wei
    expected_wait_s: float | None = None


class PromiseBody(Body):
    """A gateway's signed word that an entry will be in its log within the merge delay."""

    log: str
    entry_sha256: Hex32
    issued: int
    merge_delay_s: int
    signature: str


class SubmissionAnswer(Body):
    """What the gateway says of one accepted submission."""

    version_id: Hex32
    state: str
    quote: QuoteBody
    promise: PromiseBody | None = None


class BlockBody(Body):
    """The block that holds a thing."""

    number: int
    hash: Hex32
    time: int


class ReceiptProofBody(Body):
    """A header and the receipt-trie nodes on the path to one transaction's receipt."""

    header: HexData
    tx_index: int
    nodes: list[HexData]


class LogProofBody(Body):
    """Where the chain log holds the entry, and the proof of it."""

    origin: str
    index: int
    inclusion: list[Hex32]
    checkpoint: str


class ReceiptBody(Body):
    """What a submitter keeps; `event_index` counts within the transaction's own receipt."""

    schema_: str = Field(alias="schema", default="twinledger/receipt/1")
    chain_id: int
    registry: str
    version_id: Hex32
    number: int
    model: str
    block: BlockBody
    tx_hash: Hex32
    event_index: int
    receipt_proof: ReceiptProofBody | None
    log: LogProofBody | None
    promise: PromiseBody | None

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class RepeatedAnswer(SubmissionAnswer):
    """What the gateway says of a submission that is sealed already."""

    receipt: ReceiptBody


class SubmissionStatus(Body):
    """The state of one submission, with its receipt once sealed."""

    version_id: Hex32
    state: str
    reason: str | None = None
    model: str | None = None
    received: int | None = None
    submission: SubmissionBody | None = None
    signature: str | None = None
    receipt: ReceiptBody | None = None


class VersionAnswer(Body):
    """One sealed version: the signed struct, its place, its status and its manifest."""

    version_id: Hex32
    number: int
    model: str
    namespace: str
    name: str
    status: str
    fee_class: int
    version: VersionBody
    manifest_cid: str
    weights_cid: str
    block: BlockBody
    tx_hash: Hex32
    aliases: list[str]
    manifest: dict[str, Any] | None = None


class ModelAnswer(Body):
    """A model, its newest version and its aliases."""

    model: str
    namespace: str
    name: str
    versions: int
    newest: Hex32
    aliases: dict[str, Hex32]


class KinBody(Body):
    """A version in the lineage of another."""

    version_id: Hex32
    model: str
    number: int
    status: str
    depth: int
    parents: list[Hex32]


class UploadAnswer(Body):
    """What an upload turned out to be."""

    cid: str
    sha256: Hex32
    size: int


class CarAnswer(Body):
    """What an uploaded CAR held."""

    roots: list[str]
    blocks: int


def version_of(body: VersionBody) -> Version:
    """Turn the wire form into the struct; Malformed names what is out of range."""
    return Version(
        namespace_id=body.namespace_id,
        name_hash=parse_hex32(body.name_hash),
        weights_root=parse_hex32(body.weights_root),
        manifest=parse_hex32(body.manifest),
        parents=tuple(VersionId(parse_hex32(parent)) for parent in body.parents),
        size=body.size,
        salt=parse_hex32(body.salt),
        submitter=to_address(body.submitter),
    )


def submission_of(body: SubmissionBody) -> Submission:
    """Turn the wire form into the struct; Malformed names what is out of range."""
    return Submission(
        version=version_of(body.version),
        fee_class=FeeClass(body.fee_class),
        max_price=int(body.max_price),
        issued_at=body.issued_at,
        deadline=body.deadline,
    )


def version_body(version: Version) -> VersionBody:
    """Turn the struct into its wire form."""
    return VersionBody(
        namespace_id=version.namespace_id,
        name_hash=hex32(version.name_hash),
        weights_root=hex32(version.weights_root),
        manifest=hex32(version.manifest),
        parents=[hex32(parent) for parent in version.parents],
        size=version.size,
        salt=hex32(version.salt),
        submitter=version.submitter,
    )


def submission_body(submission: Submission) -> SubmissionBody:
    """Turn the struct into its wire form."""
    return SubmissionBody(
        version=version_body(submission.version),
        fee_class=int(submission.fee_class),
        max_price=str(submission.max_price),
        issued_at=submission.issued_at,
        deadline=submission.deadline,
    )


def signature_of(text: str) -> bytes:
    """Read a 65-byte signature."""
    return bytes.fromhex(text[2:])


def parse_body(shape: type[Shape], value: object) -> Shape:
    """Read a JSON value as `shape`; Malformed names the first field that does not fit."""
    try:
        return shape.model_validate(value)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        # Only the capital letter goes: a pattern quoted in the sentence stays as it is.
        raise Malformed(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}", field=where) from e
