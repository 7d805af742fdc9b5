"""Bytes in and out: quotas, the CID that was promised, and collecting what nobody named."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from registry.config import Quotas
from registry.core.cid import RAW, Cid
from registry.errors import Malformed, NotFound, RateLimited, RegistryError, TooLarge, VerificationFailed
from registry.pool import Upload, Uploads
from registry.storage.base import CarResult, ContentStore, Link, Pin, Stored
from registry.storage.dagpb import DIRECTORY, decode_node, decode_unixfs
from registry.storage.reader import whole_files

ANONYMOUS = "anonymous"
SCOPES = ("all", "entity", "block")


@dataclass(frozen=True, slots=True)
class TakenCar(CarResult):
    """A CAR as it came, with the sha-256 of the archive's own bytes."""

    sha256: bytes


class Content:
    """The content side of the service."""

    def __init__(
        self,
        store: ContentStore,
        uploads: Uploads,
        quotas: Quotas,
        file_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self._uploads = uploads
        self._quotas = quotas
        self._file_bytes = file_bytes
        self._clock = clock
        self._arriving: dict[str, int] = {}
        self._lock = threading.Lock()

    def put(self, chunks: Iterable[bytes], *, caller: str | None, expected: Cid | None = None) -> Stored:
        """Take one file; VerificationFailed when its bytes are not `expected`, RateLimited over the quota."""
        who = caller or ANONYMOUS
        stored = self.store.put(self._metered(chunks, who))
        if expected is not None and stored.cid != expected:
            raise VerificationFailed(
                f"the bytes are {stored.cid}, not {expected}",
                hint="compute the CID with profile unixfs-v1-2025 (1 MiB chunks, width 1024, raw leaves)",
            )
        self._remember([stored], who)
        return stored

    def put_car(self, chunks: Iterable[bytes], *, caller: str | None) -> TakenCar:
        """Take the blocks of a CAR; each whole file that is a root, or in a root's directory, is an upload.

        A root that contradicts itself is refused after its blocks are counted: the store has them by then.
        """
        who = caller or ANONYMOUS
        running, received = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal received
            for chunk in self._metered(chunks, who):
                running.update(chunk)
                received += len(chunk)
                yield chunk

        result = self.store.put_car(counted())
        now = int(self._clock())
        refused: RegistryError | None = None
        try:
            whole = whole_files(self.store, result.roots)
            digests, known = self.sha256_of(whole), self._uploads.get_many(whole)
            files = [Upload(file, digests[file], self.store.stat(file).size, who, now) for file in whole]
        except (Malformed, VerificationFailed) as e:
            refused, files, known = e, [], {}
        # Blocks under no whole root take space too: what no file accounts for is kept under the archive's own
        # digest, or a CAR without roots would pass by every quota.
        rest = received - sum(file.size for file in files if file.cid not in known)
        if rest > 0:
            files.append(Upload(Cid(RAW, running.digest()), running.digest(), rest, who, now))
        self._uploads.add(files)
        if refused is not None:
            raise refused
        return TakenCar(result.roots, result.blocks, running.digest())

    def get(self, cid: Cid, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a file or of a range of it, every block hashed again."""
        return self.store.get(cid, offset, length)

    def stat(self, cid: Cid) -> Link:
        """The sizes of a file; NotFound unless it is held whole."""
        if not self.store.has(cid):
            raise NotFound(f"{cid} is not held here", hint="upload it with `PUT /v1/content/{cid}`")
        return self.store.stat(cid)

    def file_size(self, cid: Cid) -> int:
        """The length of a file that is held whole; Malformed for a directory."""
        size = self.stat(cid).size
        if cid.codec != RAW:
            # An empty range reads the root alone, and refuses what is no file before a header is sent.
            for _ in self.store.get(cid, 0, 0):
                pass
        return size

    def lone_block(self, cid: Cid, scope: str) -> bytes | None:
        """The one block that a `dag-scope` (IPIP-402) leaves of a DAG; None where that is the whole DAG.

        `block` is the root; `entity` all of a file, and a directory without what is in it.
        """
        if scope not in SCOPES:
            raise Malformed(f"dag-scope is {scope!r}, not {', '.join(SCOPES)}")
        if scope == "all" or (scope == "entity" and cid.codec == RAW):
            return None
        root = self.store.block(cid)
        is_file = scope == "entity" and decode_unixfs(decode_node(root)).kind != DIRECTORY
        return None if is_file else root

    def sha256_of(self, cids: Iterable[Cid]) -> dict[Cid, bytes]:
        """The sha-256 of each held file in one piece, computed once; of a single block it is its name."""
        wanted = list(cids)
        found = {cid: cid.digest for cid in wanted if cid.codec == RAW}
        others = [cid for cid in wanted if cid not in found]
        if others:
            found.update((cid, known.sha256) for cid, known in self._uploads.get_many(others).items())
        return found | {cid: _digest(self.store.get(cid)) for cid in others if cid not in found}

    def named(self, pins: Sequence[Pin]) -> None:
        """Accepted submissions name these: they are pinned, and count against nobody's quota."""
        self.store.pin_each(pins)
        self._uploads.name(pin.cid for pin in pins)

    def collect(self) -> int:
        """Drop bytes that nobody named within the hour; answers how many bytes were freed."""
        self._uploads.forget(int(self._clock()) - self._quotas.unnamed_s)
        return self.store.collect(self._quotas.unnamed_s).bytes

    def _metered(self, chunks: Iterable[bytes], who: str) -> Iterator[bytes]:
        mine = self._uploads.unnamed_bytes(who)
        everyone = self._uploads.unnamed_bytes()
        received = 0
        limit = self._quotas.anonymous_bytes if who == ANONYMOUS else self._quotas.caller_bytes
        try:
            for chunk in chunks:
                received += len(chunk)
                with self._lock:
                    self._arriving[who] = self._arriving.get(who, 0) + len(chunk)
                    arriving, arriving_all = self._arriving[who], sum(self._arriving.values())
                if received > self._file_bytes:
                    raise TooLarge(f"the upload is over {self._file_bytes} bytes")
                if mine + arriving > limit:
                    raise RateLimited(
                        f"the upload quota of {limit} bytes is spent: {mine} are named by no submission"
                    )
                if everyone + arriving_all > self._quotas.all_bytes:
                    raise RateLimited(
                        f"the gateway holds its limit of {self._quotas.all_bytes} unnamed bytes"
                    )
                yield chunk
        finally:
            with self._lock:
                self._arriving[who] = self._arriving.get(who, 0) - received

    def _remember(self, files: Iterable[Stored], who: str) -> None:
        now = int(self._clock())
        self._uploads.add(Upload(file.cid, file.sha256, file.size, who, now) for file in files)


def _digest(chunks: Iterable[bytes]) -> bytes:
    running = hashlib.sha256()
    for chunk in chunks:
        running.update(chunk)
    return running.digest()
