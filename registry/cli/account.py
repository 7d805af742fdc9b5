"""account and fees."""

from typing import Annotated

import typer

from registry.cli.context import client
from registry.cli.output import show, table


def register(app: typer.Typer) -> None:
    """Add these commands."""
    account = typer.Typer(help="Your escrow.", no_args_is_help=True)
    account.command("show")(account_show)
    account.command("deposit")(deposit)
    account.command("withdraw")(withdraw)
    app.add_typer(account, name="account")
    fees = typer.Typer(help="What sealing costs.", no_args_is_help=True)
    fees.command("menu")(menu)
    fees.command("quote")(quote)
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


def menu() -> None:
    """The prices in force, wei per byte."""
    found = client().http.get("/v1/fees/menu")
    rows = [[name, prices["rho"], prices["tax"], prices["price"]] for name, prices in found.items()]
    show(found, table(["class", "fee", "waiting tax", "price"], rows))


def quote(
    size: Annotated[int, typer.Argument(metavar="BYTES", min=0)],
    fee: Annotated[str, typer.Option(help="standard or priority")] = "standard",
) -> None:
    """What sealing so many bytes costs now."""
    found = client().quote(size, fee)
    show(found, [f"{found.total} wei for {size} bytes ({found.rho} fee and {found.tax} tax per byte)"])
