"""The other logs in a gateway's home: those that were put aside, and what its own witness saw of each.

A log that was put aside is held to the first entry of the log that followed it, which names its head. A
mirror of the witness is held to the log: what was co-signed is a prefix of it. Each is also held to itself,
as the logs in use are. A mirror that is gone is no finding: a backup has none, and the next co-signature
makes it.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from registry.audit.completeness import Trust
from registry.audit.fsck import Difference, check_log
from registry.audit.logdb import LogDatabase
from registry.audit.opened import check_openings, forgotten_by
from registry.core.ids import hex32, parse_hex32, sha256
from registry.core.log import LogEntry, decode_entry
from registry.core.merkle import Frontier
from registry.core.note import VerifierKey
from registry.errors import RegistryError
from registry.wiring.origins import CHAIN, GATEWAY, OPENINGS, Head, ended, head_of, origin_in, put_aside

_RUN = 5_000


@dataclass(frozen=True, slots=True)
class Copies:
    """The other logs under HOME/log; files at rest are read in `scratch`, and stay as they are.

    `keys_of` finds every key that may have signed the log of an origin, `witnesses` are those whose lines
    count; `signatures` is as in `check_log`.
    """

    folder: Path
    scratch: Path
    chain_origin: str
    keys_of: Callable[[str], Sequence[VerifierKey]]
    witnesses: tuple[VerifierKey, ...]
    signatures: int | None

    def differences(self) -> Iterator[Difference]:
        """Everything in them that does not agree."""
        checks = (self._check_succession, self._check_aside, self._check_openings, self._check_mirrors)
        for check in checks:
            try:
                yield from check()
            except RegistryError as e:
                yield Difference("log", str(self.folder), e.message)

    def _check_succession(self) -> Iterator[Difference]:
        """Each log names the one before it, and all that were named are there as they were."""
        follower = self.folder / GATEWAY
        for path in reversed(ended(self.folder)):
            found = head_of(path)
            # A follower without an entry names it when it starts.
            if (first := self._first_entry(follower)) is not None and _named(first) != found:
                yield Difference("log", str(path), f"it is {_told(found)}; {_said(follower, first)}")
            follower = path
        first = self._first_entry(follower)
        if first is not None and first.kind == "origin_continued":
            yield Difference("log", str(follower), f"{_said(follower, first)}, which is gone")

    def _check_aside(self) -> Iterator[Difference]:
        for path in put_aside(self.folder):
            if path.name != OPENINGS:
                yield from self._check_alone(path)

    def _check_openings(self) -> Iterator[Difference]:
        """What a log hid stays until it, or a log that came after it, says that the rule deleted it."""
        forgotten = self._forgotten_by(self.folder / GATEWAY)
        for path in reversed(ended(self.folder)):
            origin, at_rest = head_of(path).origin, self._at_rest(path)
            beside = path.with_name(OPENINGS)
            yield from check_openings(beside, at_rest, origin, is_growing=True, forgotten=forgotten)
            forgotten = max(forgotten, self._forgotten_by(path))

    def _check_mirrors(self) -> Iterator[Difference]:
        for path in sorted((self.folder / "witness").glob("*.db")):
            origin = origin_in(path)
            if origin is None or path.stem != sha256(origin.encode()).hex():
                yield Difference("witness", str(path), f"it is filed as another log's mirror than {origin}'s")
                continue
            # Before the log is read: that only grows.
            seen = head_of(path)
            yield from self._check_alone(path)
            yield from self._check_seen(path, seen)

    def _check_seen(self, path: Path, seen: Head) -> Iterator[Difference]:
        log = self._log_of(seen.origin)
        size = min(seen.size, head_of(log).size) if seen.origin == self.chain_origin and log else seen.size
        held = Head(seen.origin, 0, b"") if log is None else self._head_at(log, seen.origin, size)
        # The chain log may just be built anew: as far as it is, it is the same.
        wanted = seen if size == seen.size else self._head_at(path, seen.origin, size)
        if held != wanted and (log is not None or seen.origin != self.chain_origin):
            text = (
                f"it saw {_told(wanted)}; the log has {_told(held)}" if log else "the log that it saw is gone"
            )
            yield Difference("witness", seen.origin, text)

    def _check_alone(self, path: Path) -> Iterator[Difference]:
        """A log against itself and its checkpoints."""
        origin = origin_in(path)
        if origin is None:
            yield Difference("log", str(path), "the file holds no log")
            return
        at_rest = self._at_rest(path)
        trust = Trust(origin, tuple(self.keys_of(origin)), self.witnesses)
        for one in check_log(at_rest, trust, signatures=self.signatures):
            yield replace(one, where=f"{one.where} in {path.parent.name}/{path.name}")

    def _at_rest(self, path: Path) -> Path:
        """Where a log can be opened: one that was put aside is copied, for opening changes the file."""
        if not path.parent.name.startswith("before-"):
            return path
        copy = self.scratch / path.parent.name / path.name
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
        return copy

    def _log_of(self, origin: str) -> Path | None:
        here = [self.folder / CHAIN, self.folder / GATEWAY, *ended(self.folder)]
        return next((path for path in here if origin_in(path) == origin), None)

    def _first_entry(self, path: Path) -> LogEntry | None:
        origin = origin_in(path)
        if origin is None:
            return None
        with closing(LogDatabase(self._at_rest(path), origin)) as database:
            return next((decode_entry(raw) for _, raw in database.bodies(0, 1)), None)

    def _forgotten_by(self, path: Path) -> int:
        origin = origin_in(path)
        return 0 if origin is None else forgotten_by(self._at_rest(path), origin)

    def _head_at(self, path: Path, origin: str, size: int) -> Head:
        """What a log had come to at a size, or has come to if that is less."""
        edge = Frontier()
        with closing(LogDatabase(self._at_rest(path), origin)) as database:
            for first in range(0, size, _RUN):
                leaves = database.stored_leaves(first, min(size, first + _RUN))
                edge.extend((leaf for _, leaf in leaves), step=1)
        return Head(origin, edge.size, edge.root())


def _named(first: LogEntry) -> Head | None:
    """The log that the first entry of another says it follows."""
    if first.kind != "origin_continued":
        return None
    told = first.details
    with suppress(RegistryError, KeyError, ValueError):
        return Head(str(told["origin"]), int(str(told["size"])), parse_hex32(str(told["root"])))
    return None


def _told(head: Head) -> str:
    return f"{head.origin} with {head.size} entries and the root {hex32(head.root) if head.root else None}"


def _said(follower: Path, first: LogEntry) -> str:
    named = _named(first)
    return f"{follower} follows {'no log' if named is None else _told(named)}"
