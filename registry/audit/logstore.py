"""A durable append-only log with a map of its keys, checkpoints, tiles and proofs.

`append` returns when the entry is on disk; many callers at once share one write (group commit).
`publish` takes what is durable into the tree and the map and signs a checkpoint, in one transaction;
a loop calls it about once a second. Entries beyond the checkpoint are kept and promised, not yet proved.
"""

import fcntl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from registry.audit.base import KeyView
from registry.audit.logdb import LOG_TREE, LogDatabase
from registry.audit.logindex import LogIndex, Pending, pending_of
from registry.core import merkle
from registry.core.checkpoint import Checkpoint
from registry.core.log import LogEntry, Recorded, keys_of
from registry.core.note import Note, NoteSigner, Signature
from registry.core.promise import Promise, make_promise
from registry.core.tiles import ENTRIES, TileNodes, check_exists, encode_bundle, parse_tile_path
from registry.errors import Conflict, Malformed, NotFound, StoreUnavailable, VerificationFailed
from registry.grouped import Grouped

_KEEP_CHECKPOINTS = 64
_BATCH = 20_000


class LogStore:
    """One log in one file, grown by one process."""

    def __init__(self, path: Path, signer: NoteSigner, clock: Callable[[], int]) -> None:
        """The signer's name is the log's origin. A file that disagrees with its checkpoint is refused."""
        self.origin = signer.key.name
        self._signer = signer
        self._clock = clock
        self._write = threading.Lock()
        self._view = threading.Lock()
        self._publishing = threading.Lock()
        self._grouped = Grouped(self._write_entries, self._write)
        self._pending: list[Pending] = []
        with ExitStack() as undo:
            self._lock = hold(path)
            undo.callback(self._lock.release)
            self._database = LogDatabase(path, self.origin)
            undo.callback(self._database.close)
            self._index = LogIndex(self._database)
            self._recover()
            undo.pop_all()

    def _recover(self) -> None:
        head = self._index.head()
        note = self._database.newest_checkpoint()
        if note is not None:
            at = Checkpoint.parse(Note.parse(note).text)
            if (at.size, at.root, at.map_root) != (head.size, head.root, head.map_root):
                raise VerificationFailed(
                    f"the log {self.origin} differs from its own checkpoint of {at.size} entries",
                    hint="restore the log from its backup; `twinledger audit fsck` shows where it differs",
                )
        self._size = self._database.durable_size()
        if self._size < head.size:
            raise VerificationFailed(f"the log {self.origin} lost entries {self._size} … {head.size - 1}")
        for first in range(head.size, self._size, _BATCH):
            self._pending += [
                pending_of(index, merkle.leaf_hash(raw), raw)
                for index, raw in self._database.bodies(first, min(first + _BATCH, self._size))
            ]

    @property
    def verifier_key(self) -> str:
        """The C2SP verifier key of this log."""
        return str(self._signer.key)

    def __len__(self) -> int:
        return self._size

    # --- growing

    def append(self, entries: Sequence[LogEntry]) -> list[Recorded]:
        """Add entries in this order, side by side; durable when it returns."""
        try:
            return self._grouped.do([(entry, entry.encode()) for entry in entries])
        except Exception as why:
            hint = why.hint if isinstance(why, StoreUnavailable) else None
            raise StoreUnavailable(f"the log {self.origin} could not be written: {why}", hint=hint) from why

    def _write_entries(self, rows: Sequence[tuple[LogEntry, bytes]]) -> list[Recorded]:
        recorded = [Recorded(self._size + place, raw) for place, (_, raw) in enumerate(rows)]
        pending = [
            Pending(record.index, record.leaf, keys_of(entry))
            for record, (entry, _) in zip(recorded, rows, strict=True)
        ]
        with self._database.transaction():
            self._database.insert_entries(
                (record.index, held.leaf, record.raw) for record, held in zip(recorded, pending, strict=True)
            )
        self._pending += pending
        self._size += len(recorded)
        return recorded

    def publish(self, *, refresh_s: int = 60) -> Checkpoint:
        """Sign a checkpoint over everything durable; the last one again when nothing is new.

        An unchanged log is signed anew after `refresh_s`, so that its silence is dated too.
        """
        with self._publishing:
            with self._write:
                pending = list(self._pending)
            last = self._last()
            now = max(self._clock(), last.time or 0 if last else 0)
            if last is not None and not pending and now - (last.time or 0) < refresh_s:
                return last
            return self._take_in(pending, now)

    def _take_in(self, pending: Sequence[Pending], now: int) -> Checkpoint:
        # Meanwhile entries are appended: they wait for what is written, and not for what is hashed.
        growth = self._index.grow(pending)
        # The map in memory and the file change together, for those who read both.
        with self._view:
            try:
                self._index.update_map(growth)
                with self._write:
                    with self._database.transaction():
                        self._index.save(growth)
                        at = self._sign(now)
                    del self._pending[: len(pending)]
                    return at
            except BaseException:
                self._index.rebuild_map()
                raise

    def _last(self) -> Checkpoint | None:
        note = self._database.newest_checkpoint()
        return None if note is None else Checkpoint.parse(Note.parse(note).text)

    def _sign(self, now: int) -> Checkpoint:
        head = self._index.head()
        at = Checkpoint(self.origin, head.size, head.root, head.map_root, now)
        note = Note(at.text, (self._signer.sign_note(at.text),))
        self._database.save_checkpoint(at.size, note.encode(), keep_newest=_KEEP_CHECKPOINTS)
        return at

    def add_cosignatures(self, at: Checkpoint, lines: Sequence[Signature]) -> None:
        """Keep verified co-signatures with the checkpoint they are on."""
        with self._write, self._database.transaction():
            raw = self._database.checkpoint_at(at.size)
            note = None if raw is None else Note.parse(raw)
            if note is None or note.text != at.text:
                return  # the checkpoint was signed anew meanwhile
            self._database.keep_checkpoint(at.size, note.with_signatures(lines).encode())

    def promise(self, record: Recorded, *, merge_delay_s: int) -> Promise:
        """The signed word that this entry will be under every checkpoint after the delay."""
        return make_promise(
            self._signer, self.origin, record.raw, issued=self._clock(), merge_delay_s=merge_delay_s
        )

    # --- reading

    def checkpoint(self) -> bytes:
        """The newest checkpoint as a signed note."""
        note = self._database.newest_checkpoint()
        if note is None:
            raise NotFound(f"the log {self.origin} has no checkpoint yet")
        return note

    def checkpoint_at(self, size: int) -> bytes:
        """The kept checkpoint of this size."""
        note = self._database.checkpoint_at(size)
        if note is None:
            raise NotFound(f"the log {self.origin} kept no checkpoint of {size} entries", size=size)
        return note

    def checkpoints(self, after: int = -1, limit: int = 100) -> list[bytes]:
        """Kept checkpoints with more entries than `after`, in order."""
        return self._database.checkpoints(after, limit)

    def _proved_size(self) -> int:
        last = self._last()
        return 0 if last is None else last.size

    def entry(self, index: int) -> Recorded:
        """One entry by number."""
        for _, raw in self._database.bodies(index, index + 1):
            return Recorded(index, raw)
        raise NotFound(f"the log {self.origin} has no entry {index}", index=index)

    def entries(self, first: int, end: int) -> list[Recorded]:
        """Entries first … end − 1, as far as they are durable."""
        return [Recorded(index, raw) for index, raw in self._database.bodies(first, end)]

    def entries_of(self, numbers: Sequence[int]) -> list[Recorded]:
        """These entries, in this order."""
        return [Recorded(index, raw) for index, raw in self._database.bodies_of(numbers)]

    def entries_under(self, keys: Sequence[str]) -> list[Recorded]:
        """Entries that a checkpoint covers under any of these keys, in the log's order, without proofs."""
        return [Recorded(index, raw) for index, raw in self._database.bodies_under(keys)]

    def nodes(self) -> TileNodes:
        """A `Node` reader over the log's tree."""
        return self._tiles(LOG_TREE, {})

    def _tiles(self, tree: int, known: Mapping[tuple[int, int], bytes]) -> TileNodes:
        return TileNodes(lambda level, index: self._database.tile_hashes(tree, level, index), known=known)

    def root(self, size: int) -> bytes:
        """The root of the first `size` entries."""
        self._check_size(size)
        return merkle.root(self.nodes().node, size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The path of an entry under the root of `size` entries."""
        self._check_size(size)
        return merkle.inclusion(self.nodes().node, index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the log of `old` entries is a prefix of that of `new`."""
        self._check_size(new)
        return merkle.consistency(self.nodes().node, old, new)

    def _check_size(self, size: int) -> None:
        proved = self._proved_size()
        if not 0 <= size <= proved:
            raise Malformed(f"the newest checkpoint covers {proved} entries, not {size}", size=size)

    def view(self, key: str) -> KeyView:
        """What the newest checkpoint's map says about a key, with the proof of it."""
        with self._view:
            tree = self._database.tree(key)
            proof = self._index.map.prove(key)
            checkpoint = self.checkpoint()
        if tree is None:
            return KeyView(key, LOG_TREE, 0, {}, proof, checkpoint)
        return KeyView(key, tree.id, tree.edge.size, tree.edge.nodes(), proof, checkpoint)

    def key_nodes(self, view: KeyView) -> TileNodes:
        """A `Node` reader over the tree of a key."""
        return self._tiles(view.tree, view.edge)

    def posted(self, view: KeyView, first: int, end: int) -> list[int]:
        """Which entries stand at positions first … end − 1 of a key."""
        return self._database.posted(view.tree, first, min(end, view.count)) if view.count else []

    def tile(self, path: str) -> bytes:
        """The bytes of a C2SP tile or entry bundle; NotFound when no checkpoint calls for it."""
        try:
            tile = parse_tile_path(path)
            check_exists(tile, self._proved_size())
        except Malformed as e:
            # A log is files: what is no tile's path is no file either.
            raise NotFound(f"the log {self.origin} has no {path[:80]}: {e.message}", path=path[:80]) from e
        end = tile.first + tile.width
        if tile.level == ENTRIES:
            return encode_bundle(raw for _, raw in self._database.bodies(tile.first, end))
        return b"".join(self._database.tile_hashes(LOG_TREE, tile.level, tile.index)[: tile.width])

    def close(self) -> None:
        """Close the file; what was appended stays."""
        with self._publishing, self._write:
            self._database.close()
            self._lock.release()


def hold(path: Path) -> FileLock:
    """Keep every other process from growing the log too: two writers would fork it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whoever only looks whether it is held has it for a moment.
    lock = FileLock(_lock_of(path), timeout=0.2)
    try:
        lock.acquire()
    except Timeout as e:
        raise Conflict(f"the log file {path} is held by another process") from e
    return lock


def is_grown(path: Path) -> bool:
    """Whether a process has the log to itself at present: a gateway is at work there."""
    try:
        file = _lock_of(path).open("rb")
    except FileNotFoundError:
        return False
    # FileLock takes the same flock, but opens the file to write: whoever looks changes nothing.
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")
