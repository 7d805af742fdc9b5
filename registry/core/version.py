"""The signed structs, and their EIP-712 hashes.

Written by hand because a gateway hashes thousands per second; tests/vectors/test_eip712.py compares every
digest with eth_account's general encoder. A VersionId is the struct hash of `Version`: content and
provenance, no payment terms and no domain, so the same act repeated is the same id.
"""

from dataclasses import dataclass, field

from registry.core.ids import Address, FeeClass, VersionId, address_bytes, keccak, to_address
from registry.errors import Malformed

NO_SALT = bytes(32)
NO_BODY = bytes(32)  # Request.body_sha256 when the target names the content
MAX_PARENTS = 8
MAX_LIFETIME_S = 86_400

_VERSION = (
    "Version(uint64 namespaceId,bytes32 nameHash,bytes32 weightsRoot,bytes32 manifest,bytes32[] parents,"
    "uint64 size,bytes32 salt,address submitter)"
)
_SUBMISSION = (
    "Submission(Version version,uint8 feeClass,uint128 maxPrice,uint64 issuedAt,uint64 deadline)" + _VERSION
)
_REQUEST = "Request(string method,string target,bytes32 bodySha256,uint64 created,bytes32 nonce,string cell)"
_CONTRIBUTION = (
    "Contribution(uint64 task,uint32 round,address device,bytes32 updateSha256,uint64 samples,string cell,"
    "uint64 issuedAt)"
)
_DOMAIN = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
VERSION_TYPEHASH = keccak(_VERSION.encode())
SUBMISSION_TYPEHASH = keccak(_SUBMISSION.encode())
REQUEST_TYPEHASH = keccak(_REQUEST.encode())
CONTRIBUTION_TYPEHASH = keccak(_CONTRIBUTION.encode())
_DOMAIN_HEAD = keccak(_DOMAIN.encode()) + keccak(b"TwinLedger") + keccak(b"1")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address_word(address: Address) -> bytes:
    return bytes(12) + address_bytes(address)


def _text_hash(text: str) -> bytes:
    return keccak(text.encode())


def _check_uint(bits: int, **fields: int) -> None:
    for name, value in fields.items():
        if type(value) is not int or not 0 <= value < 1 << bits:
            raise Malformed(f"{name} is {value!r}, which is no uint{bits}")


def _check_bytes32(**fields: bytes) -> None:
    for name, value in fields.items():
        if type(value) is not bytes or len(value) != 32:
            raise Malformed(f"{name} is {value!r}, which is not 32 bytes")


def _check_address(**fields: Address) -> None:
    for name, value in fields.items():
        if to_address(value) != value:
            raise Malformed(f"{name} is {value!r}, which is not in EIP-55 form")


def _check_text(**fields: str) -> None:
    for name, value in fields.items():
        try:
            value.encode()
        except UnicodeEncodeError as e:
            raise Malformed(f"{name} is {value!r}, which UTF-8 cannot write") from e


@dataclass(frozen=True, slots=True)
class Domain:
    """Which deployment a signature is for: a chain, and its TwinRegistry."""

    chain_id: int
    contract: Address
    separator: bytes = field(init=False, repr=False, compare=False)  # EIP-712's, hashed once

    def __post_init__(self) -> None:
        _check_uint(256, chain_id=self.chain_id)
        _check_address(contract=self.contract)
        separator = keccak(_DOMAIN_HEAD + _word(self.chain_id) + _address_word(self.contract))
        object.__setattr__(self, "separator", separator)


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable version of a twin model: its content and its provenance."""

    namespace_id: int
    name_hash: bytes
    weights_root: bytes  # sha-256 of the dag-pb directory node: core.cid.weights_cid
    manifest: bytes  # sha-256 of the manifest bytes: core.cid.manifest_cid
    parents: tuple[VersionId, ...]
    size: int  # all file bytes and the manifest bytes
    salt: bytes
    submitter: Address
    id: VersionId = field(init=False, repr=False, compare=False)  # hashStruct(Version), hashed once

    def __post_init__(self) -> None:
        _check_uint(64, namespace_id=self.namespace_id, size=self.size)
        _check_bytes32(
            name_hash=self.name_hash, weights_root=self.weights_root, manifest=self.manifest, salt=self.salt
        )
        _check_address(submitter=self.submitter)
        if type(self.parents) is not tuple or len(self.parents) > MAX_PARENTS:
            raise Malformed(f"parents are a tuple of at most {MAX_PARENTS} version ids, got {self.parents!r}")
        for parent in self.parents:
            _check_bytes32(parent=parent)
        object.__setattr__(self, "id", self._hash_struct())

    def _hash_struct(self) -> VersionId:
        return VersionId(
            keccak(
                VERSION_TYPEHASH
                + _word(self.namespace_id)
                + self.name_hash
                + self.weights_root
                + self.manifest
                + keccak(b"".join(self.parents))
                + _word(self.size)
                + self.salt
                + _address_word(self.submitter)
            )
        )


@dataclass(frozen=True, slots=True)
class Submission:
    """A version and its payment terms: what the submitter signs."""

    version: Version
    fee_class: FeeClass
    max_price: int  # wei per byte
    issued_at: int
    deadline: int

    def __post_init__(self) -> None:
        if not isinstance(self.fee_class, FeeClass):
            raise Malformed(
                f"fee_class is {self.fee_class!r}, which is neither 0 (standard) nor 1 (priority)"
            )
        _check_uint(128, max_price=self.max_price)
        _check_uint(64, issued_at=self.issued_at, deadline=self.deadline)

    @property
    def reserve(self) -> int:
        """The wei that admission sets aside: the whole maximum price."""
        return self.max_price * self.version.size


@dataclass(frozen=True, slots=True)
class Request:
    """A signed HTTP request that is not itself a signed struct."""

    method: str
    target: str  # exactly as sent, with its query
    body_sha256: bytes
    created: int
    nonce: bytes
    cell: str  # ns/cell-name, or empty

    def __post_init__(self) -> None:
        _check_text(method=self.method, target=self.target, cell=self.cell)
        _check_bytes32(body_sha256=self.body_sha256, nonce=self.nonce)
        _check_uint(64, created=self.created)


@dataclass(frozen=True, slots=True)
class Contribution:
    """One device's update in one round of a task, signed by the device and again by the aggregator."""

    task: int
    round: int
    device: Address
    update_sha256: bytes
    samples: int
    cell: str
    issued_at: int

    def __post_init__(self) -> None:
        _check_uint(64, task=self.task, samples=self.samples, issued_at=self.issued_at)
        _check_uint(32, round=self.round)
        _check_address(device=self.device)
        _check_bytes32(update_sha256=self.update_sha256)
        _check_text(cell=self.cell)


def submission_digest(domain: Domain, submission: Submission) -> bytes:
    """The 32 bytes that the submitter signs."""
    struct_hash = keccak(
        SUBMISSION_TYPEHASH
        + submission.version.id
        + _word(submission.fee_class)
        + _word(submission.max_price)
        + _word(submission.issued_at)
        + _word(submission.deadline)
    )
    return keccak(b"\x19\x01" + domain.separator + struct_hash)


def request_digest(domain: Domain, request: Request) -> bytes:
    """The 32 bytes that the caller signs."""
    struct_hash = keccak(
        REQUEST_TYPEHASH
        + _text_hash(request.method)
        + _text_hash(request.target)
        + request.body_sha256
        + _word(request.created)
        + request.nonce
        + _text_hash(request.cell)
    )
    return keccak(b"\x19\x01" + domain.separator + struct_hash)


def contribution_digest(domain: Domain, contribution: Contribution) -> bytes:
    """The 32 bytes that the device and the aggregator sign."""
    struct_hash = keccak(
        CONTRIBUTION_TYPEHASH
        + _word(contribution.task)
        + _word(contribution.round)
        + _address_word(contribution.device)
        + contribution.update_sha256
        + _word(contribution.samples)
        + _text_hash(contribution.cell)
        + _word(contribution.issued_at)
    )
    return keccak(b"\x19\x01" + domain.separator + struct_hash)
