"""What versions were made from, and what was made from them: parents on chain, the rest in manifests."""

from collections.abc import Sequence

from sqlalchemy import BindParameter, Engine, bindparam, literal, select, union_all

from registry.core.ids import VersionId, hex32
from registry.database import reading
from registry.index import schema as t
from registry.index.rows import raw_bytes

# Built once: an impact asks it for every few hundred versions it reaches.
_SOME: BindParameter[str] = bindparam("parents", expanding=True)
_LINKS = union_all(
    select(t.parents.c.version_id, t.parents.c.parent, literal("parent")).where(
        t.parents.c.parent.in_(_SOME)
    ),
    select(t.versions.c.version_id, t.fields.c.text, literal("component")).where(
        t.fields.c.key == "component",
        t.fields.c.text.in_(_SOME),
        t.manifests.c.number == t.fields.c.manifest,
        t.versions.c.manifest == t.manifests.c.digest,
    ),
)
_AT_ONCE = 500


class Relations:
    """Links between versions, and from them to their ingredients."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def is_at_hand(self) -> bool:
        """Whether a look takes microseconds and waits for nobody: a file of this machine, not a server."""
        return self.engine.dialect.name == "sqlite"

    def links_below(self, parents: Sequence[str]) -> list[tuple[str, str, str]]:
        """Child, parent and role of each link to these: `parent`, or `component` where a manifest says so."""
        found: list[tuple[str, str, str]] = []
        with reading(self.engine) as connection:
            for start in range(0, len(parents), _AT_ONCE):
                some = {"parents": parents[start : start + _AT_ONCE]}
                found += connection.execute(_LINKS, some)
        return found

    def children(self, version_ids: Sequence[VersionId]) -> dict[VersionId, list[VersionId]]:
        """The versions that name each of these as a parent or, in their manifests, as a component."""
        named = {hex32(version_id): version_id for version_id in version_ids}
        found: dict[VersionId, dict[VersionId, None]] = {version_id: {} for version_id in version_ids}
        for child, parent, _ in self.links_below(list(named)):
            found[named[parent]][VersionId(raw_bytes(child))] = None
        return {version_id: list(children) for version_id, children in found.items()}

    def components(self, version_ids: Sequence[VersionId]) -> list[VersionId]:
        """What the manifests of these versions name as their components."""
        wanted = [hex32(version_id) for version_id in version_ids]
        found: dict[str, None] = {}
        with reading(self.engine) as connection:
            for start in range(0, len(wanted), 500):
                query = select(t.fields.c.text).where(
                    t.fields.c.key == "component",
                    t.manifests.c.number == t.fields.c.manifest,
                    t.versions.c.manifest == t.manifests.c.digest,
                    t.versions.c.version_id.in_(wanted[start : start + 500]),
                )
                found.update(dict.fromkeys(connection.execute(query).scalars()))
        return [VersionId(raw_bytes(text)) for text in found]

    def with_ingredient(self, value: str) -> list[VersionId]:
        """Sealed versions whose manifests name this device, update or dataset, oldest first."""
        keys = ("participant", "participant.update_sha256", "dataset", "dataset.sha256")
        query = (
            select(t.versions.c.version_id)
            .join(t.manifests, t.manifests.c.digest == t.versions.c.manifest)
            .join(t.fields, t.fields.c.manifest == t.manifests.c.number)
            .where(t.fields.c.key.in_(keys), t.fields.c.text == value)
            .order_by(t.versions.c.block, t.versions.c.log_index)
        )
        with reading(self.engine) as connection:
            found = dict.fromkeys(connection.execute(query).scalars())
        return [VersionId(raw_bytes(version_id)) for version_id in found]
