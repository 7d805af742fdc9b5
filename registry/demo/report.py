"""How a demo's findings are shown: tables, the rounds saved with their interval, commands to copy."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from registry.demo.congestion import print_congestion
from registry.demo.forensics import print_finding
from registry.demo.results import Choice, DemoResult
from registry.demo.transfer import Savings


def print_choice(choice: Choice, console: Console) -> None:
    """The candidates of a new cell, nearest first, and why others are out."""
    table = Table(
        title="twins that the new cell found", title_justify="left", box=SIMPLE_HEAD, collapse_padding=True
    )
    for heading in ("model", "version", "distance", ""):
        table.add_column(heading, overflow="fold")
    for place, candidate in enumerate(choice.ranked):
        verdict = "nearest: the warm start" if place == 0 else ""
        table.add_row(candidate.model, candidate.version_id[:10], f"{candidate.distance:.3f}", verdict)
    for out in choice.excluded:
        table.add_row(out.model, out.version_id[:10], "-", f"excluded: {out.reason}")
    console.print(table)


def signed(values: list[int]) -> str:
    """Whole numbers with their signs, so that a loss is seen at once."""
    return " ".join(f"{v:+d}" for v in values)


def savings_lines(savings: Savings) -> tuple[str, ...]:
    """The rounds saved: mean, interval, every seed, and how often the warm start did not arrive."""
    lines = [
        f"rounds saved by the warm start: mean {savings.mean:+.1f}, 95 % interval "
        f"{savings.low:+.1f} to {savings.high:+.1f}, {len(savings.runs)} seeds",
        f"seed by seed (cold minus warm): {signed([r.saved for r in savings.runs])}",
    ]
    late = [r for r in savings.runs if not r.has_warm_arrived]
    if late:
        lines.append(
            f"{len(late)} warm start(s) did not reach the cold start's error and count as all rounds"
        )
    return tuple(lines)


def privacy_lines(result: DemoResult) -> tuple[str, ...]:
    """What privacy was promised and what it cost; nothing without it."""
    if result.privacy is None or result.privacy_cost is None:
        return ()
    terms, cost = result.privacy, result.privacy_cost
    return (
        f"privacy of each measurement: epsilon {terms.epsilon:.2f}, delta {terms.delta:g} "
        f"(clip {terms.clip:g}, noise {terms.sigma:.2f} times the clip)",
        f"privacy cost: {cost.rounds.mean:+.1f} rounds to the same error, 95 % interval "
        f"{cost.rounds.low:+.1f} to {cost.rounds.high:+.1f}, and {cost.error_db:+.2f} dB at the end",
        f"seed by seed (private minus plain): {signed([r.saved for r in cost.rounds.runs])}",
    )


def uplink_line(result: DemoResult) -> str:
    """What the lossy uplink did to all the cells' training."""
    rows = result.sealed
    return (
        f"uplink: {sum(r.airtime_s for r in rows):.1f} s of rounds on air, "
        f"{sum(r.retransmissions for r in rows)} updates sent again, "
        f"{sum(r.absences for r in rows)} absences"
    )


def print_report(result: DemoResult, console: Console) -> None:
    """The closing table, the savings and the commands."""
    table = Table(title="registered twins", title_justify="left", box=SIMPLE_HEAD, collapse_padding=True)
    table.add_column("model", overflow="fold")
    for heading in ("version", "bytes", "sealed", "error", "saved"):
        table.add_column(heading, justify="right")
    table.add_column("verified")
    for row in result.sealed:
        is_newcomer = row is result.sealed[-1]
        table.add_row(
            row.model,
            f"v{row.number} {row.version_id[:10]}",
            f"{row.size:,}",
            f"{row.seal_s:.2f} s",
            f"{row.error_db:.2f} dB",
            f"{result.savings.mean:+.1f}" if is_newcomer else "",
            "yes" if row.is_verified else "NO",
        )
    console.print(table)
    for line in (uplink_line(result), *savings_lines(result.savings), *privacy_lines(result)):
        console.print(line, highlight=False, soft_wrap=True)
    if result.market is not None:
        print_congestion(result.market, console)
    print_finding(result.finding, console)
    console.print("\ncontinue with:", highlight=False)
    for command in result.commands:
        console.print(f"  {command}", highlight=False, soft_wrap=True, markup=False)
