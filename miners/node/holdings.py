"""Pins and checks content beside sealing: an item counts as held once every byte was hashed here."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from miners.node.source import Source
from registry.core.cid import manifest_cid, weights_cid
from registry.core.ids import VersionId, hex32
from registry.core.manifest import parse_manifest
from registry.core.version import Version
from registry.errors import RegistryError, VerificationFailed
from registry.storage.base import ContentStore

_log = logging.getLogger("miners")
_PARALLEL = 4


class Holdings:
    """What one miner holds of what is pending."""

    def __init__(self, store: ContentStore, source: Source) -> None:
        self._store = store
        self._source = source
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="pin")
        self._fetching: dict[VersionId, Future[None]] = {}
        self._held: set[VersionId] = set()

    def is_held(self, version_id: VersionId) -> bool:
        """Whether all bytes are here, checked."""
        return version_id in self._held

    def want(self, versions: Sequence[Version]) -> None:
        """Begin to fetch what is not here; a failed one is tried again the next time it is wanted."""
        for version_id, done in list(self._fetching.items()):
            if done.done():
                del self._fetching[version_id]
        for version in versions:
            version_id = version.id
            if version_id not in self._held and version_id not in self._fetching:
                self._fetching[version_id] = self._pool.submit(self._fetch, version, version_id)

    def settle(self, timeout_s: float) -> None:
        """Wait until what is being fetched is here or given up."""
        wait(list(self._fetching.values()), timeout_s)

    def forget(self, keep: set[VersionId]) -> None:
        """What is no longer pending need not be remembered here; its pin stays."""
        self._held &= keep

    def close(self) -> None:
        """Stop fetching."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, version: Version, version_id: VersionId) -> None:
        try:
            self._take(version, version_id)
        except RegistryError as e:
            _log.warning("%s is not pinned yet: %s", hex32(version_id), e)
        else:
            self._held.add(version_id)

    def _take(self, version: Version, version_id: VersionId) -> None:
        cids = (manifest_cid(version.manifest), weights_cid(version.weights_root))
        for cid in cids:
            if not self._store.has(cid):
                self._store.put_car(self._source.car(cid))
        manifest = parse_manifest(self._store.block(cids[0]))
        held = self._store.stat(cids[1]).size + len(manifest.bytes)
        if held != version.size or manifest.size != version.size:
            raise VerificationFailed(
                f"{hex32(version_id)} holds {held} bytes, its submission says {version.size}"
            )
        self._store.pin_all(cids, f"version:{hex32(version_id)}")
