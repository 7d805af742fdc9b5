"""Rows of the projection as records: how a version, a member, a model and a reference are read."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, select

from registry.core.ids import Role, Status, VersionId, hex32, model_id, to_address
from registry.core.refs import CHAMPION, Reference
from registry.core.version import Version
from registry.errors import Conflict
from registry.index import schema as t
from registry.index.records import BlockMark, MemberRow, ModelRow, SealRow, VersionRow
from registry.statements import Lookup

_NEWEST = Lookup(select(t.blocks).order_by(t.blocks.c.number.desc()).limit(1))


def newest_block(connection: Connection) -> BlockMark | None:
    """The last projected block."""
    row = _NEWEST.first(connection)
    return None if row is None else BlockMark(row.number, bytes.fromhex(row.hash[2:]), row.time)


def current_status() -> Select[tuple[int]]:
    """The newest status of the version in the enclosing query; NULL where it never changed."""
    return (
        select(t.statuses.c.status)
        .where(t.statuses.c.version_id == t.versions.c.version_id)
        .order_by(t.statuses.c.block.desc(), t.statuses.c.log_index.desc())
        .limit(1)
    )


def version_query() -> Select[tuple[object, ...]]:
    """Versions with the rows that complete them; narrow it with `where`."""
    return (
        select(
            t.versions,
            t.blocks.c.hash.label("block_hash"),
            t.blocks.c.time.label("block_time"),
            t.manifests.c.namespace.label("manifest_namespace"),
            t.manifests.c.name.label("manifest_name"),
            t.manifests.c.body.label("manifest_body"),
            t.namespaces.c.name.label("namespace"),
            current_status().scalar_subquery().label("status"),
        )
        .join(t.blocks, t.blocks.c.number == t.versions.c.block)
        .join(t.namespaces, t.namespaces.c.namespace_id == t.versions.c.namespace_id)
        .outerjoin(t.manifests, names_manifest())
    )


def names_manifest() -> ColumnElement[bool]:
    """Joins a version with its manifest, unless that claims another model than the chain says."""
    return and_(
        t.manifests.c.digest == t.versions.c.manifest,
        t.manifests.c.name_hash == t.versions.c.name_hash,
        t.manifests.c.namespace == t.namespaces.c.name,
    )


def member_row(row: Any, keys: Sequence[Any]) -> MemberRow:
    """The record of one row of roles, with the member's rows of keys, oldest first."""
    return MemberRow(
        address=to_address(row.address),
        namespace_id=row.namespace_id,
        namespace=row.namespace or "",
        roles=Role(row.roles),
        x25519=raw_bytes(keys[-1].x25519) if keys else None,
        key_version=len(keys),
    )


def seal_query() -> Select[tuple[object, ...]]:
    """Versions with what `seal_row` reads, and no more: a page of receipts asks for hundreds."""
    v, b = t.versions.c, t.blocks.c
    columns = (v.version_id, v.number, v.block, v.tx_hash, v.event_index, b.hash, b.time)
    return (
        select(*columns, t.namespaces.c.name.label("namespace"), t.manifests.c.name.label("name"))
        .join(t.blocks, b.number == v.block)
        .join(t.namespaces, t.namespaces.c.namespace_id == v.namespace_id)
        .outerjoin(t.manifests, names_manifest())
    )


def seal_row(row: Any) -> SealRow:
    """The record of one row of `seal_query`."""
    return SealRow(
        version_id=VersionId(raw_bytes(row.version_id)),
        number=row.number,
        model=f"{row.namespace}/{row.name or ''}",
        block=row.block,
        block_hash=raw_bytes(row.hash),
        block_time=row.time,
        tx_hash=raw_bytes(row.tx_hash),
        event_index=row.event_index,
    )


def version_row(row: Any) -> VersionRow:
    """The record of one row of `version_query`."""
    version = Version(
        namespace_id=row.namespace_id,
        name_hash=raw_bytes(row.name_hash),
        weights_root=raw_bytes(row.weights_root),
        manifest=raw_bytes(row.manifest),
        parents=tuple(VersionId(raw_bytes(parent)) for parent in json.loads(row.parents)),
        size=row.size,
        salt=raw_bytes(row.salt),
        submitter=to_address(row.submitter),
    )
    return VersionRow(
        version=version,
        version_id=VersionId(raw_bytes(row.version_id)),
        number=row.number,
        namespace=row.namespace,
        name=row.manifest_name or "",
        fee_class=row.fee_class,
        fee=int(row.fee),
        tax=int(row.tax),
        status=Status(row.status or Status.ACTIVE),
        block=row.block,
        block_hash=raw_bytes(row.block_hash),
        block_time=row.block_time,
        tx_hash=raw_bytes(row.tx_hash),
        event_index=row.event_index,
        manifest=None if row.manifest_body is None else row.manifest_body.encode(),
    )


# Built once: to build a statement costs many times what SQLite takes to answer it.
_OF_MODEL = version_query().where(t.versions.c.model_id == bindparam("model"))
_NUMBERED = Lookup(_OF_MODEL.where(t.versions.c.number == bindparam("number")))
_POINTED = Lookup(_OF_MODEL.where(t.versions.c.version_id == bindparam("version")))
_NEWEST_ACTIVE = Lookup(
    _OF_MODEL.where(func.coalesce(current_status().scalar_subquery(), 1) == int(Status.ACTIVE))
    .order_by(t.versions.c.number.desc())
    .limit(1)
)
_BEGINNING = Lookup(
    version_query()
    .where(t.versions.c.version_id >= bindparam("first"), t.versions.c.version_id <= bindparam("last"))
    .limit(2)
)
_ALIAS = Lookup(
    select(t.aliases.c.version_id)
    .where(t.aliases.c.model_id == bindparam("model"), t.aliases.c.alias == bindparam("alias"))
    .order_by(t.aliases.c.block.desc(), t.aliases.c.log_index.desc())
    .limit(1)
)
_NAMESPACE = Lookup(select(t.namespaces.c.namespace_id).where(t.namespaces.c.name == bindparam("namespace")))
_newer = t.aliases.alias("newer")
_ALIASES = Lookup(
    select(t.aliases.c.alias)
    .where(
        t.aliases.c.version_id == bindparam("version"),
        ~select(_newer.c.block)
        .where(
            _newer.c.model_id == t.aliases.c.model_id,
            _newer.c.alias == t.aliases.c.alias,
            (_newer.c.block > t.aliases.c.block)
            | and_(_newer.c.block == t.aliases.c.block, _newer.c.log_index > t.aliases.c.log_index),
        )
        .exists(),
    )
    .distinct()
    .order_by(t.aliases.c.alias)
)


def resolved(connection: Connection, reference: Reference) -> VersionRow | None:
    """The version a reference means now; Conflict where a prefix begins more than one id."""
    row = _found(connection, reference)
    return None if row is None else version_row(row)


def _found(connection: Connection, reference: Reference) -> Any:
    if reference.version_prefix is not None:
        prefix = reference.version_prefix
        rows = _BEGINNING.rows(connection, first=prefix, last=prefix + "g")
        if len(rows) > 1:
            raise Conflict(f"{prefix} is the beginning of more than one version id", hint="write more digits")
        return rows[0] if rows else None
    model = model_key(connection, reference.namespace or "", reference.name or "")
    if reference.number is not None:
        return _NUMBERED.first(connection, model=model, number=reference.number)
    pointed = _ALIAS.first(connection, model=model, alias=reference.alias or CHAMPION)
    if pointed is not None:
        return _POINTED.first(connection, model=model, version=pointed.version_id)
    if reference.alias is not None:
        return None
    return _NEWEST_ACTIVE.first(connection, model=model)


def aliases(connection: Connection, version_id: VersionId) -> list[str]:
    """The aliases that point at a version now."""
    return [row.alias for row in _ALIASES.rows(connection, version=hex32(version_id))]


def model_key(connection: Connection, namespace: str, name: str) -> str:
    row = _NAMESPACE.first(connection, namespace=namespace)
    # No namespace has the number 0, so a name nobody registered matches nothing.
    return hex32(model_id(row.namespace_id if row else 0, name))


def model_row(connection: Connection, model: str, full_name: str, number: int) -> ModelRow:
    namespace, name = full_name.split("/", 1)
    newest = connection.execute(
        select(t.versions.c.version_id).where(t.versions.c.model_id == model, t.versions.c.number == number)
    ).scalar_one()
    changes = connection.execute(
        select(t.aliases.c.alias, t.aliases.c.version_id)
        .where(t.aliases.c.model_id == model)
        .order_by(t.aliases.c.block, t.aliases.c.log_index)
    )
    pointed = {change.alias: VersionId(raw_bytes(change.version_id)) for change in changes}
    return ModelRow(namespace, name, number, VersionId(raw_bytes(newest)), pointed)


def raw_bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
