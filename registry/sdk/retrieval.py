"""Retrieve: resolve, download, and believe nothing that was not hashed here.

The struct hash binds the record to its id, the manifest's digest is in the record, the files' CIDs and
sha-256 are in the manifest, and their directory is the record's weightsRoot. Nothing reaches the target
folder before all of it agrees.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote

from registry.core.canonical import canonical
from registry.core.ids import hex32, name_hash, sha256
from registry.core.manifest import FileEntry, Manifest, parse_manifest
from registry.core.refs import parse_reference
from registry.errors import Conflict, Malformed, StoreUnavailable, VerificationFailed
from registry.sdk.http import PIECE
from registry.sdk.private import Opened, Private
from registry.sdk.session import Session
from registry.storage.base import Link
from registry.storage.unixfs import import_file, weights_root
from registry.wire import PromiseBody, VersionAnswer, parse_body, version_of

PROMISE_HEADER = "twinledger-promise"
_ELSEWHERE = "choose another folder with -o DIR"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Where the verified files are, which version they are, and the gateway's word that it logged this."""

    path: Path
    version: VersionAnswer
    promise: PromiseBody | None


class Retriever:
    """Downloads and verifies versions."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def retrieve(self, reference: str, to: str | Path, *, allow_revoked: bool = False) -> Retrieved:
        """Put the verified files of a version into folder `to`; on any doubt nothing is written.

        A private version is decrypted for its readers; NotAuthorized for anyone else, before any load.
        """
        version = self.version(reference, allow_revoked=allow_revoked)
        manifest = self.manifest(version)
        opened = Private(self._session).opened(version, manifest)
        return self._put(version, manifest, Path(to), opened)

    def retrieve_stored(self, reference: str, to: str | Path) -> Retrieved:
        """The verified files as they are stored: of a private version the ciphertext."""
        version = self.version(reference, allow_revoked=True)
        return self._put(version, self.manifest(version), Path(to), None)

    def version(self, reference: str, *, allow_revoked: bool) -> VersionAnswer:
        """The version that a reference means, its id checked; Conflict for a revoked one unless asked for."""
        version = self._session.version(reference)
        check_identity(version, reference)
        if version.status == "revoked" and not allow_revoked:
            raise Conflict(
                f"{version.model} v{version.number} is revoked",
                hint="give --allow-revoked to retrieve it all the same",
            )
        return version

    def _put(
        self, version: VersionAnswer, manifest: Manifest, target: Path, opened: Opened | None
    ) -> Retrieved:
        staging = _staging(target)
        try:
            promise = self._download(version, manifest, staging)
            if opened is not None:
                for file in manifest.files:
                    opened.decrypt(file.path, staging / file.path)
            _publish(staging, target, manifest)
        except OSError as e:
            raise StoreUnavailable(
                f"{target} cannot be written: {e}", hint=f"free disk space, or {_ELSEWHERE}"
            ) from e
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return Retrieved(target, version, promise)

    def manifest(self, version: VersionAnswer) -> Manifest:
        """The manifest whose digest is in the record, and that names this model."""
        # The answer has it as JSON, and its canonical form is what was hashed: mostly nothing more is asked.
        raw = b""
        with suppress(Malformed):  # what has no canonical form is not what was hashed
            raw = canonical(version.manifest)
        if hex32(sha256(raw)) != version.version.manifest:
            with self._session.http.stream(f"/v1/versions/{version.version_id}/manifest") as response:
                raw = response.read()
        if hex32(sha256(raw)) != version.version.manifest:
            raise VerificationFailed(f"the manifest of {version.version_id} is not the one on chain")
        manifest = parse_manifest(raw)
        if (
            manifest.namespace != version.namespace
            or hex32(name_hash(manifest.name)) != version.version.name_hash
        ):
            raise VerificationFailed(f"the manifest of {version.version_id} names {manifest.model}")
        return manifest

    def _download(self, version: VersionAnswer, manifest: Manifest, folder: Path) -> PromiseBody | None:
        links: dict[str, Link] = {}
        promise = None
        for file in manifest.files:
            path = f"/v1/versions/{version.version_id}/files/{quote(file.path)}"
            destination = folder / file.path
            destination.parent.mkdir(parents=True, exist_ok=True)
            with self._session.http.stream(path) as response:
                given = response.getheader(PROMISE_HEADER)
                promise = parse_body(PromiseBody, json.loads(given)) if given else promise
                links[file.path] = _receive(file, _pieces(response), destination)
        if weights_root(links).cid.digest.hex() != version.version.weights_root[2:]:
            raise VerificationFailed(f"the files of {version.version_id} are not the directory on chain")
        return promise


def _staging(target: Path) -> Path:
    """A folder beside the target, so that what is verified there can be renamed into place."""
    if target.exists() and not target.is_dir():
        raise Conflict(f"{target} is a file, not a folder", hint=_ELSEWHERE)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as e:
        raise Conflict(f"no folder can be made beside {target}: {e.strerror}", hint=_ELSEWHERE) from e


def check_identity(version: VersionAnswer, reference: str) -> None:
    """The struct hashes to the id, and the id begins as it was asked for."""
    actual = hex32(version_of(version.version).id)
    if actual != version.version_id:
        raise VerificationFailed(f"the gateway calls {actual} by the id {version.version_id}")
    asked = parse_reference(reference)
    if asked.version_prefix is not None and not actual.startswith(asked.version_prefix):
        raise VerificationFailed(f"the gateway answered {actual} for {reference}")
    if asked.namespace is not None and version.model != f"{asked.namespace}/{asked.name}":
        raise VerificationFailed(f"the gateway answered {version.model} for {reference}")


def _receive(file: FileEntry, pieces: Iterator[bytes], destination: Path) -> Link:
    with destination.open("wb") as out:

        def written() -> Iterator[bytes]:
            for piece in pieces:
                out.write(piece)
                yield piece

        stored = import_file(written())
        out.flush()
        os.fsync(out.fileno())
    if stored.cid != file.cid or stored.sha256 != file.sha256 or stored.size != file.size:
        raise VerificationFailed(
            f"{file.path} arrived as {stored.cid} ({stored.size} bytes), the manifest says {file.cid}"
        )
    return stored


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(PIECE):
        yield piece


def _publish(staging: Path, target: Path, manifest: Manifest) -> None:
    if not target.exists():
        # Rename is atomic: a reader sees the whole version or none of it.
        staging.rename(target)
        return
    for file in manifest.files:
        place = target / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        (staging / file.path).replace(place)
