"""Giving a waiting tax back: one epoch late, equal shares, each account excluded from its own tax [R].

    r_u = floor((S - T_u)/(N-1)) + floor(S_out/N) + floor(carry/N)        carry' = carry + S + S_out - sum r

sum_u (S - T_u)/(N-1) = S, so floors never overspend, and r_u does not depend on what u itself paid.
S_out is tax of payers who are not on the roll.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from registry.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One line of the append-only roll: active in the epochs first..last, both included."""

    account: str
    first: int
    last: int | None

    def is_active(self, epoch: int) -> bool:
        return self.first <= epoch and (self.last is None or epoch <= self.last)


class Roll:
    """Who shares in rebates, in order of enrolment; lines are never removed."""

    def __init__(self, lines: Iterable[Enrolment]) -> None:
        self.lines = list(lines)

    def active(self, epoch: int) -> int:
        """N: how many accounts share in `epoch`."""
        return sum(line.is_active(epoch) for line in self.lines)

    def enrol(self, account: str, *, first: int) -> None:
        """Append a line; an account has one open line at most."""
        if any(line.account == account and (line.last is None or line.last >= first) for line in self.lines):
            raise Conflict(f"{account} is already enrolled")
        self.lines.append(Enrolment(account, first, None))

    def retire(self, account: str, *, last: int) -> None:
        """End the account's open line after epoch `last`."""
        for k, line in enumerate(self.lines):
            if line.account == account and line.last is None:
                self.lines[k] = Enrolment(account, line.first, last)
                return
        raise NotFound(f"{account} is not enrolled")


@dataclass(slots=True)
class Rebate:
    """A closed epoch's frozen shares and how far its pages have come."""

    epoch: int
    members: tuple[Enrolment, ...]
    tax: Mapping[str, int]
    count: int
    inside: int
    outside: int
    carry: int
    next_line: int = 0
    paid: int = 0

    @classmethod
    def frozen(cls, epoch: int, tax: Mapping[str, int], roll: Roll, carry: int) -> "Rebate":
        """Freeze S, N, the roll's length and the carry as they are at the close of `epoch`."""
        names = {line.account for line in roll.lines if line.is_active(epoch)}
        inside = sum(amount for account, amount in tax.items() if account in names)
        members = tuple(roll.lines)
        return cls(epoch, members, dict(tax), len(names), inside, sum(tax.values()) - inside, carry)

    @property
    def pooled(self) -> int:
        """S + S_out: the epoch's tax, which the pool owes."""
        return self.inside + self.outside

    @property
    def dust(self) -> int:
        """What the floors of a completed rebate left, penalties since the freeze not counted."""
        return self.pooled + self.carry - self.paid

    @property
    def is_complete(self) -> bool:
        """Whether no line is left to be paid; fewer than two accounts paid no tax and share nothing."""
        return self.count < 2 or self.next_line >= len(self.members)

    def share(self, account: str) -> int:
        """r_u of one active account; nothing while fewer than two share."""
        if self.count < 2:
            return 0
        others = (self.inside - self.tax.get(account, 0)) // (self.count - 1)
        return others + self.outside // self.count + self.carry // self.count

    def page(self, count: int) -> Iterator[tuple[str, int]]:
        """Pay the next `count` lines of the roll; lines not active in the epoch are skipped unpaid."""
        for line in islice(self.members, self.next_line, self.next_line + count):
            self.next_line += 1
            if line.is_active(self.epoch):
                amount = self.share(line.account)
                self.paid += amount
                yield line.account, amount
