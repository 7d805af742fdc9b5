"""The fee market as it was and is: epochs with what a recount needs, and what waiting costs in seconds."""

from dataclasses import dataclass

from incentives.queueing import FixedBlocks
from registry.chain.gateway import Contracts, FeeParams
from registry.core.ids import FeeClass
from registry.errors import NotFound
from registry.index import Index
from registry.index.epochs import Closed, EpochHistory, Happening
from registry.pool import Pool

_MOST_ITEMS = 200
_PENDING = 1_000
_FULL = 0.98


@dataclass(frozen=True, slots=True)
class EpochView:
    """One epoch, or a run of idle ones closed together."""

    first: int
    last: int
    state: str
    closing: Happening | None
    menu: Happening | None
    completed: Happening | None
    batches: tuple[Happening, ...]

    @property
    def accepted(self) -> int:
        """Items sealed."""
        return self._sum("accepted")

    @property
    def bytes_h(self) -> int:
        """Bytes sealed in class H."""
        return self._sum("bytesH")

    @property
    def bytes_l(self) -> int:
        """Bytes sealed in class L."""
        return self._sum("bytesL")

    @property
    def fees(self) -> int:
        """Wei for storage."""
        return self._sum("fee")

    @property
    def charged(self) -> int:
        """Wei of waiting tax."""
        return self._sum("tax")

    def _sum(self, name: str) -> int:
        return sum(int(batch.args[name]) for batch in self.batches)


@dataclass(frozen=True, slots=True)
class EpochPage:
    """Closed epochs in order; `next` is the last epoch of the page when there are more."""

    items: list[EpochView]
    next: int | None


class Fees:
    """Reads of the market."""

    def __init__(self, contracts: Contracts, index: Index, pool: Pool) -> None:
        self._contracts = contracts
        self._history = EpochHistory(index.engine)
        self._pool = pool

    @property
    def params(self) -> FeeParams:
        """What the market was deployed with."""
        return self._contracts.params()

    def epochs(self, *, after: int, limit: int) -> EpochPage:
        """Closed epochs from past `after`, oldest first."""
        closed = self._history.closed(after=after, limit=limit + 1)
        shown = closed[:limit]
        if not shown:
            return EpochPage([], None)
        # The rebates of an epoch are complete before the next one is closed, so one more epoch tells all.
        happened = self._history.events_in(shown[0].first, shown[-1].last + 1)
        items = [_view(one.first, one.last, one, happened) for one in shown]
        return EpochPage(items, shown[-1].last if len(closed) > limit else None)

    def epoch(self, number: int) -> tuple[EpochView, list[Happening]]:
        """One epoch with every market event that fell into it; NotFound when it has not begun."""
        closing = self._history.closing_of(number)
        first, last = (closing.first, closing.last) if closing else (number, number)
        if closing is None:
            last = self._running()
            first = self._history.open_epoch()
            if not first <= number <= last:
                raise NotFound(
                    f"epoch {number} has not begun, epoch {last} is running",
                    hint="list those that have: twinledger fees epochs",
                )
        happened = self._history.events_in(first, last + 1)
        own = self._history.events_in(first, last)
        return _view(first, last, closing, happened), own

    def expected_wait_s(self, fee_class: FeeClass) -> float | None:
        """Mean seconds to the seal: what is ahead now, and the queue at the last two epochs' rates.

        None when more arrives than the slots can take: then the wait grows with every submission.
        """
        params = self.params
        sealed = self._history.sealed(since=self._running() - 1)
        items = sum(batch.items for batch in sealed)
        size = sum(batch.bytes_h + batch.bytes_l for batch in sealed) // items if items else 1
        capacity = max(1, min(_MOST_ITEMS, params.slot_bytes // max(1, size)))
        queue = FixedBlocks(float(params.slot_s), capacity)
        seconds = 2.0 * params.slots_per_epoch * params.slot_s
        high = sum(batch.bytes_h for batch in sealed) / max(1, size) / seconds
        low = items / seconds - high
        if max(high, high + low) >= _FULL * queue.limit:
            return None
        return self._ahead_s(fee_class, capacity, params.slot_s) + _steady(queue, high, low, fee_class)

    def _ahead_s(self, fee_class: FeeClass, capacity: int, slot_s: int) -> float:
        pending = self._pool.pending(limit=_PENDING)
        ahead = sum(entry.submission.fee_class >= fee_class for entry in pending)
        return ahead // capacity * float(slot_s)

    def _running(self) -> int:
        now = self._contracts.link.pending_time()
        return self._contracts.slot_at(now) // self.params.slots_per_epoch


def _steady(queue: FixedBlocks, high: float, low: float, fee_class: FeeClass) -> float:
    if fee_class is FeeClass.PRIORITY or low <= 0:
        return queue.wait(high if fee_class is FeeClass.PRIORITY else high + max(0.0, low))
    return (queue.count(high + low) - queue.count(high)) / low


def _view(first: int, last: int, closing: Closed | None, happened: list[Happening]) -> EpochView:
    def of(name: str) -> list[Happening]:
        return [e for e in happened if e.name == name and first <= int(e.args["epoch"]) <= last]

    menus, completed = of("MenuSet"), of("RebatesCompleted")
    state = "open" if closing is None else "idle" if closing.is_idle else "closed"
    return EpochView(
        first=first,
        last=last,
        state=state,
        closing=closing.event if closing else None,
        menu=menus[-1] if menus else None,
        completed=completed[-1] if completed else None,
        batches=tuple(of("BatchSealed")),
    )
