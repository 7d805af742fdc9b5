"""task: the work of a round, from its evaluation set to its settlement."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.context import client
from registry.cli.output import note, show, table

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
        ("updates", updates),
        ("average", average_),
        ("measure", measure),
        ("settle", settle),
        ("disclose", disclose),
        ("judge", judge),
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
    """Device: sign your update of a round; keep the answer, it proves that you handed it in.

    A file is also encrypted to the task's aggregator and validators and handed over; a digest alone is only
    signed.
    """
    from registry.errors import NotFound
    from registry.sdk.updates import digest_of, read_bytes

    tasks = client(cell or None).tasks
    entry = tasks.contribute(task, round, digest_of(update), samples=samples, cell=cell)
    if not update.startswith("0x"):
        try:
            tasks.hand_over(task, round, read_bytes(update))
        except NotFound as e:
            note(f"signed, but not handed over: {e.message}; {e.hint}")
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


def updates(
    task: int,
    out: Annotated[Path, typer.Option("-o", "--out", help="the folder they are written to")],
    round: RoundOption = 0,
) -> None:
    """Aggregator, validator: open the updates of a round that were encrypted to you."""
    opened = client().tasks.open_updates(task, round)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for device, update in opened.items():
        path = out / f"{device.lower()}.update"
        path.write_bytes(update)
        rows.append([device, len(update), path])
    show({device: len(update) for device, update in opened.items()}, table(["device", "bytes", "file"], rows))


def average_(
    task: int,
    out: Annotated[Path, typer.Option("-o", "--out", help="the file it is written to, as float32")],
    round: RoundOption = 0,
) -> None:
    """Aggregator: average the opened updates that the settlement will count."""
    from incentives.averaging import average_bytes, average_digest
    from registry.errors import NotFound

    mean = client().tasks.averaged(task, round)
    if mean is None:
        raise NotFound(f"no update of round {round} of task {task} counts", hint="validators measure first")
    out.write_bytes(average_bytes(mean))
    digest = "0x" + average_digest(mean).hex()
    show({"sha256": digest, "values": len(mean)}, [f"{len(mean)} values in {out}, sha-256 {digest}"])


def disclose(
    task: int,
    out: Annotated[Path, typer.Option("-o", "--out", help="the file the keys are written to")],
    round: RoundOption = 0,
) -> None:
    """Validator, aggregator: write the keys of a challenged round's updates, for whoever has to judge it."""
    from registry.keystore import write_private

    found = client().tasks.disclose(task, round)
    write_private(out, found.model_dump_json(by_alias=True) + "\n")
    show(
        {"openings": len(found.openings)},
        [
            f"{len(found.openings)} keys in {out}; who has the file runs "
            f"`twinledger task judge {task} --round {round} --openings {out}`"
        ],
    )


def judge(
    task: int,
    openings: Annotated[list[Path], typer.Option(help="keys that a validator or the aggregator disclosed")],
    round: RoundOption = 0,
) -> None:
    """Council, anyone: recompute a round from its opened updates; exit 5 when something stated is wrong."""
    from registry.core.canonical import strict_json
    from registry.errors import VerificationFailed
    from registry.sdk.updates import read_bytes
    from registry.wire import parse_body
    from registry.wire_updates import OpeningsBody

    given = [parse_body(OpeningsBody, strict_json(read_bytes(str(path)))) for path in openings]
    found = client().tasks.judge(task, round, given)
    if found.findings:
        raise VerificationFailed(
            f"round {round} of task {task} does not follow from its updates: " + "; ".join(found.findings),
            hint=f"the council runs `twinledger task decide {task} --round {round} --uphold --reason TEXT`",
        )
    root = "0x" + found.settlement.table.root.hex()
    show(
        {"root": root, "opened": list(found.opened), "findings": []},
        [f"{len(found.opened)} updates opened: norms, copies, outliers, the average and {root} follow"],
    )


def settle(
    task: int,
    round: RoundOption = 0,
    average: Annotated[
        str | None,
        typer.Option(help="the average's file, or its sha-256 as 0x…; what is stated can be judged"),
    ] = None,
) -> None:
    """Aggregator: settle a round by everything that was signed, and post the bond."""
    from registry.sdk.updates import digest_of

    tx_hash = client().tasks.settle(task, round, average=None if average is None else digest_of(average))
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
