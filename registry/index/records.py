"""What the projection answers: plain rows, typed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from registry.core.ids import Address, Role, Status, VersionId
from registry.core.version import Version


@dataclass(frozen=True, slots=True)
class BlockMark:
    """A block that was projected."""

    number: int
    hash: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Line:
    """A decoded event at its place in the chain; `shown` are its arguments as JSON."""

    block: int
    log_index: int
    time: int
    tx_hash: bytes
    tx_index: int
    event_index: int
    contract: str
    name: str
    args: Mapping[str, Any]
    shown: Mapping[str, Any] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", json_args(self.args))


@dataclass(frozen=True, slots=True)
class Readable:
    """A manifest that was read: its bytes under their digest, and what of it can be searched for."""

    digest: str
    namespace: str
    name: str
    body: bytes
    fields: Sequence[tuple[str, str | float]]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One sealed version: the struct, its place on chain, its number and its present status."""

    version: Version
    version_id: VersionId
    number: int
    namespace: str
    name: str
    fee_class: int
    fee: int
    tax: int
    status: Status
    block: int
    block_hash: bytes
    block_time: int
    tx_hash: bytes
    event_index: int
    manifest: bytes | None

    @property
    def model(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class SealRow:
    """Where a version was sealed: what a receipt says of it."""

    version_id: VersionId
    number: int
    model: str
    block: int
    block_hash: bytes
    block_time: int
    tx_hash: bytes
    event_index: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model and where its names point."""

    namespace: str
    name: str
    versions: int
    newest: VersionId
    aliases: dict[str, VersionId]


@dataclass(frozen=True, slots=True)
class MemberRow:
    """An admitted address; roles 0 is a member that was removed."""

    address: Address
    namespace_id: int
    namespace: str
    roles: Role
    x25519: bytes | None
    key_version: int  # how many X25519 keys it has registered


@dataclass(frozen=True, slots=True)
class GrantChange:
    """A reader was given a private version's key, or is no longer meant to have it: `wrapped_key` None."""

    reader: Address
    actor: Address
    key_version: int
    wrapped_key: bytes | None
    block: int
    time: int


@dataclass(frozen=True, slots=True)
class CellRow:
    """A radio cell and the gateway that may attest to it."""

    namespace: str
    name: str
    gateway: Address


def json_args(args: Mapping[str, object]) -> dict[str, Any]:
    """Event arguments as JSON: bytes as hex, integers beyond 2^53 as decimal strings."""
    return {name: value if type(value) is str else _json_value(value) for name, value in args.items()}


def _json_value(value: object) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool) or not isinstance(value, int):
        return [_json_value(v) for v in value] if isinstance(value, list | tuple) else value
    return value if abs(value) < 1 << 53 else str(value)
