"""What the market's history is made of: events in, what a recount keeps of them out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FOREVER = (1 << 48) - 1


@dataclass(frozen=True, slots=True)
class MarketEvent:
    """One event of TwinRegistry or StorageMarket; integers may come as decimal strings."""

    place: str
    contract: str
    name: str
    args: Mapping[str, Any]

    def number(self, name: str) -> int:
        """An integer argument."""
        return int(self.args[name])

    def text(self, name: str) -> str:
        """An address or an id."""
        value = self.args[name]
        return "0x" + value.hex() if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something the chain said that the ledger does not."""

    epoch: int
    place: str
    what: str
    stated: str
    recomputed: str


@dataclass(frozen=True, slots=True)
class Recounted:
    """One closed epoch, or a run of idle ones, as the ledger has it."""

    first: int
    last: int
    is_idle: bool
    tau_high: int
    tau_low: int
    taxes: int
    carry: int
    accounts: int


@dataclass(slots=True)
class Line:
    """An enrolment as the contract keeps it; one that was never active ends before it begins."""

    account: str
    first: int
    last: int

    def is_active(self, epoch: int) -> bool:
        """Whether it shares in an epoch."""
        return self.first <= epoch <= self.last


@dataclass(slots=True)
class Standing:
    """Who pays in whose name: the contract's accounts and enrolments, followed event by event."""

    lines: dict[int, Line] = field(default_factory=dict)
    namespace: dict[str, int] = field(default_factory=dict)
    enrolment: dict[str, int] = field(default_factory=dict)
    representative: dict[int, int] = field(default_factory=dict)

    def taxpayer(self, payer: str, epoch: int) -> str:
        """The enrolled account in whose name `payer` pays; a name nobody enrols when there is none."""
        for index in (self.enrolment.get(payer, 0), self.representative.get(self.namespace.get(payer, 0), 0)):
            line = self.lines.get(index)
            if line is not None and line.is_active(epoch):
                self.enrolment[payer] = index  # as the contract does: it outlives a change of representative
                return line.account
        return f"outside {payer}"
