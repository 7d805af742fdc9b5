"""Reads of the projection: what is current, and what was."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Engine, bindparam, func, select, union

from registry.core.cid import RAW, Cid
from registry.core.ids import Address, Status, VersionId, hex32, to_address
from registry.core.refs import Reference
from registry.database import reading, snapshot
from registry.errors import NotFound
from registry.index import schema as t
from registry.index.records import (
    BlockMark,
    CellRow,
    GrantChange,
    MemberRow,
    ModelRow,
    SealRow,
    VersionRow,
)
from registry.index.relations import Relations
from registry.index.remembered import Remembered
from registry.index.rows import (
    aliases,
    current_status,
    member_row,
    model_key,
    model_row,
    names_manifest,
    newest_block,
    raw_bytes,
    resolved,
    seal_query,
    seal_row,
    version_query,
    version_row,
)
from registry.statements import Among, Lookup

# Built once: every signed request asks who its caller is.
_ROLES = (
    select(t.memberships, t.namespaces.c.name.label("namespace"))
    .outerjoin(t.namespaces, t.namespaces.c.namespace_id == t.memberships.c.namespace_id)
    .order_by(t.memberships.c.block, t.memberships.c.log_index)
)
_ROLES_OF = Lookup(_ROLES.where(t.memberships.c.address == bindparam("address")))
_KEYS = select(t.keys).order_by(t.keys.c.block, t.keys.c.log_index)
_KEYS_OF = Lookup(_KEYS.where(t.keys.c.address == bindparam("address")))
_THESE = Among(t.versions.c.version_id)
_VERSIONS = Lookup(version_query().where(_THESE))
_SEALS = Lookup(seal_query().where(_THESE))
_PLACES = Lookup(select(t.versions.c.version_id, t.versions.c.block).where(_THESE))
_STATUSES = Lookup(
    select(t.versions.c.version_id, current_status().scalar_subquery().label("status")).where(_THESE)
)
_CANCELLED = Lookup(
    select(t.cancellations.c.version_id, func.max(t.cancellations.c.time).label("time"))
    .where(Among(t.cancellations.c.version_id))
    .group_by(t.cancellations.c.version_id)
)

MAX_NAMING = 200
"""So many versions of one content are told apart; an entry that names them all is still small."""


class Index(Relations):
    """Answers about sealed versions, members and cells."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._members = Remembered[Address, MemberRow | None](engine)

    def resolve(self, reference: Reference) -> VersionRow:
        """The version a reference means now; NotFound, or Conflict for an ambiguous prefix."""
        with reading(self.engine) as connection:
            row = resolved(connection, reference)
        if row is None:
            raise self._nothing(reference)
        return row

    def show(self, reference: Reference) -> tuple[VersionRow, list[str]]:
        """The same, with the aliases that point at it."""
        with reading(self.engine) as connection:
            row = resolved(connection, reference)
            if row is not None:
                return row, aliases(connection, row.version_id)
        raise self._nothing(reference)

    def _nothing(self, reference: Reference) -> NotFound:
        model, has_suffix = reference.model, "@" in str(reference)
        if model is not None and not has_suffix and self.of_model(*model.split("/", 1), limit=1):
            return NotFound(
                f"{model} has no champion and no active version", hint=f"list them: twinledger ls {model}"
            )
        return NotFound(f"nothing is registered as {reference}", reference=str(reference))

    def version(self, version_id: VersionId) -> VersionRow | None:
        """The sealed version of that id."""
        return next(iter(self.versions([version_id]).values()), None)

    def versions(self, version_ids: Iterable[VersionId]) -> dict[VersionId, VersionRow]:
        """Those of the versions that are sealed."""
        return {row.version_id: row for row in map(version_row, self._each(_VERSIONS, version_ids))}

    def seals(self, version_ids: Iterable[VersionId]) -> dict[VersionId, SealRow]:
        """Where those of the versions are that are sealed: all that a receipt needs."""
        return {row.version_id: row for row in map(seal_row, self._each(_SEALS, version_ids))}

    def _each(self, lookup: Lookup, version_ids: Iterable[VersionId]) -> list[Any]:
        with reading(self.engine) as connection:
            return lookup.rows(connection, keys=[hex32(version_id) for version_id in version_ids])

    def version_ids(self) -> list[VersionId]:
        """Every sealed version, in chain order."""
        query = select(t.versions.c.version_id).order_by(t.versions.c.block, t.versions.c.log_index)
        with reading(self.engine) as connection:
            return [VersionId(raw_bytes(text)) for text in connection.execute(query).scalars()]

    def sealed(self, version_ids: Iterable[VersionId]) -> dict[VersionId, Status]:
        """The present status of those versions that are sealed: the cheap form of `versions`."""
        rows = self._each(_STATUSES, version_ids)
        return {VersionId(raw_bytes(row.version_id)): Status(row.status or 1) for row in rows}

    def places(self, version_ids: Iterable[VersionId]) -> dict[str, int]:
        """The block of each of those versions that are sealed, by its id in hex."""
        return {row.version_id: row.block for row in self._each(_PLACES, version_ids)}

    def cancelled(self, version_ids: Iterable[VersionId]) -> dict[VersionId, int]:
        """When each version that ever was cancelled was so last."""
        rows = self._each(_CANCELLED, version_ids)
        return {VersionId(raw_bytes(row.version_id)): row.time for row in rows}

    def naming(self, cid: Cid) -> list[VersionRow]:
        """Sealed versions, oldest first, of which this is a file or the whole; at most `MAX_NAMING`."""
        by_file = (
            select(t.versions.c.version_id, t.versions.c.block, t.versions.c.log_index)
            .join(t.manifests, t.manifests.c.digest == t.versions.c.manifest)
            .join(t.fields, t.fields.c.manifest == t.manifests.c.number)
            .where(t.fields.c.key == "file.cid", t.fields.c.text == str(cid))
        )
        as_whole = select(t.versions.c.version_id, t.versions.c.block, t.versions.c.log_index).where(
            t.versions.c.weights_root == hex32(cid.digest)
        )
        query = by_file if cid.codec == RAW else union(by_file, as_whole)
        found = query.order_by("block", "log_index").limit(MAX_NAMING)
        with reading(self.engine) as connection:
            ids = [VersionId(raw_bytes(row.version_id)) for row in connection.execute(found)]
        rows = self.versions(ids)
        return [rows[version_id] for version_id in ids if version_id in rows]

    def of_model(
        self, namespace: str, name: str, *, after: int = 0, limit: int | None = None
    ) -> list[VersionRow]:
        """The versions of a model whose numbers are above `after`, oldest first."""
        with reading(self.engine) as connection:
            model = model_key(connection, namespace, name)
            query = version_query().where(t.versions.c.model_id == model, t.versions.c.number > after)
            rows = connection.execute(query.order_by(t.versions.c.number).limit(limit)).all()
        return [version_row(row) for row in rows]

    def models(self, *, after: str = "", limit: int = 100) -> list[ModelRow]:
        """Models by name, from past `after` (`namespace/name`)."""
        full = t.namespaces.c.name + "/" + t.manifests.c.name
        query = (
            select(t.versions.c.model_id, full.label("model"), func.max(t.versions.c.number).label("number"))
            .join(t.namespaces, t.namespaces.c.namespace_id == t.versions.c.namespace_id)
            .join(t.manifests, names_manifest())
            .where(full > after)
            .group_by(t.versions.c.model_id, t.namespaces.c.name, t.manifests.c.name)
            .order_by(full)
            .limit(limit)
        )
        with reading(self.engine) as connection:
            return [model_row(connection, *row) for row in connection.execute(query)]

    def aliases_of(self, version_id: VersionId) -> list[str]:
        """The aliases that point at a version now."""
        with reading(self.engine) as connection:
            return aliases(connection, version_id)

    def grant_history(self, version_id: VersionId) -> list[GrantChange]:
        """Every grant of a version and every one taken back, oldest first."""
        query = (
            select(t.grants, t.blocks.c.time)
            .join(t.blocks, t.blocks.c.number == t.grants.c.block)
            .where(t.grants.c.version_id == hex32(version_id))
            .order_by(t.grants.c.block, t.grants.c.log_index)
        )
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return [
            GrantChange(
                reader=to_address(row.reader),
                actor=to_address(row.actor),
                key_version=row.key_version,
                wrapped_key=bytes.fromhex(row.wrapped_key[2:]) if row.wrapped_key else None,
                block=row.block,
                time=row.time,
            )
            for row in rows
        ]

    def member(self, address: Address) -> MemberRow | None:
        """A member as of now; None for an address that never was one."""
        return self._members.of(address, self._member)

    def _member(self, address: Address) -> MemberRow | None:
        with reading(self.engine) as connection:
            roles = _ROLES_OF.rows(connection, address=address)
            keys = _KEYS_OF.rows(connection, address=address) if roles else []
        return member_row(roles[-1], keys) if roles else None

    def members(self) -> list[MemberRow]:
        """Every address ever admitted, with its present roles."""
        with snapshot(self.engine) as connection:
            newest = {row.address: row for row in connection.execute(_ROLES)}
            keys: dict[str, list[Any]] = {}
            for row in connection.execute(_KEYS):
                keys.setdefault(row.address, []).append(row)
        return [member_row(row, keys.get(who, [])) for who, row in sorted(newest.items())]

    def namespace_id(self, name: str) -> int | None:
        """The number of a namespace."""
        query = select(t.namespaces.c.namespace_id).where(t.namespaces.c.name == name)
        with reading(self.engine) as connection:
            return connection.execute(query).scalar()

    def cells(self) -> list[CellRow]:
        """Every cell, with the gateway named last."""
        query = (
            select(t.cells, t.namespaces.c.name.label("namespace"))
            .join(t.namespaces, t.namespaces.c.namespace_id == t.cells.c.namespace_id)
            .order_by(t.cells.c.block, t.cells.c.log_index)
        )
        with reading(self.engine) as connection:
            newest = {(row.namespace, row.name): row.gateway for row in connection.execute(query)}
        return [CellRow(*place, to_address(gateway)) for place, gateway in sorted(newest.items())]

    def tip(self) -> BlockMark | None:
        """The last projected block."""
        with reading(self.engine) as connection:
            return newest_block(connection)

    def events_until(self, block: int) -> int:
        """How many events of the chain are projected up to this block."""
        query = select(func.count()).select_from(t.events).where(t.events.c.block <= block)
        with reading(self.engine) as connection:
            return int(connection.execute(query).scalar_one())
