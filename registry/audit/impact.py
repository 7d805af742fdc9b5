"""Lineage and impact: what came out of what, and whom a tainted ingredient reached.

A link goes from a version to one it was made from: a parent (on chain) or a component (in the manifest).
A source is an ingredient below the first version: a device, an update, a dataset.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from registry.audit.forensics import Holder, holders, who_of
from registry.audit.rows import Row
from registry.core.manifest import Manifest

REVOKED = 3


@dataclass(frozen=True, slots=True)
class Link:
    """`child` was made from `parent`; `role` is parent, or component."""

    child: str
    parent: str
    role: str = "parent"


@dataclass(frozen=True, slots=True)
class Reached:
    """A version at some depth of a lineage, and the link by which it was reached first."""

    version: str
    depth: int
    via: Link | None


def links_of(rows: Iterable[Row]) -> list[Link]:
    """The parent links that the sealed versions state on chain."""
    return [
        Link(row.version, parent)
        for row in rows
        if row.kind == "registered" and row.version is not None
        for parent in row.related
    ]


def components_of(version: str, manifest: Manifest) -> list[Link]:
    """The component links of a version's manifest."""
    return [Link(version, "0x" + part.version.hex(), "component") for part in manifest.fields.components]


def ancestors(links: Iterable[Link], version: str, *, depth: int | None = None) -> list[Reached]:
    """What a version was made from, nearest first, itself at depth 0."""
    up: dict[str, list[Link]] = {}
    for link in links:
        up.setdefault(link.child, []).append(link)
    return _walk([version], partial(_next, up), lambda link: link.parent, depth)


def descendants(links: Iterable[Link], versions: Sequence[str], *, depth: int | None = None) -> list[Reached]:
    """What was made from these versions, nearest first, themselves at depth 0."""
    down: dict[str, list[Link]] = {}
    for link in links:
        down.setdefault(link.parent, []).append(link)
    return _walk(versions, partial(_next, down), lambda link: link.child, depth)


def _next(index: Mapping[str, list[Link]], version: str) -> list[Link]:
    return index.get(version, [])


def _walk(
    start: Sequence[str],
    links_at: Callable[[str], list[Link]],
    end_of: Callable[[Link], str],
    depth: int | None,
) -> list[Reached]:
    """Breadth first; each version once, so a cycle of components ends."""
    found = {version: Reached(version, 0, None) for version in start}
    waiting = deque(found.values())
    while waiting:
        here = waiting.popleft()
        if depth is not None and here.depth >= depth:
            continue
        for link in links_at(here.version):
            other = end_of(link)
            if other not in found:
                found[other] = Reached(other, here.depth + 1, link)
                waiting.append(found[other])
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Pointed:
    """An alias pointed to an affected version from `since` until `until` (None: it still does)."""

    model: str
    alias: str
    version: str
    since: int
    until: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """Someone retrieved an affected version; `cell` and `address` only where they were opened."""

    version: str
    who: str
    time: int
    cell: str | None
    address: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Impact:
    """Whom a tainted ingredient or version reached; `holders` are those of the tainted versions alone."""

    tainted: tuple[str, ...]
    versions: tuple[Reached, ...]
    aliases: tuple[Pointed, ...]
    deliveries: tuple[Delivered, ...]
    revoked: tuple[str, ...]
    holders: tuple[Holder, ...]

    @property
    def people(self) -> tuple[str, ...]:
        """Everyone who received an affected version."""
        return tuple(dict.fromkeys(one.who for one in self.deliveries))


def impact(tainted: Sequence[str], *, links: Iterable[Link], rows: Iterable[Row]) -> Impact:
    """Every descendant, every alias that pointed to one and when, everyone who retrieved one.

    `rows` are alias_set, status_changed and retrieval rows of at least the affected versions and of
    their models' aliases, and the registered rows of the tainted ones.
    """
    reached = descendants(links, tainted)
    affected = {one.version for one in reached}
    ordered = sorted(rows, key=lambda row: row.order)
    revoked = [
        row.version
        for row in ordered
        if row.kind == "status_changed" and row.version in affected and row.details.get("status") == REVOKED
    ]
    return Impact(
        tainted=tuple(tainted),
        versions=tuple(reached),
        aliases=tuple(_pointed(ordered, affected)),
        deliveries=tuple(_delivered(ordered, affected)),
        revoked=tuple(dict.fromkeys(version for version in revoked if version is not None)),
        holders=tuple(holders(ordered, *tainted)),
    )


def _pointed(ordered: Sequence[Row], affected: set[str]) -> list[Pointed]:
    moves: dict[tuple[str, str], list[Row]] = {}
    for row in ordered:
        if row.kind == "alias_set":
            moves.setdefault((row.model or "", row.text("name")), []).append(row)
    found = []
    for (model, alias), held in moves.items():
        ends: list[int | None] = [later.time for later in held[1:]]
        for row, until in zip(held, [*ends, None], strict=True):
            if row.version in affected:
                found.append(Pointed(model, alias, row.version, row.time, until, row.name))
    return sorted(found, key=lambda one: (one.since, one.name))


def _delivered(ordered: Sequence[Row], affected: set[str]) -> list[Delivered]:
    return [
        Delivered(version, who_of(row), row.time, row.place, row.opened.get("address"), row.name)
        for row in ordered
        if row.kind == "retrieval" and row.text("outcome") in ("", "served")
        for version in row.versions
        if version in affected
    ]
