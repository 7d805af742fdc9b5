"""What a gateway holds beside its logs, row by row: what is signed or hashed is checked against that.

Of a pool's row its own signatures answer for everything but the state, the time of arrival and the reason.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Engine, Row, select

from registry.audit.fsck import Difference
from registry.core.ids import hex32, name_hash, sha256
from registry.core.manifest import parse_manifest
from registry.core.manifest_index import searchable
from registry.core.note import VerifierKey
from registry.core.promise import Promise, verify_promise
from registry.core.signing import recover
from registry.core.version import Domain, submission_digest
from registry.database import reading
from registry.errors import RegistryError, VerificationFailed
from registry.index import schema
from registry.pool import PoolState
from registry.pool.schema import submissions
from registry.wire import SignedSubmission, parse_body, signature_of, submission_of


def check_pool_rows(
    engine: Engine, domain: Domain, key: VerifierKey | None, namespaces: Mapping[int, str]
) -> Iterator[Difference]:
    """Every submission's row is what its submitter signed, and its promise is this gateway's (`key`)."""
    with reading(engine) as connection:
        rows = connection.execute(select(submissions).order_by(submissions.c.sequence)).all()
    for row in rows:
        try:
            _check_row(row, domain, namespaces)
            if row.promise is not None and key is not None:
                verify_promise(Promise.from_json(json.loads(row.promise)), key)
        except (RegistryError, ValueError, TypeError) as e:
            yield Difference("pool", f"submission {row.sequence}", str(e))


def names_in(engine: Engine) -> dict[int, str]:
    """The projection's namespaces by their numbers."""
    with reading(engine) as connection:
        return {row.namespace_id: row.name for row in connection.execute(select(schema.namespaces))}


def _check_row(row: Row[Any], domain: Domain, namespaces: Mapping[int, str]) -> None:
    PoolState(row.state)
    body = parse_body(SignedSubmission, json.loads(row.body))
    submission = submission_of(body.submission)
    version = submission.version
    signer = recover(submission_digest(domain, submission), signature_of(body.signature))
    if signer != version.submitter:
        raise VerificationFailed(f"the signature is of {signer}, not of the submitter {version.submitter}")
    stated = {
        "version_id": hex32(version.id),
        "submitter": version.submitter,
        "issued_at": submission.issued_at,
        "deadline": submission.deadline,
        "reserved": str(submission.reserve),
    }
    for column, value in stated.items():
        if getattr(row, column) != value:
            raise VerificationFailed(f"{column} says {getattr(row, column)}, what was signed says {value}")
    namespace, _, name = row.model.partition("/")
    # A projection that is yet to be built knows no namespace at all: then only the name can be compared.
    is_foreign = bool(namespaces) and namespaces.get(version.namespace_id) != namespace
    if is_foreign or name_hash(name) != version.name_hash:
        raise VerificationFailed(f"the model says {row.model}, and another one was signed")


def check_manifest_rows(engine: Engine) -> Iterator[Difference]:
    """Every manifest in the projection has its digest, and what is searched for is what it says."""
    with reading(engine) as connection:
        manifests = connection.execute(select(schema.manifests)).all()
        fields: dict[str, list[tuple[str, object]]] = {}
        for row in connection.execute(select(schema.fields)):
            value = row.number if row.text is None else row.text
            fields.setdefault(row.digest, []).append((row.key, value))
    for digest in sorted(fields.keys() - {row.digest for row in manifests}):
        yield Difference("projection", digest, "fields of a manifest that is not there")
    for row in manifests:
        try:
            _check_manifest(row, fields.get(row.digest, []))
        except RegistryError as e:
            yield Difference("projection", row.digest, e.message)


def _check_manifest(row: Row[Any], fields: list[tuple[str, object]]) -> None:
    body = row.body.encode()
    if hex32(sha256(body)) != row.digest:
        raise VerificationFailed("the manifest's bytes are not of its digest")
    manifest = parse_manifest(body)
    named = manifest.namespace, manifest.name, hex32(name_hash(manifest.name))
    if (row.namespace, row.name, row.name_hash) != named:
        raise VerificationFailed(
            f"the manifest is of {manifest.model}, its row says {row.namespace}/{row.name}"
        )
    if sorted(fields, key=repr) != sorted(searchable(manifest), key=repr):
        raise VerificationFailed("the searchable fields are not those of the manifest")
