"""submit, submission, retrieve."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.context import client
from registry.cli.output import note, show, table, time_of

if TYPE_CHECKING:
    from registry.sdk import Receipt


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(submit)
    app.command()(retrieve)
    group = typer.Typer(help="Submissions that are on their way.", no_args_is_help=True)
    group.command("show")(submission_show)
    group.command("wait")(submission_wait)
    group.command("list")(submission_list)
    group.command("cancel")(submission_cancel)
    app.add_typer(group, name="submission")


def submit(
    model: Annotated[str, typer.Argument(metavar="NS/NAME", help="the model this is a version of")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="weights and what belongs to them")],
    manifest: Annotated[Path, typer.Option(help="JSON file that describes the version")],
    parent: Annotated[
        list[str] | None, typer.Option(metavar="REF", help="a version this one comes from")
    ] = None,
    fee: Annotated[str, typer.Option(help="standard or priority")] = "standard",
    max_price: Annotated[int | None, typer.Option(metavar="WEI", help="most to pay per byte")] = None,
    deadline: Annotated[
        int | None, typer.Option(metavar="T", help="unix seconds until when it may be sealed")
    ] = None,
    salt: Annotated[
        str | None, typer.Option(metavar="HEX", help="32 bytes that make a repeat a new version")
    ] = None,
    private_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MEMBER", help="encrypt for this member: address, or ADDRESS=0x… with its X25519 key"
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="do not wait for the seal")] = False,
) -> None:
    """Register files as the next version of a model."""
    from registry.sdk import Receipt

    result = client().submit(
        model,
        list(files),
        manifest,
        parents=parent or (),
        fee=fee,
        wait=not no_wait,
        salt=salt,
        max_price=max_price,
        deadline=deadline,
        private_to=private_to or (),
    )
    if isinstance(result, Receipt):
        _show_receipt(result)
    else:
        show(result, [f"{result.version_id} is {result.state}"])
        note(f"next: twinledger submission wait {result.version_id}")


def retrieve(
    ref: Annotated[str, typer.Argument(metavar="REF", help="ns/name, ns/name@alias, ns/name@vN or 0x…")],
    to: Annotated[Path, typer.Option("--to", "-o", metavar="DIR", help="folder for the files")],
    cell: Annotated[str | None, typer.Option(metavar="NS/CELL", help="the cell it is retrieved for")] = None,
    allow_revoked: Annotated[bool, typer.Option("--allow-revoked", help="also a revoked version")] = False,
) -> None:
    """Download a version, verified to the last byte."""
    found = client(cell).retrieve(ref, to, allow_revoked=allow_revoked)
    version = found.version
    document = {"path": str(found.path), "version_id": version.version_id, "model": version.model}
    show(
        document | {"number": version.number, "promise": found.promise and found.promise.model_dump()},
        [f"{version.model} v{version.number} is verified in {found.path}", version.version_id],
    )


def submission_show(version_id: str) -> None:
    """Where a submission stands."""
    status = client().submission(version_id)
    lines = [f"{status.version_id} is {status.state}", *([status.reason] if status.reason else [])]
    show(status, lines)


def submission_wait(
    version_id: str,
    timeout: Annotated[float, typer.Option(help="seconds to wait")] = 300.0,
) -> None:
    """Wait for the seal and print the receipt."""
    _show_receipt(client().wait(version_id, timeout))


def submission_list(
    state: Annotated[str | None, typer.Option(help="only those in this state")] = None,
) -> None:
    """Submissions in order of arrival."""
    items = list(client().submissions(state))
    rows = [
        [item.version_id, item.model or "", item.state, time_of(item.received) if item.received else ""]
        for item in items
    ]
    show(items, table(["version", "model", "state", "received"], rows))


def submission_cancel(version_id: str) -> None:
    """Withdraw a submission that is not sealed yet."""
    tx_hash = client().cancel(version_id)
    show({"tx_hash": tx_hash}, [f"cancelled by transaction {tx_hash}"])


def _show_receipt(receipt: "Receipt") -> None:
    show(
        receipt.body,
        [
            f"{receipt.model} v{receipt.number} is sealed in block {receipt.block.number}",
            receipt.version_id,
        ],
    )
    note(f"next: twinledger verify {receipt.version_id}")
