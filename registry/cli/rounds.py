"""task: the work of a round, from its evaluation set to its settlement."""

from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.context import client
from registry.cli.output import show, table

if TYPE_CHECKING:
    from registry.wire_rewards import EntryBody

RoundOption = Annotated[int, typer.Option("--round", help="counted from 0", min=0)]
EvaluationOption = Annotated[str, typer.Option(help="the evaluation set's file, or its sha-256 as 0x…")]


def register(group: typer.Typer) -> None:
    """Add these commands to `task`."""
    for name, command in (
        ("begin", begin),
        ("contribute", contribute),
        ("contributions", contributions),
        ("countersign", countersign),
        ("measure", measure),
        ("settle", settle),
    ):
        group.command(name)(command)


def begin(task: int, evaluation: EvaluationOption, round: RoundOption = 0) -> None:
    """Aggregator: begin a round by committing to its evaluation set."""
    from registry.sdk.updates import digest_of

    tx_hash = client().tasks.begin(task, round, digest_of(evaluation))
    show({"tx_hash": tx_hash}, [f"round {round} has begun (transaction {tx_hash})"])


def contribute(
    task: int,
    update: Annotated[str, typer.Option(help="your update's file, or its sha-256 as 0x…")],
    samples: Annotated[int, typer.Option(help="rows you trained on", min=0)],
    round: RoundOption = 0,
    cell: Annotated[str, typer.Option(metavar="NS/CELL", help="the cell you were in")] = "",
) -> None:
    """Device: sign your update of a round; keep the answer, it proves that you handed it in."""
    from registry.sdk.updates import digest_of

    entry = client(cell or None).tasks.contribute(task, round, digest_of(update), samples=samples, cell=cell)
    show(entry, _lines([entry]))


def contributions(task: int, round: RoundOption = 0) -> None:
    """Everything signed about a round."""
    entries = client().tasks.contributions(task, round)
    show(entries, _lines(entries))


def countersign(task: int, round: RoundOption = 0) -> None:
    """Aggregator: sign every contribution received."""
    entries = client().tasks.countersign(task, round)
    show(entries, _lines(entries))


def measure(
    task: int,
    device: Annotated[str, typer.Argument(help="whose update")],
    update: Annotated[str, typer.Option(help="the update's safetensors file")],
    evaluation: EvaluationOption,
    before: Annotated[int, typer.Option(help="loss before, micro-units", min=0)],
    after: Annotated[int, typer.Option(help="loss with the update, micro-units", min=0)],
    round: RoundOption = 0,
) -> None:
    """Validator: state an update's losses; its norm and sketch are computed here."""
    from registry.core.ids import to_address
    from registry.errors import NotFound, VerificationFailed
    from registry.sdk.updates import digest_of, read_update

    tasks, who = client().tasks, to_address(device)
    entry = next((e for e in tasks.contributions(task, round) if e.contribution.device == who), None)
    if entry is None:
        raise NotFound(f"{who} did not contribute to round {round} of task {task}")
    if "0x" + digest_of(update).hex() != entry.contribution.update_sha256:
        raise VerificationFailed(f"{update} is not the update {entry.contribution.update_sha256}")
    found = tasks.measure(
        entry, evaluation=digest_of(evaluation), losses=(before, after), update=read_update(update)
    )
    show(found, _lines([found]))


def settle(task: int, round: RoundOption = 0) -> None:
    """Aggregator: settle a round by everything that was signed, and post the bond."""
    tx_hash = client().tasks.settle(task, round)
    show({"tx_hash": tx_hash}, [f"round {round} is settled (transaction {tx_hash})"])


def _lines(entries: "list[EntryBody]") -> list[str]:
    rows = [
        [
            e.contribution.device,
            e.contribution.update_sha256,
            "yes" if e.aggregator_signature else "no",
            len(e.measurements),
        ]
        for e in entries
    ]
    return table(["device", "update", "countersigned", "measured"], rows)
