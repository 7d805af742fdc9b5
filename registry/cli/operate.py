"""config, doctor, backup, restore, store migrate, network init."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.context import globals_, home, settings
from registry.cli.output import note, progress, show, show_findings, table

# More than a day of a log that grows every two minutes; a bound, so that no age makes `doctor` slow.
_NEWEST = 1_000


def register(app: typer.Typer) -> None:
    """Add these commands."""
    config = typer.Typer(help="Settings.", no_args_is_help=True)
    config.command("show")(config_show)
    config.command("path")(config_path)
    config.command("check")(config_check)
    app.add_typer(config, name="config")
    for command in (doctor, backup, restore):
        app.command()(command)
    store = typer.Typer(help="The content store.", no_args_is_help=True)
    store.command("migrate")(store_migrate)
    app.add_typer(store, name="store")
    network = typer.Typer(help="A network of organisations.", no_args_is_help=True)
    network.command("init")(network_init)
    app.add_typer(network, name="network")


def config_show() -> None:
    """Every setting, its value and where it comes from."""
    import os

    from registry.config import SETTINGS, load_settings, value_in

    loaded = load_settings(home(), os.environ)
    sources = dict(loaded.sources)
    rows = [
        [row.key, _shown(value_in(loaded.settings, row.key)), sources.get(row.key, "default")]
        for row in SETTINGS
    ]
    document = {str(key): value for key, value, _ in rows}
    show(document, table(["setting", "value", "from"], rows))


def config_path() -> None:
    """The settings file in force, or where one would be looked for."""
    import os

    from registry.config import load_settings

    file = load_settings(home(), os.environ).file or home().settings
    show({"file": str(file), "exists": file.is_file()}, [str(file)])


def config_check() -> None:
    """Read the settings and say whether they can be used."""
    settings()
    show({"ok": True}, ["the settings can be used"])


def doctor() -> None:
    """Look for anything wrong in this home, on its chain, and with its service.

    Of each log the newest 1,000 checkpoints have their signatures verified; `audit fsck` verifies all.
    """
    from registry.wiring.examining import examine

    findings = examine(home(), settings(), globals_(), signatures=_NEWEST)
    show_findings(findings)
    if any(finding.is_wrong for finding in findings):
        raise typer.Exit(5)


def backup(to: Annotated[Path, typer.Argument(metavar="FILE", help="where to write the archive")]) -> None:
    """Copy the primary data of this home into one archive, also while the service runs."""
    from registry.config import Postgresql
    from registry.wiring.backups import make_backup

    size = make_backup(home(), to)
    if isinstance(settings().database, Postgresql):
        note("the pool is in PostgreSQL and not in this archive: dump its schema too, see docs/operations.md")
    show({"file": str(to), "bytes": size}, [f"{size} bytes in {to}"])


def restore(file: Annotated[Path, typer.Argument(metavar="FILE", help="an archive of `backup`")]) -> None:
    """Fill an empty home from an archive."""
    from registry.wiring.backups import restore_backup

    restore_backup(file, home())
    show({"home": str(home().root)}, [f"restored into {home().root}", "next: twinledger up"])


def store_migrate(
    to: Annotated[str, typer.Option(help="embedded or kubo")],
    api: Annotated[str | None, typer.Option(help="multiaddress of the Kubo RPC API")] = None,
) -> None:
    """Copy every pinned version to another store, verified; run it again to go on."""
    from registry.wiring.migrating import migrate_store

    with progress("copying") as step:
        copied = migrate_store(home(), settings(), to=to, api=api, step=step)
    show({"copied": copied}, [f"{copied} pinned roots are in the {to} store"])


def network_init(
    out: Annotated[Path, typer.Option(metavar="DIR", help="empty folder for the files")],
    validators: Annotated[int, typer.Option(help="nodes that make blocks", min=1)] = 4,
) -> None:
    """Write everything a Besu QBFT network needs: genesis, keys, node configurations, compose file."""
    from registry.network import init_network

    plan = init_network(out, validators)
    document = {
        "out": str(plan.folder),
        "chain_id": plan.chain_id,
        "operator": plan.operator,
        "validators": [node.address for node in plan.validators],
    }
    rows = [[node.name, node.address, node.rpc_url] for node in plan.validators]
    show(document, [f"written to {plan.folder}", *table(["validator", "address", "JSON-RPC"], rows)])
    note(f"next: start the validators, then twinledger deploy --rpc {plan.validators[0].rpc_url}")


def _shown(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
