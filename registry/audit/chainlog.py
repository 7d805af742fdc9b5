"""The chain log: a pure function of final chain events, so it is the same tree on every gateway.

Every event of our contracts becomes one entry, whatever the contracts grow: the kind is the event's
name, `details` its arguments by their ABI types. What an event cannot make invalid is the point: text
of any length is cut to its digest, because an event that stopped the log would stop it everywhere.

Events know a model's id and not its name, hence `model:0x…` keys here and `model:ns/name` in a gateway's log.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from operator import attrgetter
from typing import Any, cast

from contracts import NAMES, artifact
from registry.audit.base import Log
from registry.core.canonical import canonical
from registry.core.ids import Address, hex32
from registry.core.log import CellClaim, ChainPlace, Json, LogEntry, Recorded
from registry.errors import ChainReorganised, Malformed, TooLarge

MAX_TEXT_BYTES = 4096

# Whose signed act an event records: the argument that names them. Other addresses are subjects.
ACTED_BY: Mapping[str, str] = {
    "AliasSet": "by", "Anchored": "by", "Approved": "approver", "Attested": "peer", "BacklogPosted": "miner",
    "BatchSealed": "miner", "BidCommitted": "device", "BidRevealed": "device", "Bonded": "from",
    "CarryAdded": "from", "Deposited": "from", "Granted": "by", "ItemChosen": "device",
    "KeyRegistered": "member",
    "LogKeyRegistered": "owner", "OfferWithdrawn": "provider", "OwedWithdrawn": "account",
    "Paused": "account", "Proposed": "proposer", "Registered": "submitter", "RoundBegun": "by",
    "RoundChallenged": "challenger", "RoundSettled": "settler", "ServiceAttested": "attestor",
    "ServiceAwarded": "requester", "ServiceOffered": "provider", "StatusChanged": "by",
    "TaskOpened": "sponsor", "Unbonded": "miner", "Ungranted": "by", "Unpaused": "account",
    "VersionCancelled": "submitter", "Withdrawn": "account",
}  # fmt: skip
LIFTED = {"versionId", "modelId", "parents"}


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """A decoded event of a final block, in its place."""

    contract: str
    name: str
    args: Mapping[str, Any]
    block_number: int
    block_time: int
    tx_hash: bytes
    index: int

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands in the chain's order."""
        return self.block_number, self.index


def origin_of(chain_id: int, registry: Address) -> str:
    """The chain log's origin; AuditAnchor writes the same."""
    return f"{chain_id}/{registry}"


def kind_of(event: str) -> str:
    """The kind of entry that an event becomes: BatchSealed is `batch_sealed`."""
    return snake(event)


@cache
def snake(name: str) -> str:
    """A name of Solidity as JSON writes it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).strip("_").lower()


@dataclass(frozen=True, slots=True)
class _Form:
    """How the events of one name become entries: what their ABI decides, decided once."""

    kind: str
    actor: str
    addresses: tuple[str, ...]
    lists: tuple[str, ...]  # of addresses
    has_cell: bool
    details: tuple[tuple[str, str, Callable[[Any], Json]], ...]  # argument, its name in JSON, what writes it


@cache
def _form(contract: str, event: str) -> _Form:
    inputs = _inputs(contract)[event]
    types = {given["name"]: given["type"] for given in inputs}
    actor = ACTED_BY.get(event, "")
    return _Form(
        kind=kind_of(event),
        actor=actor,
        addresses=tuple(name for name, kind in types.items() if kind == "address" and name != actor),
        lists=tuple(name for name, kind in types.items() if kind == "address[]"),
        has_cell=event == "CellAdded" or types.get("cell") == "string",
        details=tuple(
            (given["name"], snake(given["name"]), _writer(given))
            for given in inputs
            if given["name"] not in LIFTED
        ),
    )


@cache
def _inputs(contract: str) -> Mapping[str, tuple[Mapping[str, Any], ...]]:
    """The ABI of each argument of each event of a contract."""
    return {
        entry["name"]: tuple(entry["inputs"]) for entry in artifact(contract).abi if entry["type"] == "event"
    }


def chain_kinds() -> dict[str, list[str]]:
    """Every kind the chain log can hold, with the contracts whose events become it."""
    kinds: dict[str, list[str]] = {}
    for contract in NAMES:
        for event in _inputs(contract):
            kinds.setdefault(kind_of(event), []).append(contract)
    return dict(sorted(kinds.items()))


def entry_of(event: ChainEvent) -> LogEntry:
    """The entry an event becomes; a function of the event alone."""
    form, args = _form(event.contract, event.name), event.args
    actor = args.get(form.actor)
    addresses = [args[name] for name in form.addresses]
    addresses += [item for name in form.lists for item in args[name]]
    version, model = args.get("versionId"), args.get("modelId")
    details = {shown: write(args[name]) for name, shown, write in form.details}
    entry = LogEntry(
        kind=form.kind,
        time=event.block_time,
        actor=actor,
        subjects=tuple(dict.fromkeys(a for a in addresses if int(a, 16) and a != actor))[:256],
        version=None if version is None else hex32(version),
        model=None if model is None else hex32(model),
        related=tuple(dict.fromkeys(hex32(parent) for parent in args.get("parents", ()))),
        cell=_cell(event) if form.has_cell else None,
        at=ChainPlace(event.contract, event.name, event.block_number, hex32(event.tx_hash), event.index),
        details=details,
    )
    try:
        entry.encode()
    except TooLarge:
        return replace(entry, details={"cut": {"sha256": hex32(sha256(canonical(details)).digest())}})
    return entry


def _cell(event: ChainEvent) -> CellClaim | None:
    try:
        if event.name == "CellAdded":
            return CellClaim(f"{event.args['namespace_']}/{event.args['name']}", "registered")
        if event.args["cell"]:
            return CellClaim(event.args["cell"], "claimed")
    except Malformed:
        return None  # a device may claim any text as its cell; the text itself stays in the details
    return None


def _writer(given: Mapping[str, Any]) -> Callable[[Any], Json]:
    """Writes a value as the wire does: uint128 and wider as decimal text, bytes as hex, structs by name."""
    kind: str = given["type"]
    if kind.endswith("]"):
        element = _writer({**given, "type": kind[: kind.rindex("[")]})
        return lambda value: [element(item) for item in value]
    if kind == "tuple":
        parts = [(snake(part["name"]), _writer(part)) for part in given["components"]]
        return lambda value: {name: write(v) for (name, write), v in zip(parts, value, strict=True)}
    if kind == "string":
        return _text
    if kind.startswith("bytes"):
        return _bytes
    if kind.startswith(("uint", "int")):
        return str if int(kind.lstrip("uint") or 256) > 64 else _number
    return lambda value: cast(Json, value)  # an address or a bool


def _bytes(value: bytes) -> Json:
    return "0x" + value.hex() if len(value) <= MAX_TEXT_BYTES else _digest(value)


def _number(value: int) -> Json:
    return str(value) if abs(value) >= 1 << 53 else int(value)


def _text(value: str) -> Json:
    raw = value.encode("utf-8", "surrogatepass")
    is_unicode = not any("\ud800" <= c <= "\udfff" for c in value)
    return value if is_unicode and len(raw) <= MAX_TEXT_BYTES else _digest(raw)


def _digest(raw: bytes) -> Json:
    return {"sha256": hex32(sha256(raw).digest()), "size": len(raw)}


class ChainLog:
    """Feeds final events into a log, each once, in the chain's order."""

    def __init__(self, log: Log, last: Callable[[], Recorded | None]) -> None:
        """`last` answers the log's newest entry: after a restart the log itself says how far it came."""
        self._log = log
        newest = last()
        at = None if newest is None else newest.entry.at
        self._last = (-1, -1) if at is None else (at.block, at.index)

    @property
    def last_place(self) -> tuple[int, int]:
        """(block, event index) of the newest event in the log, (-1, -1) for none: follow from its block."""
        return self._last

    def extend(self, events: Iterable[ChainEvent]) -> int:
        """Append what is new; events at or before the last place are passed over. How many were new."""
        fresh = sorted((e for e in events if e.place > self._last), key=attrgetter("block_number", "index"))
        if not fresh:
            return 0
        self._log.append([entry_of(event) for event in fresh])
        self._last = fresh[-1].place
        return len(fresh)


def check_same_prefix(held: Sequence[Recorded], events: Iterable[ChainEvent]) -> None:
    """Return when these events still become these entries; a deep reorganisation does not."""
    for record, event in zip(held, events, strict=False):
        if entry_of(event).encode() != record.raw:
            raise ChainReorganised(
                f"entry {record.index} of the chain log is not what block {event.block_number} holds now",
                index=record.index,
                block=event.block_number,
            )
