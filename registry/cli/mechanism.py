"""mechanism list | run: any mechanism on JSON, the way the known answers are written."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from registry.cli.output import show
from registry.errors import Malformed


def register(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Evaluate the economics.", no_args_is_help=True)
    group.command("list")(mechanism_list)
    group.command("run")(mechanism_run)
    app.add_typer(group, name="mechanism")


def mechanism_list() -> None:
    """The keys that `run` takes."""
    from incentives.evaluate import KEYS

    show(list(KEYS), KEYS)


def mechanism_run(
    key: str,
    input: Annotated[
        str, typer.Option("--input", metavar="FILE|-", help="JSON: the value of `inputs`")
    ] = "-",
    on_chain: Annotated[bool, typer.Option("--on-chain", help="through the real contracts")] = False,
) -> None:
    """Read the value of `inputs`, print the value of `outputs`."""
    import json

    from incentives.evaluate import evaluate
    from registry.core.canonical import strict_json

    try:
        raw = sys.stdin.buffer.read() if input == "-" else Path(input).read_bytes()
    except OSError as e:
        raise Malformed(f"{input} cannot be read: {e}", hint="give --input FILE or pipe JSON in") from e
    given = strict_json(raw)
    if not isinstance(given, dict):
        raise Malformed("the inputs are no JSON object")
    if on_chain:
        from registry.wiring.replaying import replay_on_chain

        print(json.dumps(replay_on_chain(key, given), indent=2))
    else:
        print(json.dumps(evaluate(key, given), indent=2))
