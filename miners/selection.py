"""Which eligible submissions go into the next batch, and what stays behind as backlog.

Class H before L, head of line within a namespace (mechanisms.md 2.4: first-fit packing would overstate the
tax). Within a class the namespace that had the fewest bytes since it began to wait goes first, so who floods
a class waits behind himself (docs/decisions/0007). How many wait does not depend on that order, and with it
neither the tax. An item that is not eligible waits aside and blocks nobody (protocol.md 3).
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from registry.core.ids import Address, FeeClass, VersionId

MAX_ITEMS = 200
MAX_CALLDATA = 120 * 1024
# Selector, the two array offsets and the two array lengths of `seal`.
EMPTY_CALLDATA = 4 + 4 * 32
Share = tuple[FeeClass, int]
_NOTHING_SERVED: Mapping[Share, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Item:
    """A pending submission as selection sees it; `calldata` counts its bytes in the seal call."""

    version_id: VersionId
    submitter: Address
    fee_class: FeeClass
    max_price: int
    size: int
    parents: tuple[VersionId, ...]
    calldata: int
    is_held: bool
    namespace_id: int = 0

    @property
    def share(self) -> Share:
        """The queue this item stands in."""
        return self.fee_class, self.namespace_id


@dataclass(frozen=True, slots=True)
class Selection:
    """The batch in its order, and the eligible items that stay behind."""

    batch: tuple[VersionId, ...]
    is_h_left: bool
    is_l_left: bool
    left: tuple[VersionId, ...] = ()


class Shares:
    """Bytes that each namespace was served, by class, since it began to wait."""

    def __init__(self) -> None:
        self.served: dict[Share, int] = {}

    def wait(self, waiting: Collection[Share]) -> None:
        """These queues are not empty; one that just came begins level with the least served of its class."""
        kept = {share: served for share, served in self.served.items() if share in waiting}
        for share in waiting:
            level = [served for other, served in kept.items() if other[0] == share[0]]
            self.served[share] = kept.get(share, min(level, default=0))
        self.served = {share: self.served[share] for share in waiting}

    def serve(self, share: Share, size: int) -> None:
        """Bytes of this queue were sealed, by whomever."""
        if share in self.served:
            self.served[share] += size


def select(
    items: Sequence[Item],
    *,
    prices: Mapping[FeeClass, int],
    escrow: Mapping[Address, int],
    sealed: Collection[VersionId],
    budget: int,
    served: Mapping[Share, int] = _NOTHING_SERVED,
) -> Selection:
    """Serve items by class and share; one begins while `budget` bytes are above 0 and may overdraw it."""
    spent: dict[Address, int] = defaultdict(int)
    known = set(sealed)
    batch: list[VersionId] = []
    calldata = EMPTY_CALLDATA
    left: list[Item] = []
    is_full = False
    order = _Order(items, served)
    for item in order:
        cost = item.size * prices[item.fee_class]
        if not is_eligible(item, prices=prices, free=escrow.get(item.submitter, 0) - spent[item.submitter]):
            continue
        if not known.issuperset(item.parents):
            continue
        spent[item.submitter] += cost
        is_full = is_full or budget <= 0 or len(batch) == MAX_ITEMS or calldata + item.calldata > MAX_CALLDATA
        if is_full:
            left.append(item)
            continue
        batch.append(item.version_id)
        known.add(item.version_id)
        order.served[item.share] += item.size
        budget -= item.size
        calldata += item.calldata
    classes = {item.fee_class for item in left}
    return Selection(
        tuple(batch),
        FeeClass.PRIORITY in classes,
        FeeClass.STANDARD in classes,
        tuple(item.version_id for item in left),
    )


def is_eligible(item: Item, *, prices: Mapping[FeeClass, int], free: int) -> bool:
    """Held, at the menu's price or above, and covered by the escrow that is free."""
    price = prices[item.fee_class]
    return item.is_held and item.max_price >= price and free >= item.size * price


@dataclass(slots=True)
class _Order:
    """The order of service; `served` grows while it is walked, and the next item follows from it."""

    items: Sequence[Item]
    before: Mapping[Share, int]
    served: dict[Share, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Item]:
        queues: dict[Share, list[tuple[int, Item]]] = defaultdict(list)
        for place, item in enumerate(self.items):
            queues[item.share].append((place, item))
        for fee_class in (FeeClass.PRIORITY, FeeClass.STANDARD):
            yield from self._walk({share: q for share, q in queues.items() if share[0] is fee_class})

    def _walk(self, queues: Mapping[Share, list[tuple[int, Item]]]) -> Iterator[Item]:
        self.served.update((share, self.before.get(share, 0)) for share in queues)
        waiting = [(self.served[share], queue[0][0], share, 0) for share, queue in queues.items()]
        heapq.heapify(waiting)
        while waiting:
            _bytes, _place, share, at = heapq.heappop(waiting)
            queue = queues[share]
            yield queue[at][1]
            if at + 1 < len(queue):
                heapq.heappush(waiting, (self.served[share], queue[at + 1][0], share, at + 1))
