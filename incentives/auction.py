"""Reverse auctions for learning devices under a channel capacity (Le et al.) [P idea, M/R formulas].

Bid: a claimed cost, the buyer's value of the bid's plan and the channels it needs; at most one bid of a
user wins. All amounts are exact integers in any one unit (wei live), so ties are ties. Users are ordered
by id: addresses as integers, other ids by UTF-8 bytes.

VCG (the default) picks the best set exactly and pays claim + SW(all) - SW(without n): truthful with
several bids per user. Greedy sorts by (value - claim)/channels and pays the critical claim: truthful with
one bid per user, and without any bound on lost welfare.

>>> bids = [Bid("ana", value=9, claim=4, channels=2), Bid("bo", value=8, claim=2, channels=2)]
>>> vcg(bids, capacity=2).payments
{'bo': 3}
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from registry.errors import Malformed, TooLarge

# The exact programme holds users x capacity cells; beyond this a sponsor must coarsen its channels.
_MOST_CELLS = 40_000_000
_Payment = TypeVar("_Payment", int, Fraction)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Bid:
    """One plan of one user: worth `value` to the buyer, claimed to cost `claim`, on `channels` channels."""

    user: str
    value: int
    claim: int
    channels: int

    def __post_init__(self) -> None:
        if self.channels < 1 or self.claim < 0:
            raise Malformed(
                f"{self.user} bids {self.claim} on {self.channels} channels; a bid needs a claim >= 0 and "
                "at least one channel",
                field="bids",
            )

    @property
    def surplus(self) -> int:
        return self.value - self.claim

    @property
    def density(self) -> Fraction:
        """Surplus per channel, exact."""
        return Fraction(self.surplus, self.channels)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Indices of the winning bids, their total surplus, and what each winner is paid."""

    winners: tuple[int, ...]
    welfare: int
    payments: dict[str, int]


@dataclass(frozen=True, slots=True)
class CriticalOutcome:
    """A greedy outcome whose payments are the exact critical claims, before any rounding."""

    winners: tuple[int, ...]
    welfare: int
    payments: dict[str, Fraction]


def user_order(user: str) -> tuple[int, int, bytes]:
    """The key that orders users: addresses as integers first, then other ids by their bytes."""
    if _ADDRESS.fullmatch(user):
        return 0, int(user, 16), b""
    return 1, 0, user.encode("utf-8", "surrogatepass")


def require_one_spelling(users: Iterable[str]) -> None:
    """Refuse one address in two spellings: it would stand for two bidders."""
    spelt: dict[tuple[int, int, bytes], str] = {}
    for user in users:
        other = spelt.setdefault(user_order(user), user)
        if other != user:
            raise Malformed(f"{other} and {user} are one address", field="bids")


def vcg(bids: Sequence[Bid], capacity: int) -> Outcome:
    """The welfare-maximal set, each winner paid its claim plus what its presence adds.

    Ties: users ascending, bids in index order, a later choice only when strictly better, traced back from
    the full capacity.
    """
    programme = _Programme.of(bids, capacity)
    winners = programme.chosen()
    welfare, without = programme.welfare(), programme.welfare_without()
    payments = {bids[k].user: bids[k].claim + welfare - without[bids[k].user] for k in winners}
    return Outcome(tuple(sorted(winners)), welfare, payments)


def optimal_welfare(bids: Sequence[Bid], capacity: int) -> int:
    """The largest total surplus of any allowed set."""
    return _Programme.of(bids, capacity).welfare()


@dataclass(frozen=True, slots=True)
class _Programme:
    """The group knapsack V_k[c]: best surplus of the first k users on at most c channels."""

    users: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    surplus: tuple[int, ...]
    need: tuple[int, ...]
    capacity: int
    dtype: type

    @classmethod
    def of(cls, bids: Sequence[Bid], capacity: int) -> "_Programme":
        """Group bids by user; capacity nobody can use and a common divisor change no choice."""
        if capacity < 0:
            raise Malformed(f"a capacity of {capacity} channels cannot be", field="capacity")
        require_one_spelling(b.user for b in bids)
        users = sorted({b.user for b in bids}, key=user_order)
        own: dict[str, list[int]] = {user: [] for user in users}
        for k, bid in enumerate(bids):
            own[bid.user].append(k)
        groups = tuple(map(tuple, own.values()))
        unit = gcd(*(b.channels for b in bids)) or 1
        most = sum(max(bids[k].channels for k in group) for group in groups)
        cells = min(capacity, most) // unit
        if (cells + 1) * (len(groups) + 1) > _MOST_CELLS:
            raise TooLarge(f"{cells} channels for {len(groups)} users are more than the exact auction solves")
        total = sum(max((abs(bids[k].surplus) for k in group), default=0) for group in groups)
        dtype = np.int64 if total < 2**61 else object
        need = tuple(b.channels // unit for b in bids)
        return cls(tuple(users), groups, tuple(b.surplus for b in bids), need, cells, dtype)

    def welfare(self) -> int:
        values: NDArray[np.int64] = np.zeros(self.capacity + 1, dtype=self.dtype)
        for group in self.groups:
            values = self._extended(values, group)[0]
        return int(values[-1])

    def welfare_without(self) -> dict[str, int]:
        """The largest surplus when each user stays away: the users before it beside those after it.

        One pass each way instead of one programme for each user.
        """
        before: list[NDArray[np.int64]] = [np.zeros(self.capacity + 1, dtype=self.dtype)]
        for group in self.groups[:-1]:
            before.append(self._extended(before[-1], group)[0])
        after: NDArray[np.int64] = np.zeros(self.capacity + 1, dtype=self.dtype)
        found = {}
        for user, group, earlier in zip(
            reversed(self.users), reversed(self.groups), reversed(before), strict=False
        ):
            found[user] = int((earlier + after[::-1]).max())
            after = self._extended(after, group)[0]
        return found

    def chosen(self) -> list[int]:
        """The bids traced back from the full capacity, last user first."""
        values: NDArray[np.int64] = np.zeros(self.capacity + 1, dtype=self.dtype)
        picks = []
        for group in self.groups:
            values, pick = self._extended(values, group)
            picks.append(pick)
        found, room = [], self.capacity
        for group, pick in zip(reversed(self.groups), reversed(picks), strict=True):
            place = int(pick[room])
            if place >= 0:
                found.append(group[place])
                room -= self.need[group[place]]
        return found

    def _extended(
        self, before: NDArray[np.int64], group: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """V_k and, per capacity, the place in the group of the bid it takes (-1 for none)."""
        values, pick = before.copy(), np.full(len(before), -1, dtype=np.int32)
        for place, k in enumerate(group):
            need = self.need[k]
            if need > self.capacity or self.surplus[k] <= 0:
                continue
            offer = before[: len(before) - need] + self.surplus[k]
            better = offer > values[need:]
            values[need:][better] = offer[better]
            pick[need:][better] = place
        return values, pick


def greedy(bids: Sequence[Bid], capacity: int) -> CriticalOutcome:
    """Densest bids first; each winner's critical claim is value - density of its blocker x channels."""
    _require_single_bids(bids)

    def critical(bid: Bid, blocker: Bid | None) -> Fraction:
        return bid.value - (blocker.density if blocker else 0) * Fraction(bid.channels)

    winners, payments = _greedy_outcome(bids, capacity, critical)
    return CriticalOutcome(winners, sum(bids[k].surplus for k in winners), payments)


def greedy_integer(bids: Sequence[Bid], capacity: int) -> Outcome:
    """As `greedy`, paying the largest integer claim that still wins, ties by id included."""
    _require_single_bids(bids)
    winners, payments = _greedy_outcome(bids, capacity, _largest_winning_claim)
    return Outcome(winners, sum(bids[k].surplus for k in winners), payments)


def _greedy_outcome(
    bids: Sequence[Bid], capacity: int, critical: Callable[[Bid, Bid | None], _Payment]
) -> tuple[tuple[int, ...], dict[str, _Payment]]:
    """Serve the ranking; price each winner against the ranking without it."""
    ranking = sorted(
        (k for k, b in enumerate(bids) if b.surplus >= 0),
        key=lambda k: (-bids[k].density, user_order(bids[k].user)),
    )
    winners, room = [], capacity
    for k in ranking:
        if bids[k].channels <= room:
            winners.append(k)
            room -= bids[k].channels
    return tuple(winners), {
        bids[k].user: critical(bids[k], _blocker(bids, ranking, k, capacity)) for k in winners
    }


def _blocker(bids: Sequence[Bid], ranking: Sequence[int], without: int, room: int) -> Bid | None:
    """The first bid accepted without `without` that leaves it too few channels."""
    for k in ranking:
        if k != without and bids[k].channels <= room:
            room -= bids[k].channels
            if room < bids[without].channels:
                return bids[k]
    return None


def _largest_winning_claim(bid: Bid, blocker: Bid | None) -> int:
    if blocker is None:
        return bid.value
    # Least surplus w that ranks before the blocker: w / channels > its density, or equal with the lower id.
    least, remainder = divmod(blocker.surplus * bid.channels, blocker.channels)
    wins_ties = user_order(bid.user) < user_order(blocker.user)
    return bid.value - (least if remainder == 0 and wins_ties else least + 1)


def dual_bound(bids: Sequence[Bid], capacity: int) -> Fraction:
    """min over prices p >= 0 of capacity p + sum_n max(0, max_j(surplus - p channels)): no set is worth more.

    The bound is convex and piecewise linear, so it is least at 0 or where some user changes its best bid.
    """
    by_user: dict[str, list[Bid]] = {}
    for bid in bids:
        by_user.setdefault(bid.user, []).append(bid)
    kinks = {Fraction(0)} | {b.density for b in bids if b.surplus > 0}
    for own in by_user.values():
        for one in own:
            for two in own:
                if one.channels > two.channels and one.surplus > two.surplus:
                    kinks.add(Fraction(one.surplus - two.surplus, one.channels - two.channels))

    def bound(price: Fraction) -> Fraction:
        gains = (
            max(max(b.surplus - price * b.channels for b in own), Fraction(0)) for own in by_user.values()
        )
        return capacity * price + sum(gains, Fraction(0))

    points = sorted(kinks)
    low, high = 0, len(points) - 1
    while low < high:  # convex: walk down the slope
        middle = (low + high) // 2
        if bound(points[middle]) <= bound(points[middle + 1]):
            high = middle
        else:
            low = middle + 1
    return bound(points[low])


def _require_single_bids(bids: Sequence[Bid]) -> None:
    if len({b.user for b in bids}) != len(bids):
        raise Malformed("the greedy auction takes one bid of each user", field="bids")
    require_one_spelling(b.user for b in bids)
