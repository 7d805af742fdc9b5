"""Which slots ended with eligible items pending, exact to the slot, as bitmaps of an epoch.

An item is pending at the end of slot k when it was eligible in k or before and not sealed in k or before.
Between two looks nothing is lost: what was eligible before and is so still, was pending in between. An item
that leaves without being sealed (cancelled, expired, no longer payable) is no wait: bytes that never had a
price delayed nobody, and counting them would let anybody raise the taxes for nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from registry.core.ids import FeeClass, VersionId


@dataclass(frozen=True, slots=True)
class _Waiting:
    is_h: bool
    since: int


class Backlog:
    """One miner's view of what waits."""

    def __init__(self) -> None:
        self._waiting: dict[VersionId, _Waiting] = {}
        self._h: set[int] = set()
        self._any: set[int] = set()

    def see(self, slot: int, eligible: Mapping[VersionId, FeeClass], sealed: Mapping[VersionId, int]) -> None:
        """Look in `slot`: these items are eligible now, those were sealed meanwhile, in the slot given."""
        for version_id, item in list(self._waiting.items()):
            fee_class = eligible.get(version_id)
            goes_on = fee_class is not None and (fee_class is FeeClass.PRIORITY) == item.is_h
            if version_id in sealed:
                self._mark(item, sealed[version_id])
            if not goes_on or version_id in sealed:
                del self._waiting[version_id]
        for version_id, fee_class in eligible.items():
            if version_id not in self._waiting and version_id not in sealed:
                self._waiting[version_id] = _Waiting(fee_class is FeeClass.PRIORITY, slot)

    def waits(self, version_id: VersionId) -> bool:
        """Whether an item was eligible at the last look."""
        return version_id in self._waiting

    def since(self, version_ids: Collection[VersionId]) -> int | None:
        """The slot since which the oldest of these waits."""
        return min((self._waiting[v].since for v in version_ids if v in self._waiting), default=None)

    def bitmaps(self, first: int, slots: int) -> tuple[int, int]:
        """Bit i says whether slot first + i ended with H pending, or with anything."""
        waits_h = min((item.since for item in self._waiting.values() if item.is_h), default=None)
        waits = min((item.since for item in self._waiting.values()), default=None)
        h = _bits(first, slots, self._h, waits_h)
        return h, _bits(first, slots, self._any, waits) | h

    def forget_before(self, slot: int) -> None:
        """Epochs that are closed need no bitmap any more."""
        self._h = {at for at in self._h if at >= slot}
        self._any = {at for at in self._any if at >= slot}

    def _mark(self, item: _Waiting, until: int) -> None:
        self._any.update(range(item.since, until))
        if item.is_h:
            self._h.update(range(item.since, until))


def _bits(first: int, slots: int, marked: set[int], since: int | None) -> int:
    pending = (
        at for at in range(first, first + slots) if at in marked or (since is not None and at >= since)
    )
    return sum(1 << (at - first) for at in pending)
