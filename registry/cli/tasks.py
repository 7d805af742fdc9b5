"""task: what sponsors and devices do; the work of rounds and of services is in files of its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from registry.cli import rounds, services
from registry.cli.context import client, globals_
from registry.cli.output import note, show, table, time_of
from registry.errors import Malformed

if TYPE_CHECKING:
    from registry.wire_tasks import OwedBody, TaskBody

BidOption = Annotated[list[str], typer.Option("--bid", metavar="CLAIM:VALUE:CHANNELS", help="a bid, in wei")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Federated-learning tasks and what they pay.", no_args_is_help=True)
    for name, command in (
        ("create", create),
        ("list", list_),
        ("show", show_),
        ("bid", bid),
        ("choose", choose),
        ("reveal", reveal),
        ("payouts", payouts),
        ("owed", owed),
        ("claim", claim),
        ("challenge", challenge),
        ("decide", decide),
        ("refund", refund),
    ):
        group.command(name)(command)
    rounds.register(group)
    app.add_typer(group, name="task")
    services.register(app)


def create(
    model: Annotated[str, typer.Argument(metavar="NS/NAME")],
    validator: Annotated[list[str], typer.Option(help="address of a validator; at least three")],
    mechanism: Annotated[str, typer.Option(help="stackelberg, auction or contract")] = "stackelberg",
    aggregator: Annotated[str | None, typer.Option(help="who settles; yourself by default")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 1,
    seats: Annotated[int, typer.Option(help="most payouts of a round", min=1)] = 100,
    unit: Annotated[int, typer.Option(help="posted rate, or largest value of a bid, in wei", min=0)] = 0,
    capacity: Annotated[int, typer.Option(help="channels of a round (auction)", min=0)] = 0,
    menu: Annotated[Path | None, typer.Option(help='JSON {"rewards", "costs"} (contract)')] = None,
    bond: Annotated[int, typer.Option(help="bond of a settlement and of a challenge, in wei", min=0)] = 0,
    bids: Annotated[int, typer.Option(help="seconds to bid or choose", min=0)] = 3600,
    reveals: Annotated[int, typer.Option(help="seconds to reveal (auction)", min=0)] = 3600,
    window: Annotated[int, typer.Option(help="seconds to challenge a settlement", min=1)] = 86_400,
    deadline: Annotated[int, typer.Option(help="seconds until the rest goes back", min=1)] = 2_592_000,
    reputation: Annotated[int, typer.Option(help="least reputation of a device, ppm", min=0)] = 0,
    epsilon: Annotated[float | None, typer.Option(help="differential privacy: epsilon")] = None,
    delta: Annotated[float | None, typer.Option(help="differential privacy: delta")] = None,
    clip: Annotated[float | None, typer.Option(help="differential privacy: clipping norm")] = None,
    sigma: Annotated[float | None, typer.Option(help="differential privacy: noise")] = None,
    escrow: Annotated[
        int | None, typer.Option(help="wei to fund it with; the largest payout by default")
    ] = None,
) -> None:
    """Open a task; everything it can ever pay is funded now."""
    from registry.sdk.tasks import TaskPlan
    from registry.wire import parse_body
    from registry.wire_rewards import ParametersBody, PrivacyBody

    parameters: ParametersBody = parse_body(
        ParametersBody,
        {
            "model": model,
            "validators": list(validator),
            "reputation_ppm": reputation,
            "privacy": PrivacyBody(
                kind="none" if epsilon is None else "dp",
                clip=clip,
                sigma=sigma,
                epsilon=epsilon,
                delta=delta,
            ),
        },
    )
    with client() as gateway:
        rewards, costs = _menu(menu)
        plan = TaskPlan(
            parameters=parameters,
            mechanism=mechanism,
            aggregator=aggregator or gateway.address,
            rounds=rounds,
            seats=seats,
            capacity=capacity,
            unit=unit,
            bond=bond,
            bids_s=bids,
            reveals_s=reveals,
            window_s=window,
            deadline_s=deadline,
            rewards=rewards,
            costs=costs,
            escrow=escrow,
        )
        task = gateway.tasks.create(plan)
    show(task, [f"task {task.task} is open and holds {task.escrow} wei", *_task_lines(task)])


def list_() -> None:
    """Every task."""
    tasks = list(client().tasks.all())
    rows = [[t.task, t.mechanism, t.sponsor, t.escrow, t.free, len(t.progress), t.rounds] for t in tasks]
    show(tasks, table(["task", "mechanism", "sponsor", "escrow", "free", "begun", "rounds"], rows))


def show_(task: int) -> None:
    """One task: terms, bids, choices, rounds."""
    found = client().tasks.show(task)
    show(found, _task_lines(found))


def bid(task: int, bid: BidOption) -> None:
    """Commit to bids; reveal the same ones when bidding is over."""
    _done(client().tasks.bid(task, _bids(bid)), "the bid is committed; reveal it with the same --bid options")


def reveal(task: int, bid: BidOption) -> None:
    """Reveal the bids committed to."""
    _done(client().tasks.reveal(task, _bids(bid)), "the bid is revealed")


def choose(
    task: int,
    kind: Annotated[int, typer.Option("--type", help="your type, counted from 0", min=0)],
    item: Annotated[int | None, typer.Option(help="the item; your type's own by default", min=0)] = None,
) -> None:
    """Choose an item of a contract's menu."""
    _done(client().tasks.choose(task, kind, item), "the item is chosen")


def payouts(
    task: int,
    round: Annotated[int | None, typer.Option(help="one round only", min=0)] = None,
    recompute: Annotated[bool, typer.Option("--recompute", help="settle again from signed integers")] = False,
) -> None:
    """The settled rounds with their leaves; --recompute reproduces the root or names what differs."""
    tasks = client().tasks
    found = tasks.payouts(task, round)
    if recompute:
        for settled in found:
            tasks.recompute(task, settled.round)
            note(f"round {settled.round}: {settled.root} recomputed from its signed integers")
    rows = [
        [p.round, p.state, leaf.account, leaf.amount, " ".join(leaf.detail), leaf.account in p.claimed]
        for p in found
        for leaf in p.leaves
    ]
    show(found, table(["round", "state", "account", "wei", "detail", "claimed"], rows))


def owed(
    task: Annotated[int | None, typer.Argument(metavar="[TASK]", help="all tasks by default")] = None,
    account: Annotated[str | None, typer.Option(help="another account than your own")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="keep the proofs in a file")] = None,
    verify: Annotated[Path | None, typer.Option(help="check a kept file, without any network")] = None,
) -> None:
    """What am I owed, why, and the proof."""
    from registry.sdk.owed import load_owed, save_owed

    if verify is not None:
        found = load_owed(verify)
    else:
        with client() as gateway:
            found = gateway.tasks.owed(task, account=account)
    if out is not None:
        save_owed(found, out)
        note(f"proofs kept in {out}; check them with `twinledger task owed --verify {out}`")
    show(found, [line for item in found for line in _owed_lines(item)] or ["nothing is owed"])


def claim(
    task: int,
    round: Annotated[int | None, typer.Option(help="one round only", min=0)] = None,
    all: Annotated[bool, typer.Option("--all", help="for every account of the round")] = False,
) -> None:
    """Claim what is due to you, or with --all to everybody in a round."""
    if all and round is None:
        raise Malformed("--all needs a --round", hint="add --round 0")
    with client() as gateway:
        if all and round is not None:
            hashes = gateway.tasks.claim_all(task, round)
        else:
            hashes = gateway.tasks.claim(task, round)
    show({"tx_hashes": hashes}, [f"claimed (transaction {h})" for h in hashes] or ["nothing is due"])


def challenge(
    task: int,
    round: Annotated[int, typer.Option(min=0)],
    reason: Annotated[str, typer.Option(help="why the council should void the root")] = "",
    account: Annotated[str | None, typer.Option(help="whose leaf, or whose is missing; your own")] = None,
) -> None:
    """Challenge a settled round: a leaf that breaks its payment rule slashes the aggregator at once."""
    _done(client().tasks.challenge(task, round, reason, account=account), "the round is challenged")


def decide(
    task: int,
    round: Annotated[int, typer.Option(min=0)],
    reason: Annotated[str, typer.Option(help="why")],
    uphold: Annotated[bool, typer.Option("--uphold/--reject", help="void the root, or let it stand")],
) -> None:
    """Council: propose a decision on a challenge."""
    _done(client().tasks.decide(task, round, upheld=uphold, reason=reason), "the decision is proposed")


def refund(
    task: int,
    bond: Annotated[
        int | None, typer.Option(help="only the bond of this round, after its window", min=0)
    ] = None,
) -> None:
    """After the deadline: what was not paid goes back to the sponsor, bonds to their owners."""
    tasks = client().tasks
    _done(tasks.refund(task) if bond is None else tasks.release(task, bond), "sent back")


def _task_lines(task: "TaskBody") -> list[str]:
    lines = [
        f"mechanism  {task.mechanism}, at most {task.unit} wei for each of {task.seats} a round",
        f"sponsor    {task.sponsor}",
        f"aggregator {task.aggregator}, bond {task.bond} wei",
        f"escrow     {task.escrow} wei, of which {task.free} not settled",
        f"until      bids {time_of(task.bids_until)}, reveals {time_of(task.reveals_until)}, "
        f"deadline {time_of(task.deadline)}",
        f"bids       {len(task.bids)} of {len(task.committed)} committed, choices {len(task.choices)}",
    ]
    for one in task.progress:
        due = "" if one.claimable_at is None else f", claims from {time_of(one.claimable_at)}"
        lines.append(f"round {one.round}    {one.state}, {one.total or 0} wei{due}")
    return lines


def _owed_lines(item: "OwedBody") -> list[str]:
    from registry.sdk.owed import verify_owed

    found = verify_owed(item)
    status = "claimed" if item.claimed else f"{item.state}, claims from {time_of(item.claimable_at)}"
    head = f"task {item.task} round {item.round}: {found.amount} wei to {item.account} ({status})"
    return [head, *(f"  {reason}" for reason in found.reasons)]


def _menu(path: Path | None) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    if path is None:
        return (), ()
    from registry.core.canonical import strict_json

    try:
        read: Any = strict_json(path.read_bytes())
        return tuple(map(int, read["rewards"])), tuple(tuple(map(int, row)) for row in read["costs"])
    except (OSError, KeyError, TypeError, ValueError) as e:
        raise Malformed(
            f"{path} is no menu: {e}", hint='{"rewards": [10, 16], "costs": [[10, 20], [6, 12]]}'
        ) from e


def _bids(given: list[str]) -> list[tuple[int, int, int]]:
    try:
        return [(int(a), int(b), int(c)) for a, b, c in (text.split(":") for text in given)]
    except ValueError as e:
        raise Malformed(f"{given} are no bids", hint="write --bid CLAIM:VALUE:CHANNELS") from e


def _done(tx_hash: str, text: str) -> None:
    if globals_().json:
        show({"tx_hash": tx_hash})
    else:
        show(None, [f"{text} (transaction {tx_hash})"])
