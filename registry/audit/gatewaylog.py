"""The gateway log: what this gateway saw itself, and gives its word for.

Retrievals, refusals, what it accepted, its starts and stops. Primary data: nobody else can write it
again. Each call returns once the entry is on disk, with the promise that goes out before the answer's
last byte; one that raises wrote no entry. Network address, cell and device are commitments; the openings
go into a store beside the log.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from registry.audit.logstore import LogStore
from registry.audit.openings import Opening, OpeningStore
from registry.core.ids import Address
from registry.core.log import CellClaim, Json, LogEntry, Recorded, commit
from registry.core.promise import Promise

MERGE_DELAY_S = 60
_LEFTOVERS = 1000

# Every kind of this log, with what its details hold.
GATEWAY_KINDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "retrieval": {
            "outcome": "served, aborted or failed",
            "bytes": "served: how many were asked for; else how many were handed to the connection",
            "path": "one file, or none",
            "cid": "what was asked for by its CID, or none",
            "of": "aborted or failed: the digest of the entry that was written before the first byte",
        },
        "refusal": {
            "code": "the error's code",
            "method": "HTTP method",
            "target": "the route that was asked for",
        },
        "submission_accepted": {"size": "bytes", "fee_class": "0 standard, 1 priority"},
        "transaction_relayed": {"tx_hash": "the member's own transaction", "route": "where it came in"},
        "contribution_accepted": {"task": "number", "round": "number", "update_sha256": "digest"},
        "start": {"software": "name and version", "chain_log": "the chain log's origin"},
        "stop": {"reason": "why"},
        "clock_stepped_back": {"seconds": "by how much", "said": "what the clock said"},
        "openings_deleted": {"before": "time", "count": "how many", "reason": "the rule"},
        "reorganised": {"block": "the first block that changed", "old_hash": "before", "new_hash": "after"},
        "origin_continued": {"origin": "the log before this", "size": "its entries", "root": "its root"},
        "anchored": {"origin": "of which log", "size": "entries", "tx_hash": "the anchor's transaction"},
    }
)
QUIET_KINDS = frozenset({"anchored"})
"""Entries that only record anchors do not cause one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked, from where. `actor` only when a signature verified; `claimed` is what was said instead.

    `cell` is hidden unless it is public; `device` names a device, whose address is then hidden too.
    """

    actor: Address | None = None
    claimed: str | None = None
    address: str | None = None
    cell: str | None = None
    device: str | None = None
    observed_cell: str | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """What is to be written: its kind, who caused it, what it is about."""

    kind: str
    caller: Caller
    model: str | None
    version: str | None
    details: Mapping[str, Json]
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """One submission that is taken into the pool."""

    caller: Caller
    model: str
    version: str
    size: int
    fee_class: int

    def happening(self) -> Happening:
        """Its entry."""
        details: dict[str, Json] = {"size": self.size, "fee_class": self.fee_class}
        return Happening("submission_accepted", self.caller, self.model, self.version, details)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes of a version's content are about to be sent; `related` are the model's others that hold them.

    `what` says how they were asked for: {"path": …} or {"cid": …}.
    """

    caller: Caller
    model: str
    version: str
    outcome: str
    size: int
    what: Mapping[str, Json]
    related: tuple[str, ...] = ()

    def happening(self) -> Happening:
        """Its entry."""
        details: dict[str, Json] = {"outcome": self.outcome, "bytes": self.size, **self.what}
        return Happening("retrieval", self.caller, self.model, self.version, details, self.related)


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry that is on disk, and the gateway's word for it."""

    record: Recorded
    promise: Promise


class GatewayLog:
    """Writes this gateway's log; the clock and the salts are arguments."""

    def __init__(
        self,
        log: LogStore,
        openings: OpeningStore,
        *,
        clock: Callable[[], int],
        salt: Callable[[], bytes],
        merge_delay_s: int = MERGE_DELAY_S,
    ) -> None:
        """`salt` answers 32 fresh random bytes."""
        self.log = log
        self.openings = openings
        self._clock = clock
        self._salt = salt
        self._merge_delay_s = merge_delay_s
        self._newest = log.entry(len(log) - 1).entry.time if len(log) else 0
        self.openings.drop_from(len(log))
        self._locate_leftovers()

    def _locate_leftovers(self) -> None:
        """Find the entries whose openings were not placed before the last process died."""
        waiting = self.openings.unlocated()
        if not waiting:
            return
        for record in self.log.entries(max(len(self.log) - _LEFTOVERS, 0), len(self.log)):
            mine = waiting.intersection(record.entry.commitments.values())
            if mine:
                self.openings.locate((commitment, record.index) for commitment in mine)

    def write(
        self,
        kind: str,
        caller: Caller | None = None,
        *,
        model: str | None = None,
        version: str | None = None,
        details: Mapping[str, Json] | None = None,
    ) -> Kept:
        """Append one entry of a kind of this log, durable when it returns, with its promise."""
        (kept,) = self.write_all([Happening(kind, caller or Caller(), model, version, details or {})])
        return kept

    def write_all(self, happenings: Sequence[Happening]) -> list[Kept]:
        """Append entries in this order, all durable when it returns, each with its promise."""
        for happening in happenings:
            if happening.kind not in GATEWAY_KINDS:
                raise ValueError(f"the gateway log has no kind {happening.kind}")
        time = self._time()
        hidden = [self._hide(happening.caller, time) for happening in happenings]
        self.openings.add(opening for openings in hidden for opening in openings)
        entries = [_entry(one, time, openings) for one, openings in zip(happenings, hidden, strict=True)]
        kept = self._keep(entries)
        self.openings.locate(
            (commitment, one.record.index)
            for entry, one in zip(entries, kept, strict=True)
            for commitment in entry.commitments.values()
        )
        return kept

    def _keep(self, entries: Sequence[LogEntry]) -> list[Kept]:
        return [
            Kept(record, self.log.promise(record, merge_delay_s=self._merge_delay_s))
            for record in self.log.append(entries)
        ]

    def _time(self) -> int:
        """Now, but never before the newest entry: a log read by time must stay in order."""
        now = self._clock()
        if now < self._newest:
            behind, self._newest = self._newest - now, self._newest
            if behind > 1:
                details: dict[str, Json] = {"seconds": behind, "said": now}
                self._keep([LogEntry("clock_stepped_back", self._newest, details=details)])
            return self._newest
        self._newest = now
        return now

    def _hide(self, caller: Caller, time: int) -> list[Opening]:
        hidden = []
        for field, value in (("address", caller.address), ("cell", caller.cell), ("device", caller.device)):
            if value:
                salt = self._salt()
                hidden.append(Opening(commit(field, value, salt), field, value, salt, time))
        return hidden

    def retrieval(
        self, caller: Caller, *, model: str, version: str, outcome: str, size: int, path: str | None = None
    ) -> Kept:
        """Who retrieved which version, from where, and with what outcome."""
        what = {} if path is None else {"path": path}
        (kept,) = self.retrievals([Fetched(caller, model, version, outcome, size, what)])
        return kept

    def retrievals(self, fetched: Sequence[Fetched]) -> list[Kept]:
        """The same bytes under every model that names them, in one write."""
        return self.write_all([one.happening() for one in fetched])

    def refusal(
        self, caller: Caller, *, code: str, method: str, target: str, version: str | None = None
    ) -> Kept:
        """A request that was refused, by the error's code; long targets are cut."""
        details: dict[str, Json] = {"code": code, "method": method[:16], "target": target[:512]}
        return self.write("refusal", caller, version=version, details=details)

    def accepted(self, submissions: Sequence[Accepted]) -> list[Kept]:
        """Submissions that were taken into the pool, in one write."""
        return self.write_all([submission.happening() for submission in submissions])

    def relayed(self, caller: Caller, *, tx_hash: str, route: str) -> Kept:
        """A member's own transaction that was passed on."""
        return self.write("transaction_relayed", caller, details={"tx_hash": tx_hash, "route": route})

    def started(self, *, software: str, chain_log: str) -> Kept:
        """The gateway began to serve."""
        return self.write("start", details={"software": software, "chain_log": chain_log})

    def stopped(self, *, reason: str) -> Kept:
        """The gateway ended in order; a start without a stop before it was a crash."""
        return self.write("stop", details={"reason": reason[:512]})

    def reorganised(self, *, block: int, old_hash: str, new_hash: str) -> Kept:
        """The chain changed deeper than its confirmations; the gateway stops after this entry."""
        return self.write("reorganised", details={"block": block, "old_hash": old_hash, "new_hash": new_hash})

    def continued_from(self, *, origin: str, size: int, root: str) -> Kept:
        """The first entry of a new origin: which log, up to which head, it follows."""
        return self.write("origin_continued", details={"origin": origin, "size": size, "root": root})

    def anchored(self, *, origin: str, size: int, tx_hash: str) -> Kept:
        """A checkpoint of some log was anchored."""
        return self.write("anchored", details={"origin": origin, "size": size, "tx_hash": tx_hash})

    def forget_before(self, time: int, *, reason: str, also: Sequence[OpeningStore] = ()) -> int:
        """Say in the log that the openings from before a time are deleted, and do it; no proof breaks.

        The word comes first: an opening that is missing without it was taken away by somebody else.
        `also` are those beside logs that were put aside.
        """
        stores = (self.openings, *also)
        count = sum(store.count_before(time) for store in stores)
        self.write("openings_deleted", details={"before": time, "count": count, "reason": reason[:512]})
        for store in stores:
            store.delete_before(time)
        return count


def _entry(happening: Happening, time: int, hidden: Sequence[Opening]) -> LogEntry:
    who = happening.caller
    return LogEntry(
        kind=happening.kind,
        time=time,
        actor=who.actor,
        claimed=who.claimed and who.claimed[:128],
        model=happening.model,
        version=happening.version,
        related=happening.related,
        cell=CellClaim(who.observed_cell, "observed") if who.observed_cell else None,
        commitments=MappingProxyType({opening.field: opening.commitment for opening in hidden}),
        details=happening.details,
    )
