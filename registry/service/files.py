"""What admission must know of the files behind manifests; each is looked at once per request."""

import io
from collections.abc import Mapping

from registry.core.admission import ContentFacts
from registry.core.cid import Cid, weights_cid
from registry.core.ids import VersionId, hex32
from registry.core.manifest import FileEntry, Manifest
from registry.core.weights import inspect
from registry.errors import RegistryError, VerificationFailed
from registry.service.content import Content
from registry.service.storedfile import StoredFile
from registry.storage.base import Link, Pin
from registry.storage.unixfs import file_link, weights_root

_Files = tuple[FileEntry, ...]


class FileFacts:
    """One request's view of the store: many submissions may name the same files."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._sizes: dict[Cid, int | None] = {}
        self._roots: dict[_Files, bytes] = {}
        self._checked: dict[_Files, RegistryError | None] = {}

    def held(self, manifest: Manifest) -> ContentFacts:
        """Which of its files are missing, and the directory they make."""
        missing = tuple(file.cid for file in manifest.files if not self._is_held(file))
        root = self._roots.get(manifest.files)
        if root is None:
            root = self._roots[manifest.files] = weights_root(_entries(manifest.files)).cid.digest
        return ContentFacts(missing, root)

    def check(self, manifest: Manifest) -> None:
        """Look into the files: their sha-256, and what their formats promise."""
        if manifest.files not in self._checked:
            try:
                self._check(manifest.files)
                self._checked[manifest.files] = None
            except RegistryError as e:
                self._checked[manifest.files] = e
        failure = self._checked[manifest.files]
        if failure is not None:
            raise failure

    def pin(self, kept: Mapping[VersionId, Manifest]) -> None:
        """Store the directories of these versions and pin all they are made of, in one commit each."""
        self._content.store.put_directories(
            [_entries(files) for files in dict.fromkeys(manifest.files for manifest in kept.values())]
        )
        pins = []
        for version_id, manifest in kept.items():
            cids = (weights_cid(self._roots[manifest.files]), manifest.cid, *(f.cid for f in manifest.files))
            pins += [Pin(cid, f"version:{hex32(version_id)}") for cid in cids]
        self._content.named(pins)

    def _is_held(self, file: FileEntry) -> bool:
        if file.cid not in self._sizes:
            store = self._content.store
            self._sizes[file.cid] = store.stat(file.cid).size if store.has(file.cid) else None
        held = self._sizes[file.cid]
        if held is None:
            return False
        if held != file.size:
            raise VerificationFailed(f"{file.path} has {held} bytes, the manifest says {file.size}")
        return True

    def _check(self, files: _Files) -> None:
        digests = self._content.sha256_of(file.cid for file in files)
        for file in files:
            if digests[file.cid] != file.sha256:
                raise VerificationFailed(f"{file.path} has another sha-256 than the manifest says")
            with io.BufferedReader(StoredFile(self._content.store, file.cid, file.size)) as opened:
                inspect(file.format, opened)


def _entries(files: _Files) -> dict[str, Link]:
    return {file.path: file_link(file.cid, file.size) for file in files}
