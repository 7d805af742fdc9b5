"""Pins and checks content beside sealing: an item counts as held once every byte was hashed here."""

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from miners.node.source import Source
from registry.core.cid import Cid, manifest_cid, weights_cid
from registry.core.ids import VersionId, hex32
from registry.core.manifest import parse_manifest
from registry.core.signing import recover
from registry.core.version import Domain, Version, submission_digest
from registry.errors import RegistryError, Unauthenticated, VerificationFailed
from registry.pool import Entry
from registry.storage.base import ContentStore, Pin

_log = logging.getLogger("miners")
_PARALLEL = 4
_BATCH = 100
_SMALL = 1 << 20


class Holdings:
    """What one miner holds of what is pending."""

    def __init__(self, store: ContentStore, source: Source, domain: Domain) -> None:
        self._domain = domain
        self._store = store
        self._source = source
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="pin")
        self._fetching: dict[VersionId, Future[None]] = {}
        self._fetched: deque[tuple[VersionId, bytes]] = deque()
        self._arrived = threading.Event()
        self._held: dict[VersionId, bytes] = {}
        self._failed: set[VersionId] = set()

    def is_held(self, entry: Entry) -> bool:
        """Whether all bytes are here, checked, and so is the signature under these terms."""
        return self._held.get(entry.version_id) == entry.signature

    def want(self, entries: Sequence[Entry]) -> None:
        """Begin to fetch what is not here; a failed one is tried again the next time it is wanted."""
        for version_id, done in list(self._fetching.items()):
            if done.done():
                del self._fetching[version_id]
        self._arrived.clear()
        while self._fetched:
            version_id, signature = self._fetched.popleft()
            self._held[version_id] = signature
        new = [e for e in entries if not self.is_held(e) and e.version_id not in self._fetching]
        for batch in self._batches(new):
            done = self._pool.submit(self._fetch, batch)
            self._fetching.update((entry.version_id, done) for entry in batch)

    def _batches(self, entries: Sequence[Entry]) -> Iterator[list[Entry]]:
        """Small items by the hundred; what is large or failed before goes alone, to hold up nobody."""
        batch: list[Entry] = []
        for entry in entries:
            if entry.submission.version.size > _SMALL or entry.version_id in self._failed:
                yield [entry]
                continue
            batch.append(entry)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    @property
    def is_fetching(self) -> bool:
        """Whether something is on its way here."""
        return bool(self._fetching)

    def wait(self, timeout_s: float) -> None:
        """Return when something arrived whole, at the latest after the timeout: a failure wakes nobody."""
        self._arrived.wait(timeout_s)

    def settle(self, timeout_s: float) -> None:
        """Wait until what is being fetched is here or given up."""
        wait(list(self._fetching.values()), timeout_s)

    def forget(self, keep: set[VersionId]) -> None:
        """What is no longer pending need not be remembered here; its pin stays."""
        self._held = {version_id: known for version_id, known in self._held.items() if version_id in keep}
        self._failed &= keep

    def close(self) -> None:
        """Stop fetching."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fetch(self, batch: Sequence[Entry]) -> None:
        signed = [entry for entry in batch if self._is_signed(entry)]
        try:
            self._take(signed)
        except RegistryError as e:
            self._failed.update(entry.version_id for entry in batch)
            if len(batch) > 1:
                _log.debug("%d items are fetched one by one: %s", len(batch), e)
                return
            _log.warning("%s is not pinned yet: %s", hex32(batch[0].version_id), e)
        else:
            self._fetched.extend((entry.version_id, entry.signature) for entry in signed)
            self._arrived.set()

    def _is_signed(self, entry: Entry) -> bool:
        # A gateway may be wrong or lie: what the contract would refuse must not count as waiting.
        try:
            signer = recover(submission_digest(self._domain, entry.submission), entry.signature)
            if signer != entry.submission.version.submitter:
                raise Unauthenticated(f"it is signed by {signer}")
        except RegistryError as e:
            self._failed.add(entry.version_id)
            _log.warning("%s is not pinned yet: %s", hex32(entry.version_id), e)
            return False
        return True

    def _take(self, entries: Sequence[Entry]) -> None:
        """Fetch what is missing of these, check it, and pin it, each with one write."""
        named = [(entry, _cids(entry.submission.version)) for entry in entries]
        if missing := self._store.missing(cid for _entry, cids in named for cid in cids):
            self._store.put_car(self._source.car(missing))
        sizes: dict[Cid, int] = {}
        for entry, (manifest, weights) in named:
            if weights not in sizes:
                sizes[weights] = self._store.stat(weights).size
            self._check(entry, self._store.block(manifest), sizes[weights])
        self._store.pin_each(
            Pin(cid, owner)
            for entry, cids in named
            for owner in [f"version:{hex32(entry.version_id)}"]
            for cid in cids
        )

    def _check(self, entry: Entry, raw: bytes, weights_size: int) -> None:
        size = entry.submission.version.size
        held, promised = weights_size + len(raw), parse_manifest(raw).size
        if held != size or promised != size:
            raise VerificationFailed(
                f"{hex32(entry.version_id)} holds {held} bytes, its submission says {size}"
            )


def _cids(version: Version) -> tuple[Cid, Cid]:
    return manifest_cid(version.manifest), weights_cid(version.weights_root)
