"""Pins and checks content beside sealing: an item counts as held once every byte was hashed here."""

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from miners.node.source import Source
from registry.core.cid import manifest_cid, weights_cid
from registry.core.ids import VersionId, hex32
from registry.core.manifest import parse_manifest
from registry.core.signing import recover
from registry.core.version import Domain, Version, submission_digest
from registry.errors import RegistryError, Unauthenticated, VerificationFailed
from registry.pool import Entry
from registry.storage.base import ContentStore

_log = logging.getLogger("miners")
_PARALLEL = 4


class Holdings:
    """What one miner holds of what is pending."""

    def __init__(self, store: ContentStore, source: Source, domain: Domain) -> None:
        self._domain = domain
        self._store = store
        self._source = source
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="pin")
        self._fetching: dict[VersionId, Future[None]] = {}
        self._fetched: deque[tuple[VersionId, bytes]] = deque()
        self._held: dict[VersionId, bytes] = {}

    def is_held(self, entry: Entry) -> bool:
        """Whether all bytes are here, checked, and so is the signature under these terms."""
        return self._held.get(entry.version_id) == entry.signature

    def want(self, entries: Sequence[Entry]) -> None:
        """Begin to fetch what is not here; a failed one is tried again the next time it is wanted."""
        for version_id, done in list(self._fetching.items()):
            if done.done():
                del self._fetching[version_id]
        while self._fetched:
            version_id, signature = self._fetched.popleft()
            self._held[version_id] = signature
        for entry in entries:
            if not self.is_held(entry) and entry.version_id not in self._fetching:
                self._fetching[entry.version_id] = self._pool.submit(self._fetch, entry)

    def settle(self, timeout_s: float) -> None:
        """Wait until what is being fetched is here or given up."""
        wait(list(self._fetching.values()), timeout_s)

    def forget(self, keep: set[VersionId]) -> None:
        """What is no longer pending need not be remembered here; its pin stays."""
        self._held = {version_id: known for version_id, known in self._held.items() if version_id in keep}

    def close(self) -> None:
        """Stop fetching."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, entry: Entry) -> None:
        try:
            # A gateway may be wrong or lie: what the contract would refuse must not count as waiting.
            signer = recover(submission_digest(self._domain, entry.submission), entry.signature)
            if signer != entry.submission.version.submitter:
                raise Unauthenticated(f"it is signed by {signer}")
            self._take(entry.submission.version, entry.version_id)
        except RegistryError as e:
            _log.warning("%s is not pinned yet: %s", hex32(entry.version_id), e)
        else:
            self._fetched.append((entry.version_id, entry.signature))

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
