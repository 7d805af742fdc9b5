"""What the rewards demo found, and how it is shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from registry.demo.privacy import Privacy, PrivacyCost

UNIT = 10**15


@dataclass(frozen=True, slots=True)
class Paid:
    """One device: its local steps round by round, the rounds it was paid for, its cost and payouts in wei."""

    device: str
    address: str
    steps: tuple[int, ...]
    rounds: int
    cost: int
    paid: int


@dataclass(frozen=True, slots=True)
class RewardsResult:
    """One task from its escrow to its payouts; `left` goes back to the sponsor at the deadline."""

    mechanism: str
    task: int
    escrow: int
    paid: tuple[Paid, ...]
    left: int
    error_db: tuple[float, float]
    model: str
    version_id: str
    privacy: Privacy | None
    privacy_cost: PrivacyCost | None
    home: Path | None

    @property
    def commands(self) -> tuple[str, ...]:
        """What the reader can do with the home that stays."""
        at = f" --home {self.home}" if self.home else ""
        return (
            f"twinledger up{at}",
            f"twinledger task show{at} {self.task}",
            f"twinledger task payouts{at} {self.task} --recompute",
            f"twinledger task owed{at} {self.task} --account {self.paid[0].address} -o owed.json",
        )

    def document(self) -> Mapping[str, object]:
        """The findings as one JSON document, money in decimal text."""
        rows = [{**asdict(row), "cost": str(row.cost), "paid": str(row.paid)} for row in self.paid]
        given = asdict(self) | {"paid": rows, "escrow": str(self.escrow), "left": str(self.left)}
        return given | {"home": str(self.home) if self.home else None, "commands": self.commands}


def print_rewards(result: RewardsResult, console: Console) -> None:
    """Who trained how much, what it cost them, what they were paid, and where every wei is."""
    table = Table(
        title=f"task {result.task}, {result.mechanism}; money in 10^15 wei",
        title_justify="left",
        box=SIMPLE_HEAD,
        collapse_padding=True,
    )
    for heading in ("device", "local steps", "rounds paid", "cost", "paid", "gain"):
        table.add_column(heading, justify="right", overflow="fold")
    for row in result.paid:
        steps = " ".join(map(str, row.steps)) or "declined"
        money = (f"{wei / UNIT:.3f}" for wei in (row.cost, row.paid))
        figures = (str(row.rounds), *money, f"{(row.paid - row.cost) / UNIT:+.3f}")
        table.add_row(row.device, steps, *figures)
    console.print(table)
    paid = sum(row.paid for row in result.paid)
    console.print(
        f"escrow {result.escrow} = paid {paid} + held {result.left} wei; each payout verified by its device"
    )
    before, after = result.error_db
    console.print(f"the twin's error went from {before:.2f} to {after:.2f} dB; registered as {result.model}")
    console.print(f"version {result.version_id}")
    for line in _privacy_lines(result):
        console.print(line)
    console.print("continue with:")
    for command in result.commands:
        console.print(f"  {command}", soft_wrap=True)


def _privacy_lines(result: RewardsResult) -> tuple[str, ...]:
    if result.privacy is None or result.privacy_cost is None:
        return ()
    terms, cost = result.privacy, result.privacy_cost
    return (
        f"privacy of each measurement: epsilon {terms.epsilon:.2f}, delta {terms.delta:g} "
        f"(clip {terms.clip:g}, noise {terms.sigma:.2f} times the clip)",
        f"privacy cost: {cost.rounds.mean:+.1f} rounds to the same error, {cost.error_db:+.2f} dB at the end",
    )
