"""What the projection holds that no event says: manifests, each of which answers for itself by its hash."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, Row, select

from registry.audit.fsck import Difference
from registry.core.ids import hex32, name_hash, sha256
from registry.core.manifest import parse_manifest
from registry.core.manifest_index import searchable
from registry.database import reading, snapshot
from registry.errors import RegistryError, VerificationFailed
from registry.index import schema


def names_in(engine: Engine) -> dict[int, str]:
    """The projection's namespaces by their numbers."""
    with reading(engine) as connection:
        return {row.namespace_id: row.name for row in connection.execute(select(schema.namespaces))}


def check_manifest_rows(engine: Engine) -> Iterator[Difference]:
    """Every manifest in the projection has its digest, and what is searched for is what it says."""
    with snapshot(engine) as connection:
        manifests = connection.execute(select(schema.manifests)).all()
        fields: dict[int, list[tuple[int, str, object]]] = {}
        for row in connection.execute(select(schema.fields)):
            value = row.number if row.text is None else row.text
            fields.setdefault(row.manifest, []).append((row.place, row.key, value))
    for number in sorted(fields.keys() - {row.number for row in manifests}):
        yield Difference("projection", f"manifest {number}", "fields of a manifest that is not there")
    for row in manifests:
        try:
            _check_manifest(row, fields.get(row.number, []))
        except RegistryError as e:
            yield Difference("projection", row.digest, e.message)


def _check_manifest(row: Row[Any], fields: list[tuple[int, str, object]]) -> None:
    body = row.body.encode()
    if hex32(sha256(body)) != row.digest:
        raise VerificationFailed("the manifest's bytes are not of its digest")
    manifest = parse_manifest(body)
    named = manifest.namespace, manifest.name, hex32(name_hash(manifest.name))
    if (row.namespace, row.name, row.name_hash) != named:
        raise VerificationFailed(
            f"the manifest is of {manifest.model}, its row says {row.namespace}/{row.name}"
        )
    said = [(place, key, value) for place, (key, value) in enumerate(searchable(manifest))]
    if sorted(fields, key=lambda field: field[0]) != said:
        raise VerificationFailed("the searchable fields are not those of the manifest")
