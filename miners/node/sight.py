"""What a miner sees on chain by itself: who sealed what, in which slot, and who was on the roster.

A gateway's pool says late that an item is sealed; the block says it at once. So two miners do not seal the
same items twice, and backlog bitmaps are exact to the slot.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from registry.chain.base import Head, Log
from registry.chain.events import decode_log, event_topic
from registry.chain.gateway import Contracts
from registry.core.ids import Address, FeeClass, VersionId
from registry.errors import NotFound

_RUN = 500
_REGISTRY = "TwinRegistry"


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed item, as its event tells it."""

    version_id: VersionId
    namespace_id: int
    fee_class: FeeClass
    size: int
    manifest: bytes
    weights_root: bytes
    epoch: int
    slot: int


@dataclass(slots=True)
class _Seen:
    """Everything of interest in a run of blocks."""

    sealed: list[Sealed] = field(default_factory=list)
    rosters: list[tuple[int, frozenset[Address]]] = field(default_factory=list)
    worked: set[int] = field(default_factory=set)
    cancelled: dict[VersionId, int] = field(default_factory=dict)
    spent: dict[Address, set[int]] = field(default_factory=lambda: defaultdict(set))


class Sight:
    """Follows the registry's logs from now on, and reads those of the past when they are needed."""

    def __init__(self, contracts: Contracts) -> None:
        self._contracts = contracts
        self._topics = {event_topic(_REGISTRY, name): name for name in _READ}
        self._old, self._new = _Seen(), _Seen()
        self._past = self._first = self._next = 0
        self._last_hash = b""
        self.restarts = -1
        self._begin()

    def look(self, head: Head) -> list[Sealed]:
        """What was sealed up to a head since the last look; a reorganisation (`restarts`) forgets all."""
        if head.hash == self._last_hash:
            return []
        if not self._is_here(head):
            self._begin()
        known = len(self._new.sealed)
        while self._next <= head.number:
            last = min(head.number, self._next + _RUN - 1)
            # Asked before its logs are read: if another block took its place since, the next look sees it.
            last_hash = head.hash if last == head.number else self._contracts.link.block(last).hash
            self._read(self._next, last, self._new)
            self._next, self._last_hash = last + 1, last_hash
        return self._new.sealed[known:]

    def remember(self) -> bool:
        """Read a run of the past; whether all of it is known now."""
        if self._past < self._first:
            last = min(self._first - 1, self._past + _RUN - 1)
            self._read(self._past, last, self._old)
            self._past = last + 1
        return self._past >= self._first

    def cancelled_at(self, version_id: VersionId) -> int | None:
        """When a version's submitter cancelled it; only what was issued later may be sealed."""
        return self._new.cancelled.get(version_id, self._old.cancelled.get(version_id))

    def kept_by(self, miner: Address, *, after: int, through: int) -> list[Sealed]:
        """What a miner must hold of epochs past `after` up to `through`: sealed since it was enrolled."""
        begin = self._enrolled(miner, through)
        return (
            []
            if begin is None
            else [s for s in self._sealed() if max(begin, after + 1) <= s.epoch <= through]
        )

    def uncollected(self, miner: Address) -> list[int]:
        """Epochs in which something was sealed and whose credit the miner has neither had nor lost."""
        spent = self._old.spent[miner] | self._new.spent[miner]
        return sorted((self._old.worked | self._new.worked) - spent)

    def _sealed(self) -> Iterator[Sealed]:
        yield from self._old.sealed
        yield from self._new.sealed

    def _enrolled(self, miner: Address, epoch: int) -> int | None:
        """The first epoch of the miner's present time on the roster."""
        begin: int | None = None
        for first, miners in [*self._old.rosters, *self._new.rosters]:
            if first > epoch:
                break
            begin = (first if begin is None else begin) if miner in miners else None
        return begin

    def _begin(self) -> None:
        head = self._contracts.link.head()
        self.restarts += 1
        self._old, self._new = _Seen(), _Seen()
        self._past = self._contracts.deployment.start_block
        self._first = self._next = head.number + 1
        self._last_hash = head.hash

    def _is_here(self, head: Head) -> bool:
        """Whether the block we stand on is still there; a reorganisation makes us begin again."""
        if head.number == self._next and head.parent_hash == self._last_hash:
            return True
        try:
            return self._contracts.link.block(self._next - 1).hash == self._last_hash
        except NotFound:
            return False

    def _read(self, first: int, last: int, seen: _Seen) -> None:
        for log in self._contracts.link.logs(first, last, [self._contracts.address(_REGISTRY)]):
            name = self._topics.get(log.topics[0])
            if name == "Registered":
                seen.sealed.append(_sealed(log))
                seen.worked.add(seen.sealed[-1].epoch)
            elif name is not None:
                args = decode_log(_REGISTRY, log).args
                if name == "VersionCancelled":
                    seen.cancelled[VersionId(args["versionId"])] = args["time"]
                elif name == "RosterChanged":
                    seen.rosters.append((args["epoch"], frozenset(args["miners"])))
                else:
                    seen.spent[args["miner"]].add(args["epoch"])


_READ = ("Registered", "VersionCancelled", "RosterChanged", "CreditCollected", "CreditForfeited")


def _sealed(log: Log) -> Sealed:
    """Decoded by hand: a miner reads every item of every batch, and this is 20 times as fast as the ABI."""
    data = log.data

    def number(word: int) -> int:
        return int.from_bytes(data[32 * word : 32 * word + 32])

    return Sealed(
        version_id=VersionId(log.topics[1]),
        namespace_id=number(0),
        fee_class=FeeClass(number(7)),
        size=number(5),
        manifest=data[96:128],
        weights_root=data[64:96],
        epoch=number(10),
        slot=number(11),
    )
