"""A row: one log entry as the forensic questions read it, with what was opened of its commitments.

Everything after the log works on rows: queries, timelines, the evidence file, the report, PROV. They
are plain values, so the same functions run in a gateway, at a client and inside `verify_case`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from registry.audit.openings import Opening
from registry.core.log import Json, Recorded, as_json, check_key
from registry.errors import Malformed, VerificationFailed

CHAIN, GATEWAY = "chain", "gateway"
LOGS = (CHAIN, GATEWAY)


_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Row:
    """What happened: `log` is chain or gateway, the other fields are the entry's own."""

    log: str
    index: int
    kind: str
    time: int
    actor: str | None
    claimed: str | None
    subjects: tuple[str, ...]
    model: str | None
    version: str | None
    related: tuple[str, ...]
    cell: str | None
    basis: str | None
    block: int | None
    tx_hash: str | None
    details: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    commitments: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    opened: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    @property
    def name(self) -> str:
        """`log:index`, as an event is named everywhere."""
        return f"{self.log}:{self.index}"

    @property
    def order(self) -> tuple[int, str, int]:
        """Rows of both logs in one order: by time, then by log and number."""
        return self.time, self.log, self.index

    @property
    def people(self) -> tuple[str, ...]:
        """Every address the row concerns by name, the actor first, and a device that was opened."""
        device = self.opened.get("device")
        named = (self.actor, device, *self.subjects)
        return tuple(dict.fromkeys(address for address in named if address is not None))

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version the row concerns, its own first."""
        return tuple(v for v in (self.version, *self.related) if v is not None)

    @property
    def place(self) -> str | None:
        """The cell where it happened, as stated or as opened."""
        return self.cell or self.opened.get("cell")

    def text(self, name: str) -> str:
        """A detail as text, empty when it is not there."""
        value = self.details.get(name)
        return "" if value is None else str(value)


def row_of(log: str, record: Recorded, openings: Iterable[Opening] = ()) -> Row:
    """The row of an entry; the openings that belong to it are checked and shown, others are passed over."""
    given = cast(dict[str, Any], as_json(record.raw))
    at, cell = given.get("at", _NOTHING), given.get("cell", _NOTHING)
    hidden = given.get("commitments")
    commitments = MappingProxyType(hidden) if hidden else _NOTHING
    return Row(
        log=log,
        index=record.index,
        kind=given["kind"],
        time=given["time"],
        actor=given["actor"],
        claimed=given.get("claimed"),
        subjects=tuple(given.get("subjects", ())),
        model=given.get("model"),
        version=given.get("version"),
        related=tuple(given.get("related", ())),
        cell=cell.get("name"),
        basis=cell.get("basis"),
        block=at.get("block"),
        tx_hash=at.get("tx_hash"),
        details=MappingProxyType(given.get("details", {})),
        commitments=commitments,
        opened=MappingProxyType(_opened(commitments, openings)) if hidden else _NOTHING,
    )


def _opened(commitments: Mapping[str, str], openings: Iterable[Opening]) -> dict[str, str]:
    wanted = {commitment: name for name, commitment in commitments.items()}
    found = {}
    for opening in openings:
        name = wanted.get(opening.commitment)
        if name is None:
            continue
        if name != opening.field:
            raise VerificationFailed(f"{opening.commitment} hides the {name}, not the {opening.field}")
        opening.check()
        found[name] = opening.value
    return found


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows are asked for; None means any. `until` is exclusive."""

    log: str | None = None
    actor: str | None = None
    model: str | None = None
    version: str | None = None
    kind: str | None = None
    cell: str | None = None
    since: int | None = None
    until: int | None = None

    def matches(self, row: Row) -> bool:
        """Whether the row is asked for; a hidden cell matches only once it is opened."""
        return (
            self.log in (None, row.log)
            and (self.actor is None or self.actor in row.people)
            and self.model in (None, row.model)
            and (self.version is None or self.version in row.versions)
            and self.kind in (None, row.kind)
            and self.cell in (None, row.place)
            and (self.since is None or row.time >= self.since)
            and (self.until is None or row.time < self.until)
        )

    def map_keys(self) -> tuple[str, ...]:
        """The map keys that cover this filter. A cell is none: entries may hide theirs."""
        named = {"actor": self.actor, "model": self.model, "version": self.version, "kind": self.kind}
        return tuple(f"{name}:{value}" for name, value in named.items() if value is not None)

    def to_json(self) -> dict[str, object]:
        """The filter as given, without what was not asked."""
        named = {
            "log": self.log, "actor": self.actor, "model": self.model, "version": self.version,
            "kind": self.kind, "cell": self.cell, "since": self.since, "until": self.until,
        }  # fmt: skip
        return {name: value for name, value in named.items() if value is not None}


def check_filter(given: Filter, kinds: Iterable[str]) -> Filter:
    """The filter in its plain spelling; Malformed for an unknown log or kind, a bad address or time."""
    if given.log not in (None, *LOGS):
        raise Malformed(f"there is no log {given.log!r}", hint="the logs are chain and gateway")
    if given.kind is not None and given.kind not in set(kinds):
        raise Malformed(
            f"no entry is of the kind {given.kind[:60]!r}", hint="see `twinledger audit events --help`"
        )
    for moment in (given.since, given.until):
        if moment is not None and not 0 <= moment < 1 << 48:
            raise Malformed(f"{moment} is no time in unix seconds")
    if given.since is not None and given.until is not None and given.since > given.until:
        raise Malformed(f"nothing lies since {given.since} and before {given.until}")
    for key in (*given.map_keys(), *([f"cell:{given.cell}"] if given.cell else [])):
        check_key(key)
    actor = given.actor and check_key(f"actor:{given.actor}").removeprefix("actor:")
    return Filter(
        given.log, actor, given.model, given.version, given.kind, given.cell, given.since, given.until
    )
