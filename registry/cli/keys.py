"""key, member, cell, council."""

import os
from pathlib import Path
from typing import Annotated

import typer

from registry.cli.context import client, home
from registry.cli.output import note, show, table
from registry.errors import Malformed


def register(app: typer.Typer) -> None:
    """Add these commands."""
    key = typer.Typer(help="Keys on this machine.", no_args_is_help=True)
    key.command("new")(key_new)
    key.command("list")(key_list)
    key.command("show")(key_show)
    key.command("register")(key_register)
    app.add_typer(key, name="key")
    member = typer.Typer(help="Members of the consortium.", no_args_is_help=True)
    member.command("add")(member_add)
    member.command("remove")(member_remove)
    member.command("list")(member_list)
    app.add_typer(member, name="member")
    cell = typer.Typer(help="Radio cells.", no_args_is_help=True)
    cell.command("add")(cell_add)
    cell.command("list")(cell_list)
    app.add_typer(cell, name="cell")
    council = typer.Typer(help="Council proposals.", no_args_is_help=True)
    council.command("propose")(council_propose)
    council.command("approve")(council_approve)
    council.command("execute")(council_execute)
    council.command("list")(council_list)
    app.add_typer(council, name="council")


def key_new(name: str) -> None:
    """Make a key and keep it as HOME/keys/NAME.json under a passphrase."""
    from registry.core.refs import check_name
    from registry.keystore import create_keystore, new_passphrase

    path = home().make().keys / f"{check_name(name)}.json"
    signer = create_keystore(path, new_passphrase(os.environ.get("TWINLEDGER_PASSWORD_FILE")))
    show({"name": name, "address": signer.address, "path": str(path)}, [f"{signer.address} in {path}"])
    note(f"next: twinledger member add {signer.address} --namespace NS --role submitter")


def key_list() -> None:
    """Keys in this home."""
    from registry.keystore import list_keystores

    items = list_keystores(home().keys)
    rows = [[item.name, item.address, "development" if item.is_development else ""] for item in items]
    show(
        [{"name": item.name, "address": item.address} for item in items], table(["name", "address", ""], rows)
    )


def key_show(name: str) -> None:
    """One key's address; needs no passphrase."""
    from registry.keystore import find_keystore, keystore_info

    found = keystore_info(find_keystore(name, home().keys))
    show({"name": found.name, "address": found.address, "path": str(found.path)}, [found.address])


def key_register(
    out: Annotated[
        Path | None, typer.Option(help="where to keep the X25519 secret; HOME/keys/ADDRESS.N.x25519")
    ] = None,
) -> None:
    """Make an X25519 key for private models and register it on chain."""
    from registry.keystore import new_x25519, next_x25519

    talker = client()
    path = out or next_x25519(home().make().keys, talker.address)
    public = new_x25519(path)
    tx_hash = talker.members.register_key(public)
    show(
        {"x25519": "0x" + public.hex(), "path": str(path), "tx_hash": tx_hash},
        [f"0x{public.hex()} in {path}"],
    )


def member_add(
    address: str,
    namespace: Annotated[str, typer.Option(metavar="NS")],
    role: Annotated[
        list[str], typer.Option(metavar="R", help="submitter, miner, sponsor, device, …; may be repeated")
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="[R...]", help="further roles")] = None,
    grant: Annotated[
        int,
        typer.Option(
            metavar="WEI",
            help="coin for it: into its escrow, after the price of its first transactions",
            min=0,
        ),
    ] = 0,
) -> None:
    """Propose to admit an address; a council of one admits at once."""
    tx_hash = client().members.add(address, namespace, [*role, *(more or ())], grant=grant)
    show({"tx_hash": tx_hash}, [f"{address} proposed for {namespace} (transaction {tx_hash})"])


def member_remove(address: str) -> None:
    """Propose to remove a member."""
    tx_hash = client().members.remove(address)
    show({"tx_hash": tx_hash}, [f"removal of {address} proposed (transaction {tx_hash})"])


def member_list() -> None:
    """Every member."""
    items = client().members.all()
    rows = [[item.address, item.namespace, ", ".join(item.roles) or "removed"] for item in items]
    show(items, table(["address", "namespace", "roles"], rows))


def cell_add(
    name: Annotated[str, typer.Argument(metavar="NS/NAME", help="the cell; NAME alone is of your namespace")],
    gateway: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="the gateway that may attest to it; you, if none")
    ] = None,
) -> None:
    """Add a cell to your namespace."""
    tx_hash = client().members.add_cell(name, gateway)
    show({"tx_hash": tx_hash}, [f"{name} added (transaction {tx_hash})"])


def cell_list() -> None:
    """Every cell."""
    items = client().members.cells()
    show(items, table(["cell", "gateway"], [[item.cell, item.gateway] for item in items]))


def council_propose(
    call: Annotated[list[str], typer.Argument(metavar="CONTRACT.FUNCTION ARG...", help="what to call")],
    reason: Annotated[str, typer.Option(metavar="TEXT")],
) -> None:
    """Propose a call to one of the contracts."""
    contract, dot, function = call[0].partition(".")
    if not dot:
        raise Malformed(f"{call[0]!r} is not of the form CONTRACT.FUNCTION")
    tx_hash = client().members.propose(contract, function, call[1:], reason)
    show({"tx_hash": tx_hash}, [f"proposed (transaction {tx_hash})"])


def council_approve(number: int) -> None:
    """Approve a proposal; the last approval needed executes it."""
    tx_hash = client().members.approve(number)
    show({"tx_hash": tx_hash}, [f"approved {number} (transaction {tx_hash})"])


def council_execute(number: int) -> None:
    """Execute a proposal that has enough approvals."""
    tx_hash = client().members.execute(number)
    show({"tx_hash": tx_hash}, [f"executed {number} (transaction {tx_hash})"])


def council_list() -> None:
    """Proposals, newest first."""
    items = client().members.proposals()
    rows = [
        [
            item.id,
            "executed" if item.executed else f"{item.approvals} of {item.threshold}",
            item.call or item.data[:20],
            item.reason,
        ]
        for item in items
    ]
    show(items, table(["id", "state", "call", "reason"], rows))
