"""Which eligible submissions go into the next batch, and what stays behind as backlog.

Class H before L, head of line within a class (mechanisms.md 2.4: first-fit packing would overstate the
tax). An item that is not eligible waits aside and blocks nobody (protocol.md 3).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from registry.core.ids import Address, FeeClass, VersionId

MAX_ITEMS = 200
MAX_CALLDATA = 120 * 1024
# Selector, the two array offsets and the two array lengths of `seal`.
EMPTY_CALLDATA = 4 + 4 * 32


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


@dataclass(frozen=True, slots=True)
class Selection:
    """The batch in its order, and whether eligible items of a class stay behind."""

    batch: tuple[VersionId, ...]
    is_h_left: bool
    is_l_left: bool


def select(
    items: Sequence[Item],
    *,
    prices: Mapping[FeeClass, int],
    escrow: Mapping[Address, int],
    sealed: Collection[VersionId],
    budget: int,
) -> Selection:
    """Serve items in order of arrival; one begins while `budget` bytes are above 0 and may overdraw it."""
    spent: dict[Address, int] = defaultdict(int)
    known = set(sealed)
    batch: list[VersionId] = []
    calldata = EMPTY_CALLDATA
    left = {FeeClass.PRIORITY: False, FeeClass.STANDARD: False}
    is_full = False
    for item in _in_service_order(items):
        cost = item.size * prices[item.fee_class]
        if not is_eligible(item, prices=prices, free=escrow.get(item.submitter, 0) - spent[item.submitter]):
            continue
        if not known.issuperset(item.parents):
            continue
        spent[item.submitter] += cost
        is_full = is_full or budget <= 0 or len(batch) == MAX_ITEMS or calldata + item.calldata > MAX_CALLDATA
        if is_full:
            left[item.fee_class] = True
            continue
        batch.append(item.version_id)
        known.add(item.version_id)
        budget -= item.size
        calldata += item.calldata
    return Selection(tuple(batch), left[FeeClass.PRIORITY], left[FeeClass.STANDARD])


def is_eligible(item: Item, *, prices: Mapping[FeeClass, int], free: int) -> bool:
    """Held, at the menu's price or above, and covered by the escrow that is free."""
    price = prices[item.fee_class]
    return item.is_held and item.max_price >= price and free >= item.size * price


def _in_service_order(items: Sequence[Item]) -> Iterable[Item]:
    yield from (item for item in items if item.fee_class is FeeClass.PRIORITY)
    yield from (item for item in items if item.fee_class is not FeeClass.PRIORITY)
