"""Forensic questions as pure functions over rows: what happened, where, who held it, who probed.

Rows come in any order, from one log or both; answers are in the order of time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from registry.audit.rows import Row
from registry.core.ids import Status

_STATUS_WORDS = {str(int(status)): status.name.lower() for status in Status}


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline."""

    time: int
    name: str
    kind: str
    who: str
    text: str


def timeline(rows: Iterable[Row]) -> list[Moment]:
    """What happened, in order, each in one sentence."""
    return [
        Moment(row.time, row.name, row.kind, who_of(row), describe(row))
        for row in sorted(rows, key=lambda row: row.order)
    ]


def who_of(row: Row) -> str:
    """Who did it, as far as a signature says so; a claimed name is marked."""
    if row.actor is not None:
        return row.actor
    if "device" in row.opened:
        return row.opened["device"]
    if row.claimed is not None:
        return f"claimed {row.claimed}"
    return "hidden device" if "device" in row.commitments else "nobody signed"


def describe(row: Row) -> str:
    """A row in one sentence, from its own fields only."""
    what = row.model or "a model"
    sentences: dict[str, str] = {
        "registered": f"sealed {row.version} of {what}, {row.text('size')} bytes",
        "rejected": f"a miner's batch skipped {row.version}, reason {row.text('why')}",
        "status_changed": f"set the status of {row.version} to {_status(row)}: {row.text('reason')}",
        "alias_set": f"pointed {what}@{row.text('name')} to {row.version}",
        "version_cancelled": f"cancelled {row.version}",
        "retrieval": f"retrieved {row.version} of {what}, {row.text('outcome')}, {row.text('bytes')} bytes",
        "refusal": f"was refused {row.text('method')} {row.text('target')}: {row.text('code')}",
        "submission_accepted": f"submitted {row.version} of {what}",
        "member_admitted": f"{', '.join(row.subjects)} admitted to {row.text('namespace')}",
        "member_removed": f"{', '.join(row.subjects)} removed",
        "anchored": f"anchored {row.text('origin')} at {row.text('size')} entries",
        "start": f"the gateway started, {row.text('software')}",
        "stop": f"the gateway stopped: {row.text('reason')}",
    }
    said = sentences.get(row.kind, row.kind.replace("_", " "))
    return f"{said}, from {row.place}" if row.place else said


def _status(row: Row) -> str:
    """The word for a status; a number that no contract of ours writes stays a number."""
    return _STATUS_WORDS.get(row.text("status"), row.text("status"))


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device seen at a cell; `basis` is claimed or observed."""

    time: int
    cell: str
    basis: str
    name: str


@dataclass(frozen=True, slots=True)
class Leg:
    """From one sighting to the next; distance and speed are None where nobody knows the cells' places."""

    start: Sighting
    end: Sighting
    seconds: int
    distance_m: float | None
    speed_mps: float | None
    is_gap: bool
    is_impossible: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """Where a device was, in order, and which moves nobody can make."""

    device: str
    sightings: tuple[Sighting, ...]
    legs: tuple[Leg, ...]

    @property
    def impossible(self) -> tuple[Leg, ...]:
        """The moves that no single device made: a shared or stolen key, or a false claim."""
        return tuple(leg for leg in self.legs if leg.is_impossible)

    @property
    def remarkable(self) -> tuple[Leg, ...]:
        """Impossible moves and gaps, in the order of time."""
        return tuple(leg for leg in self.legs if leg.is_impossible or leg.is_gap)


Distance = Callable[[str, str], float | None]


def unknown_distance(_start: str, _end: str) -> float | None:
    """For cells whose places are not known."""
    return None


@dataclass(frozen=True, slots=True)
class Moves:
    """What one device can do. A move is impossible when it is faster than `max_speed_mps`, or, between cells
    whose distance is not known, when it takes less than `min_handover_s`. A gap is longer than `gap_s`.
    """

    distance_m: Distance = unknown_distance
    max_speed_mps: float = 100.0
    min_handover_s: int = 1
    gap_s: int = 3600

    def leg(self, start: Sighting, end: Sighting) -> Leg:
        """From one sighting to the next, judged."""
        seconds = end.time - start.time
        distance = self.distance_m(start.cell, end.cell)
        speed = distance / seconds if distance is not None and seconds else None
        return Leg(start, end, seconds, distance, speed, seconds > self.gap_s, not self._can(start, end))

    def _can(self, start: Sighting, end: Sighting) -> bool:
        seconds, distance = end.time - start.time, self.distance_m(start.cell, end.cell)
        if start.cell == end.cell:
            return True
        if distance is None:
            return seconds >= self.min_handover_s
        return distance <= self.max_speed_mps * seconds


def trace(rows: Iterable[Row], device: str, moves: Moves | None = None) -> Trace:
    """A device or member across cells, in the order of time."""
    seen = [
        Sighting(row.time, row.place, row.basis or "claimed", row.name)
        for row in sorted(rows, key=lambda row: row.order)
        if row.place is not None and device in row.people
    ]
    return follow(device, seen, moves or Moves())


def follow(device: str, seen: Sequence[Sighting], moves: Moves) -> Trace:
    """Judge each move between sightings that are in the order of time."""
    return Trace(device, tuple(seen), tuple(moves.leg(a, b) for a, b in pairwise(seen)))


def judged(leg: Leg) -> str:
    """A remarkable leg in one line."""
    word = "IMPOSSIBLE" if leg.is_impossible else "GAP"
    apart = "" if leg.distance_m is None else f", {leg.distance_m:.0f} m apart"
    where = f"{leg.start.cell} to {leg.end.cell} in {leg.seconds} s{apart}"
    return f"{word}: {where} ({leg.start.name}, {leg.end.name})"


@dataclass(frozen=True, slots=True)
class Holder:
    """Someone who held a version's bytes: its submitter, or who retrieved it."""

    version: str
    who: str
    first: int
    last: int
    names: tuple[str, ...]


def holders(rows: Iterable[Row], *versions: str) -> list[Holder]:
    """Everyone who held each version, in the order they first did: the first holder leads."""
    found: dict[str, dict[str, list[Row]]] = {version: {} for version in versions}
    for row in sorted(rows, key=lambda row: row.order):
        if row.text("outcome") not in ("", "served"):
            continue
        for version in _held(row):
            if version in found:
                found[version].setdefault(who_of(row), []).append(row)
    return [
        Holder(version, who, held[0].time, held[-1].time, tuple(row.name for row in held))
        for version, people in found.items()
        for who, held in people.items()
    ]


def _held(row: Row) -> tuple[str, ...]:
    """What the row's actor then held: a retrieval's bytes may be those of several versions."""
    if row.kind == "retrieval":
        return row.versions
    return (row.version,) if row.kind == "registered" and row.version is not None else ()


@dataclass(frozen=True, slots=True)
class Probing:
    """Refused requests of one caller."""

    who: str
    count: int
    codes: tuple[tuple[str, int], ...]
    first: int
    last: int
    names: tuple[str, ...]


def probing(rows: Iterable[Row], *, at_least: int = 1) -> list[Probing]:
    """Refused requests per caller, the most refused first.

    An unsigned caller is told apart by its network address when that was opened, else by what it claimed.
    """
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.order):
        if row.kind == "refusal":
            address = row.opened.get("address") if row.actor is None else None
            found.setdefault(f"address {address}" if address else who_of(row), []).append(row)
    suspects = [
        Probing(who, len(held), _codes(held), held[0].time, held[-1].time, tuple(r.name for r in held))
        for who, held in found.items()
        if len(held) >= at_least
    ]
    return sorted(suspects, key=lambda one: (-one.count, one.who))


def _codes(held: Sequence[Row]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for row in held:
        counts[row.text("code")] = counts.get(row.text("code"), 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
