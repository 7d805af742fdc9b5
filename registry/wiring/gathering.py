"""What came in through another gateway: found, fetched, checked and pinned here.

That is the content of sealed versions, and the documents that tasks rest on: without a payout file no gateway
could say what a device is owed. A miner's seal says that the bytes exist, not that they are here. They are
looked for in the store's own swarm, when it has one, and then at the peers of the settings, from /ipfs.
Whoever gives them is not believed: the store hashes every block.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, runtime_checkable

from miners.node import HttpSource
from registry.chain.rewards import TaskTerms
from registry.core.cid import RAW, Cid, manifest_cid, weights_cid
from registry.core.ids import VersionId, hex32, parse_hex32
from registry.core.manifest import parse_manifest
from registry.errors import InvalidManifest, Malformed, NotFound, RegistryError
from registry.index import Index, Line, VersionRow
from registry.pool import Pool
from registry.storage.base import ContentStore, Pin

_log = logging.getLogger("registry.gathering")
_RETRY_S = 5.0
_PAGE = 200
_PARAMETERS = TaskTerms.__match_args__.index("parameters")


@runtime_checkable
class Swarming(Protocol):
    """A store that can fetch a DAG from others of its kind."""

    def pull(self, cid: Cid) -> None:
        """Fetch it; Unavailable or NotFound when nobody gives it."""


class Gathering:
    """Keeps the store complete: every sealed version is held and pinned."""

    def __init__(
        self,
        store: ContentStore,
        index: Index,
        pool: Pool,
        peers: Sequence[HttpSource],
        changed: Callable[[], None],
        log: str,
    ) -> None:
        """`log` is the origin of this gateway's own log: what it promised in it, it has pinned."""
        self._store = store
        self._log = log
        self._index = index
        self._pool = pool
        self._peers = tuple(peers)
        self._changed = changed
        self._wanted: dict[VersionId, None] = {}
        self._documents: dict[Pin, None] = {}
        self._lock = threading.Lock()
        self._news = threading.Event()

    def sealed(self, lines: Sequence[Line], _block: int) -> None:
        """A listener of the follower: what was registered is wanted, and what tasks rest on.

        What came through this gateway was pinned before it was taken into the pool.
        """
        found = [VersionId(line.args["versionId"]) for line in lines if line.name == "Registered"]
        ours = self._pool.promised_by(self._log, found)
        documents = documents_of((line.name, line.shown) for line in lines)
        self.want([version_id for version_id in found if version_id not in ours], documents)

    def want(self, version_ids: Sequence[VersionId], documents: Sequence[Pin] = ()) -> None:
        """Look after these from now on."""
        if not version_ids and not documents:
            return
        with self._lock:
            self._wanted.update(dict.fromkeys(version_ids))
            self._documents.update(dict.fromkeys(documents))
        self._news.set()

    def run(self, stop: threading.Event) -> None:
        """Gather until told to stop; what is nowhere to be had is asked for again."""
        while not stop.is_set():
            self._news.clear()
            try:
                if self.step():
                    continue
            except RegistryError as e:
                _log.warning("gathering waits: %s", e)
            self._news.wait(_RETRY_S if self._wanted or self._documents else 1.0)

    def step(self) -> bool:
        """Look once at what is wanted; whether anything was gathered."""
        with self._lock:
            wanted, documents = list(self._wanted), list(self._documents)
        gathered = False
        for document in documents:
            self._keep(document)
        for start in range(0, len(wanted), _PAGE):
            page = wanted[start : start + _PAGE]
            rows = self._index.versions(page)
            for version_id in page:
                gathered |= self._settle(version_id, rows.get(version_id))
        if gathered:
            self._changed()
        return gathered

    def _keep(self, document: Pin) -> None:
        try:
            if not self._store.has(document.cid):
                self._fetch(document.cid)
            self._store.pin_each([document])
        except RegistryError as e:
            _log.info("%s is not here yet: %s", document.owner, e)
            return
        with self._lock:
            self._documents.pop(document, None)

    def _settle(self, version_id: VersionId, row: VersionRow | None) -> bool:
        try:
            if row is not None:
                self._gather(row)
        except (NotFound, InvalidManifest) as e:
            _log.info("%s is not here yet: %s", hex32(version_id), e)
            return False
        except RegistryError as e:
            _log.warning("%s cannot be gathered now: %s", hex32(version_id), e)
            return False
        # A version that is no longer in the index was undone by a reorganisation; it is announced again.
        with self._lock:
            self._wanted.pop(version_id, None)
        return row is not None

    def _gather(self, row: VersionRow) -> None:
        version = row.version
        cids = (manifest_cid(version.manifest), weights_cid(version.weights_root))
        for cid in cids:
            if not self._store.has(cid):
                self._fetch(cid)
        files = [file.cid for file in parse_manifest(self._store.block(cids[0])).files]
        owner = f"version:{hex32(row.version_id)}"
        self._store.pin_each([Pin(cid, owner) for cid in (*cids, *files)])

    def _fetch(self, cid: Cid) -> None:
        failures: list[RegistryError] = []
        for way in (*self._swarm(), *(self._from(peer) for peer in self._peers)):
            try:
                way(cid)
            except RegistryError as e:
                failures.append(e)
            else:
                return
        raise failures[0] if failures else NotFound(f"{cid} is not here, and gateway.peers names nobody")

    def _swarm(self) -> Sequence[Callable[[Cid], object]]:
        return (self._store.pull,) if isinstance(self._store, Swarming) else ()

    def _from(self, peer: HttpSource) -> Callable[[Cid], object]:
        return lambda cid: self._store.put_car(peer.car((cid,)))


def unpinned(store: ContentStore, index: Index) -> list[VersionId]:
    """The sealed versions without a pin here, to begin with."""
    held = {pin.owner.removeprefix("version:") for pin in store.pins()}
    return [version_id for version_id in index.version_ids() if hex32(version_id) not in held]


def documents_of(events: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Pin]:
    """What events of RewardPool (their arguments as JSON) say that a task rests on."""
    found = []
    for name, args in events:
        if name == "TaskOpened":
            cid = Cid(RAW, parse_hex32(args["terms"][_PARAMETERS]))
            found.append(Pin(cid, f"task-parameters:{cid}"))
        elif name == "RoundSettled":
            # A settlement that no gateway relayed may name anything at all: there is no such file.
            with suppress(Malformed):
                cid = Cid.of_raw(bytes.fromhex(args["payouts"][2:]))
                found.append(Pin(cid, f"payouts:{cid}"))
    return found
