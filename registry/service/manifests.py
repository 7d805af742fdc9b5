"""Manifests, parsed once: admission reads one, the follower at its seal, and who retrieves a file of it."""

import threading
from collections import OrderedDict

from registry.core.cid import manifest_cid
from registry.core.ids import sha256
from registry.core.manifest import Manifest, parse_manifest
from registry.errors import NotFound
from registry.storage.base import ContentStore

_KEPT_BYTES = 16 << 20


class Manifests:
    """Reads manifests by their digest and keeps the latest; a manifest is its bytes and never changes."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._kept: OrderedDict[bytes, Manifest] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, digest: bytes, at_hand: bytes | None = None) -> Manifest:
        """The manifest with that digest; NotFound when its bytes are not held and were not read before.

        `at_hand` is what the caller takes for its bytes.
        """
        known = self._known(digest)
        if known is not None:
            return known
        if at_hand is not None and sha256(at_hand) == digest:
            return self._keep(digest, parse_manifest(at_hand))
        return self._parsed(digest)

    def held(self, digest: bytes) -> Manifest:
        """The same, but NotFound also when its bytes were collected since they were read."""
        known = self._known(digest)
        if known is None:
            return self._parsed(digest)
        if not self._store.has(manifest_cid(digest)):
            raise NotFound(f"the manifest {manifest_cid(digest)} is not held here")
        return known

    def _known(self, digest: bytes) -> Manifest | None:
        with self._lock:
            return self._kept.get(digest)

    def _parsed(self, digest: bytes) -> Manifest:
        return self._keep(digest, parse_manifest(self._store.block(manifest_cid(digest))))

    def _keep(self, digest: bytes, manifest: Manifest) -> Manifest:
        with self._lock:
            if digest not in self._kept:
                self._kept[digest] = manifest
                self._bytes += len(manifest.bytes)
            while self._bytes > _KEPT_BYTES:
                _digest, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped.bytes)
        return manifest
