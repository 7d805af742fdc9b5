"""account and fees."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.context import client, home, settings
from registry.cli.output import short, show, table, time_of
from registry.errors import Malformed, NotFound, VerificationFailed

if TYPE_CHECKING:
    from incentives.recount import Recount
    from registry.wire_fees import EpochBody


def register(app: typer.Typer) -> None:
    """Add these commands."""
    account = typer.Typer(help="Your escrow.", no_args_is_help=True)
    account.command("show")(account_show)
    account.command("deposit")(deposit)
    account.command("withdraw")(withdraw)
    account.command("statement")(statement)
    app.add_typer(account, name="account")
    fees = typer.Typer(help="What sealing costs.", no_args_is_help=True)
    fees.command("menu")(menu)
    fees.command("quote")(quote)
    fees.command("epochs")(epochs)
    fees.command("recompute")(recompute)
    app.add_typer(fees, name="fees")


def account_show(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="another address than your own")
    ] = None,
) -> None:
    """Balance, reservation, roles and namespace."""
    found = client().account.show(address)
    lines = [
        f"address    {found.address}",
        f"namespace  {found.namespace or 'none'}",
        f"roles      {', '.join(found.roles) or 'none'}",
        f"escrow     {found.balance} wei, of which {found.reserved} reserved",
        f"coin       {found.coin} wei",
    ]
    show(found, lines)


def deposit(wei: Annotated[int, typer.Argument(min=1)]) -> None:
    """Move coin into your escrow."""
    tx_hash = client().account.deposit(wei)
    show({"tx_hash": tx_hash}, [f"{wei} wei deposited (transaction {tx_hash})"])


def withdraw(wei: Annotated[int, typer.Argument(min=1)]) -> None:
    """Take escrow back."""
    tx_hash = client().account.withdraw(wei)
    show({"tx_hash": tx_hash}, [f"{wei} wei withdrawn (transaction {tx_hash})"])


def statement(
    address: Annotated[
        str | None, typer.Argument(metavar="[ADDRESS]", help="another address than your own")
    ] = None,
) -> None:
    """Every debit and credit of your escrow, with its reason; they sum to the balance."""
    found = list(client().account.statement(address))
    rows = [
        [
            time_of(e.time),
            e.reason,
            e.amount,
            e.balance,
            "" if e.epoch is None else e.epoch,
            short(e.subject or ""),
        ]
        for e in found
    ]
    show(found, table(["time", "reason", "wei", "balance", "epoch", "of"], rows))


def menu() -> None:
    """The prices in force, wei per byte."""
    found = client().fees.menu()
    classes = {"standard": found.standard, "priority": found.priority}
    rows = [[name, prices.rho, prices.tax, prices.price] for name, prices in classes.items()]
    show(found, table(["class", "fee", "waiting tax", "price"], rows))


def quote(
    size: Annotated[int, typer.Argument(metavar="BYTES", min=0)],
    fee: Annotated[str | None, typer.Option(help="standard or priority; without it both")] = None,
) -> None:
    """What sealing so many bytes costs now, and how long it waits, in one class or in both."""
    asked = client()
    found = {name: asked.fees.quote(size, name) for name in ([fee] if fee else ["standard", "priority"])}
    rows = [[name, q.total, q.rho, q.tax, _seconds(q.expected_wait_s)] for name, q in found.items()]
    lines = table(["class", "wei", "fee per byte", "tax per byte", "expected wait"], rows)
    show(found[fee] if fee else found, lines)


def epochs(
    number: Annotated[int | None, typer.Argument(metavar="[EPOCH]", help="one epoch with its events")] = None,
) -> None:
    """How each epoch was closed: bytes, waiting taxes, menu, rebates."""
    if number is not None:
        detail = client().fees.epoch(number)
        rows = [[f"{e.block}:{e.log_index}", e.name, json.dumps(e.args)] for e in detail.events]
        show(detail, [*_epoch_table([detail]), "", *table(["place", "event", "arguments"], rows)])
        return
    found = list(client().fees.epochs())
    show(found, _epoch_table(found))


def recompute(
    rpc: Annotated[
        str | None, typer.Option(metavar="URL", help="a node to read; without it the chain of the settings")
    ] = None,
    gateway: Annotated[bool, typer.Option("--gateway", help="take a gateway's word for events")] = False,
) -> None:
    """Recompute every epoch from chain data alone and compare; exit 5 on a difference."""
    found, rests_on, block = _recounted(rpc, is_told=gateway)
    differences = [asdict(difference) for difference in found.differences]
    last = found.epochs[-1].last if found.epochs else None
    document = {
        "epochs": sum(epoch.last - epoch.first + 1 for epoch in found.epochs),
        "last": last,
        "carry": str(found.ledger.carry),
        "pool": str(found.ledger.pool),
        "rests_on": rests_on,
        "block": block,
        "differences": differences,
    }
    rows = [[d.epoch, d.place, d.what, d.stated, d.recomputed] for d in found.differences]
    agrees = [f"{document['epochs']} epochs recomputed: every number is what the chain says"]
    lines = table(["epoch", "event", "what", "chain", "recomputed"], rows) if rows else agrees
    show(document, [*lines, f"this rests on {rests_on}"])
    if differences:
        raise typer.Exit(VerificationFailed.exit_code)


def _recounted(rpc: str | None, *, is_told: bool) -> "tuple[Recount, str, int | None]":
    """The recount, whose word it rests on, and the last block that was read where a chain was read."""
    if is_told and rpc is not None:
        raise Malformed("--rpc reads a chain and --gateway asks a gateway", hint="give one of the two")
    if is_told:
        asked = client()
        return asked.fees.recompute(), f"the word of the gateway {asked.http.url} for every event", None
    from registry.wiring.recounting import recount_chain

    try:
        counted = recount_chain(home(), settings(), rpc)
    except NotFound as e:
        hint = "give --rpc URL beside HOME's deployment.json, or --gateway to take the gateway's word"
        raise NotFound(e.message, hint=hint) from e
    return counted.recount, counted.rests_on, counted.block


def _epoch_table(found: "Sequence[EpochBody]") -> list[str]:
    columns = ["epoch", "state", "items", "bytes H", "bytes L", "tax H", "tax L", "taxes", "rebates"]
    rows = [
        [
            str(e.first) if e.first == e.last else f"{e.first}-{e.last}",
            e.state,
            *(e.items, e.bytes_h, e.bytes_l),
            *((e.menu.priority.tax, e.menu.standard.tax) if e.menu else ("", "")),
            e.tax,
            e.rebates.paid if e.rebates else "",
        ]
        for e in found
    ]
    return table(columns, rows)


def _seconds(wait_s: float | None) -> str:
    return "longer and longer" if wait_s is None else f"{wait_s:.1f} s"
