"""A log entry: one thing that happened, as canonical JSON of at most 64 KiB.

Both logs hold the same form (docs/log-entry-1.schema.json), so one reader reads both. A field that says
nothing is left out, except `actor`, which is null when no signature named one.

```
{"actor":null,"claimed":"0x5aAe…","commitments":{"address":"0x1f…","cell":"0x07…"},
 "details":{"bytes":4096,"outcome":"served"},"kind":"retrieval","model":"lab/urban-5g",
 "time":1700000000,"v":1,"version":"0x9c…"}
```
The bytes are the RFC 8785 form. Text and whole numbers are all an entry may hold, and those a plain encoder
writes as RFC 8785 does, once the members are in order, in far less time; a test compares the two.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import cast

from pydantic_core import PydanticSerializationError, to_json

from registry.core.ids import Address, to_address
from registry.core.merkle import leaf_hash
from registry.errors import Malformed, TooLarge

MAX_ENTRY_BYTES = 64 * 1024 - 1
"""One below 64 KiB: a tile bundle writes the length in two bytes."""

YEAR_10000 = 253_402_300_800

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]

_KIND = re.compile(r"[a-z][a-z0-9_]{0,47}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_HEX32 = re.compile(r"0x[0-9a-f]{64}")
_CELL = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._-]{0,63}")
_MODEL = re.compile(rf"{_CELL.pattern}|{_HEX32.pattern}")
_FIELDS = frozenset(
    {
        "v", "kind", "time", "actor", "claimed", "subjects", "model", "version", "related", "cell",
        "commitments", "at", "details",
    }
)  # fmt: skip
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _nothing() -> Mapping[str, Json]:
    return MappingProxyType({})


@lru_cache(maxsize=4096)  # the same few members act again and again
def _is_eip55(address: str) -> bool:
    return to_address(address) == address


@dataclass(frozen=True, slots=True)
class CellClaim:
    """Where it happened, and who says so: `claimed` by the device, `observed` by the cell's gateway."""

    name: str
    basis: str

    def __post_init__(self) -> None:
        if _CELL.fullmatch(self.name) is None:
            raise Malformed(f"{self.name[:80]!r} is no cell", hint="a cell is ns/cell-name")
        if self.basis not in ("claimed", "observed", "registered"):
            raise Malformed(f"a cell is claimed, observed or registered, not {self.basis[:40]!r}")


@dataclass(frozen=True, slots=True)
class ChainPlace:
    """Which event of the chain an entry was derived from."""

    contract: str
    event: str
    block: int
    tx_hash: str
    index: int

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.contract) is None or _NAME.fullmatch(self.event) is None:
            raise Malformed(f"{self.contract[:80]!r}.{self.event[:80]!r} is no event of a contract")
        if type(self.block) is not int or type(self.index) is not int or min(self.block, self.index) < 0:
            raise Malformed("the place of an event is a block number and an index")
        if _HEX32.fullmatch(self.tx_hash) is None:
            raise Malformed(f"{self.tx_hash[:80]!r} is no transaction hash")


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened.

    `actor` is set only when a signature of that address verified; else `claimed` may say who was named.
    `subjects` are further addresses it concerns, `related` further versions (the parents of a sealed one).
    `model` is `ns/name` in a gateway's log and the model id in the chain's, which knows no names.
    `commitments` hide a value (network address, cell, device) that an opening beside the log can show.
    """

    kind: str
    time: int
    actor: Address | None = None
    claimed: str | None = None
    subjects: tuple[Address, ...] = ()
    model: str | None = None
    version: str | None = None
    related: tuple[str, ...] = ()
    cell: CellClaim | None = None
    commitments: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    at: ChainPlace | None = None
    details: Mapping[str, Json] = field(default_factory=_nothing)
    _raw: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _KIND.fullmatch(self.kind) is None:
            raise Malformed(f"{self.kind[:80]!r} is no kind of entry")
        if type(self.time) is not int or not 0 <= self.time < YEAR_10000:
            raise Malformed(f"an entry's time is unix seconds, got {self.time!r}")
        for address in (self.actor, *self.subjects):
            if address is not None and not _is_eip55(address):
                raise Malformed(f"{address} is not written in EIP-55")
        for version in (self.version, *self.related, *self.commitments.values()):
            if version is not None and _HEX32.fullmatch(version) is None:
                raise Malformed(f"{version[:80]!r} is not 0x and 64 lower-case hex digits")
        if self.model is not None and _MODEL.fullmatch(self.model) is None:
            raise Malformed(f"{self.model[:80]!r} is neither ns/name nor a model id")
        if self.claimed is not None and not 0 < len(self.claimed) <= 128:
            raise Malformed("a claimed actor has 1 to 128 characters")

    def encode(self) -> bytes:
        """The entry's one spelling, found once: what is hashed, stored and proved."""
        if self._raw is not None:
            return self._raw
        try:
            raw = to_json(self._fields())
        except PydanticSerializationError as e:
            raise Malformed("an entry holds text that is not Unicode") from e
        if len(raw) > MAX_ENTRY_BYTES:
            raise TooLarge(f"an entry of {len(raw)} bytes is over {MAX_ENTRY_BYTES}", size=len(raw))
        object.__setattr__(self, "_raw", raw)
        return raw

    def _fields(self) -> dict[str, object]:
        """What the entry says, in the order of RFC 8785."""
        said: dict[str, object] = {"actor": self.actor}
        if (at := self.at) is not None:
            said["at"] = {
                "block": at.block, "contract": at.contract, "event": at.event, "index": at.index,
                "tx_hash": at.tx_hash,
            }  # fmt: skip
        if self.cell is not None:
            said["cell"] = {"basis": self.cell.basis, "name": self.cell.name}
        if self.claimed:
            said["claimed"] = self.claimed
        if self.commitments:
            said["commitments"] = _ordered(self.commitments)
        if self.details:
            said["details"] = _ordered(self.details)
        said["kind"] = self.kind
        if self.model:
            said["model"] = self.model
        if self.related:
            said["related"] = self.related
        if self.subjects:
            said["subjects"] = self.subjects
        said |= {"time": self.time, "v": 1}
        if self.version:
            said["version"] = self.version
        return said


def decode_entry(raw: bytes) -> LogEntry:
    """Read an entry; Malformed unless the bytes are exactly what `encode` writes."""
    if len(raw) > MAX_ENTRY_BYTES:
        raise TooLarge(f"an entry of {len(raw)} bytes is over {MAX_ENTRY_BYTES}", size=len(raw))
    try:
        entry = _from_fields(json.loads(raw))
        is_canonical = entry.encode() == raw
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise Malformed(f"this is no log entry: {e}") from e
    if not is_canonical:
        raise Malformed("the entry is not in its canonical form")
    return entry


def _from_fields(given: object) -> LogEntry:
    if (
        not isinstance(given, dict)
        or not given.keys() <= _FIELDS
        or given.get("v") != 1
        or "actor" not in given
    ):
        raise Malformed("a log entry is an object of version 1 with known fields")
    cell, at = given.get("cell"), given.get("at")
    return LogEntry(
        kind=given["kind"],
        time=given["time"],
        actor=given["actor"],
        claimed=given.get("claimed"),
        subjects=tuple(given.get("subjects", ())),
        model=given.get("model"),
        version=given.get("version"),
        related=tuple(given.get("related", ())),
        cell=CellClaim(**cell) if cell else None,
        commitments=MappingProxyType(dict(given.get("commitments", {}))),
        at=ChainPlace(**at) if at else None,
        details=MappingProxyType(dict(given.get("details", {}))),
    )


def _ordered(value: Mapping[str, Json], depth: int = 0) -> dict[str, Json]:
    """The same object with its members in order; names must be ASCII, of others the order is disputed."""
    if not all(isinstance(name, str) for name in value) or not "".join(value).isascii():
        raise Malformed(f"{list(value)} are no keys of an entry")
    return {name: v if type(v := value[name]) is str else _checked(v, depth) for name in sorted(value)}


def _checked(value: Json, depth: int) -> Json:
    """The same JSON in plain dicts and lists, when its spelling is undisputed: text and safe integers."""
    if isinstance(value, int) and abs(value) >= 1 << 53:
        raise Malformed(f"{value} is written as a decimal string in an entry")
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping) and depth < 7:
        return _ordered(value, depth + 1)
    if isinstance(value, Sequence) and not isinstance(value, bytes) and depth < 7:
        return [_checked(item, depth + 1) for item in value]
    raise Malformed(f"an entry cannot hold {type(value).__name__}, or not so deep")


def keys_of(entry: LogEntry) -> tuple[str, ...]:
    """Under which keys of the verifiable map the entry is found; a pure function, so witnesses agree."""
    keys = [f"kind:{entry.kind}"]
    if entry.actor is not None:
        keys.append(f"actor:{entry.actor}")
    keys += [f"actor:{address}" for address in entry.subjects]
    if entry.version is not None:
        keys.append(f"version:{entry.version}")
    keys += [f"version:{version}" for version in entry.related]
    if entry.model is not None:
        keys.append(f"model:{entry.model}")
    if entry.cell is not None:
        keys.append(f"cell:{entry.cell.name}")
    return tuple(dict.fromkeys(keys))


def check_key(key: str) -> str:
    """A key as the map spells it; Malformed for any other kind of text."""
    name, _, value = key.partition(":")
    if name == "actor":
        return f"actor:{to_address(value)}"
    patterns = {"kind": _KIND, "version": _HEX32, "model": _MODEL, "cell": _CELL}
    if name not in patterns or patterns[name].fullmatch(value) is None:
        raise Malformed(
            f"{key[:120]!r} is no key of a log",
            hint="keys are model:ns/name, version:0x…, actor:0x…, cell:ns/name or kind:NAME",
        )
    return key


def commit(name: str, value: str, salt: bytes) -> str:
    """The commitment that hides a value: sha256 over the field's name, a 32-byte salt and the value."""
    if len(salt) != 32:
        raise Malformed(f"a salt has 32 bytes, got {len(salt)}")
    head = f"twinledger/commitment/1\n{name}\n".encode()
    return "0x" + sha256(head + salt + value.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry in its place in a log, with the bytes that were hashed."""

    index: int
    raw: bytes

    @property
    def entry(self) -> LogEntry:
        """The entry, read from its bytes."""
        return decode_entry(self.raw)

    @property
    def leaf(self) -> bytes:
        """The entry's leaf hash."""
        return leaf_hash(self.raw)


def as_json(raw: bytes) -> dict[str, Json]:
    """An entry's bytes as a JSON object, for a wire or a page."""
    return cast(dict[str, Json], json.loads(raw.decode()))


def from_json(given: object) -> bytes:
    """The bytes of an entry that came as a JSON object; whether it is one, `decode_entry` says."""
    try:
        return _ENCODER.encode(given).encode("utf-8")
    except (UnicodeEncodeError, TypeError, ValueError, RecursionError) as e:
        raise Malformed(f"this is no log entry: {e}") from e
