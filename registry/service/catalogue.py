"""Finding and reading what is sealed: references, search, lineage, manifests and files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from registry.core.cid import Cid
from registry.core.ids import Status, VersionId, hex32
from registry.core.manifest import FileEntry, Manifest
from registry.core.private import read_header
from registry.core.refs import Reference, parse_reference
from registry.errors import NotFound
from registry.index import GrantChange, Index, ModelRow, Search, SearchPage, VersionRow
from registry.index.search import search
from registry.service.content import Content
from registry.service.manifests import Manifests

_Step = Callable[[list[VersionRow]], list[VersionId]]
Direction = Literal["up", "down", "both"]
MAX_DEPTH = 1_000


@dataclass(frozen=True, slots=True)
class Kin:
    """A version in the lineage of another: its distance, and the versions it comes from."""

    row: VersionRow
    depth: int
    parents: tuple[VersionId, ...]


class Catalogue:
    """Reads over the projection and the store."""

    def __init__(self, index: Index, content: Content, manifests: Manifests) -> None:
        self.index = index
        self._content = content
        self._manifests = manifests

    def resolve(self, reference: str | Reference) -> VersionRow:
        """The version that a reference means now."""
        read = parse_reference(reference) if isinstance(reference, str) else reference
        return self.index.resolve(read)

    def show(self, reference: Reference) -> tuple[VersionRow, list[str]]:
        """The version that a reference means now, and the aliases that point at it."""
        return self.index.show(reference)

    def search(self, wanted: Search) -> SearchPage:
        """Versions whose manifests fit."""
        return search(self.index.engine, wanted)

    def models(self, *, after: str, limit: int) -> list[ModelRow]:
        """Models in order of their names."""
        return self.index.models(after=after, limit=limit)

    def model(self, namespace: str, name: str, *, after: int, limit: int) -> list[VersionRow]:
        """The versions of one model whose numbers are above `after`; NotFound when it has none at all."""
        rows = self.index.of_model(namespace, name, after=after, limit=limit)
        if not rows and not self.index.of_model(namespace, name, limit=1):
            raise NotFound(f"nothing is registered as {namespace}/{name}")
        return rows

    def manifest(self, row: VersionRow) -> Manifest:
        """The manifest of a version, from the index or from the store."""
        return self._manifests.read(row.version.manifest, row.manifest)

    def file(self, row: VersionRow, path: str) -> FileEntry:
        """One file of a version by its path in the manifest."""
        for entry in self.manifest(row).files:
            if entry.path == path:
                return entry
        raise NotFound(f"{row.model} v{row.number} has no file {path!r}", hint="see its manifest")

    def grants(self, row: VersionRow) -> list[GrantChange]:
        """Who is meant to read a private version: the manifest's readers, then what the chain changed."""
        header = read_header(self.manifest(row).fields.encryption)
        standing = {
            wrap.reader: GrantChange(
                wrap.reader,
                row.version.submitter,
                wrap.key_version,
                wrap.wrapped_key,
                row.block,
                row.block_time,
            )
            for wrap in (header.wraps if header else ())
        }
        standing |= {change.reader: change for change in self.index.grant_history(row.version_id)}
        return [grant for _, grant in sorted(standing.items()) if grant.wrapped_key is not None]

    def read(self, cid: Cid, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Verified bytes of a file or a range of it."""
        return self._content.get(cid, offset=offset, length=length)

    def lineage(self, row: VersionRow, direction: Direction, depth: int) -> list[Kin]:
        """Ancestors (`up`), descendants (`down`) or both, nearest first, each once; `row` is depth 0."""
        found = [Kin(row, 0, row.version.parents)]
        if direction in ("up", "both"):
            found += self._walk(row, depth, self._parents)
        if direction in ("down", "both"):
            found += self._walk(row, depth, self._children)
        return found

    def _walk(self, row: VersionRow, depth: int, step: _Step) -> list[Kin]:
        seen = {row.version_id}
        frontier = [row]
        found: list[Kin] = []
        for distance in range(1, min(depth, MAX_DEPTH) + 1):
            wanted = [version_id for version_id in step(frontier) if version_id not in seen]
            seen.update(wanted)
            rows = self.index.versions(dict.fromkeys(wanted))
            frontier = [rows[version_id] for version_id in dict.fromkeys(wanted) if version_id in rows]
            if not frontier:
                break
            found += [Kin(near, distance, near.version.parents) for near in frontier]
        return found

    def _parents(self, rows: list[VersionRow]) -> list[VersionId]:
        stated = [parent for row in rows for parent in row.version.parents]
        return [*stated, *self.index.components([row.version_id for row in rows])]

    def _children(self, rows: list[VersionRow]) -> list[VersionId]:
        children = self.index.children([row.version_id for row in rows])
        return [child for row in rows for child in children[row.version_id]]


def status_name(status: Status) -> str:
    """`active`, `deprecated`, `revoked` or `cancelled`."""
    return status.name.lower()


def describe(row: VersionRow) -> str:
    """How a version is named to people: model, number and id."""
    return f"{row.model} v{row.number} ({hex32(row.version_id)})"
