"""Commands that run something: demo, up, serve, miner, deploy, key-free and long-lived."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.context import client, globals_, home, settings
from registry.cli.output import note, show, table


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(up)
    app.command()(serve)
    app.command()(demo)
    app.command()(deploy)
    miner = typer.Typer(help="Mine, or look at miners.", no_args_is_help=True)
    miner.command("run")(miner_run)
    miner.command("list")(miner_list)
    miner.command("show")(miner_show)
    app.add_typer(miner, name="miner")


def up(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 takes a free one")] = None,
) -> None:
    """Run chain, store, three miners and the API in one process; survives restarts."""
    from registry.cli.serving import serve_up
    from registry.wiring.diagnostics import write_diagnostics

    chosen = settings(api__host=host, api__port=port)
    write_diagnostics(chosen.diagnostics)
    serve_up(home(), chosen, lambda url: note(f"TwinLedger is up at {url} (home {home().root})"))


def serve(
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 takes a free one")] = None,
) -> None:
    """Run the API alone, on the configured chain, store and database."""
    from registry.cli.serving import serve_gateway
    from registry.wiring.diagnostics import write_diagnostics

    chosen = settings(api__host=host, api__port=port)
    write_diagnostics(chosen.diagnostics)
    serve_gateway(home(), chosen, lambda url: note(f"the gateway serves at {url}"))


def demo(
    cells: Annotated[int, typer.Option(help="radio cells that train a twin", min=1)] = 2,
    devices: Annotated[int, typer.Option(help="devices per cell", min=1)] = 8,
    rounds: Annotated[int, typer.Option(help="most rounds of federated learning", min=1)] = 25,
    seed: Annotated[int, typer.Option(help="seed of everything random")] = 7,
    source: Annotated[str, typer.Option(help="builtin or ns3")] = "builtin",
    privacy: Annotated[str, typer.Option(help="none or dp")] = "none",
    rewards: Annotated[
        str | None, typer.Option(help="stackelberg, auction or contract: a task whose devices are paid")
    ] = None,
) -> None:
    """Run the main job from end to end: train twins, register them, reuse one in a new cell."""
    from rich.console import Console

    from registry.cli.demonstration import run_demonstration, run_rewarded
    from registry.demo.report import print_report
    from registry.demo.rewards_result import print_rewards
    from registry.demo.run import DemoOptions

    options = DemoOptions(
        cells=cells, devices=devices, rounds=rounds, seed=seed, source=source, privacy=privacy
    )
    progress = Console(stderr=True, quiet=globals_().quiet)
    if rewards is not None:
        paid = run_rewarded(home(), settings(), rewards, options, progress)
        if globals_().json:
            show(dict(paid.document()))
        else:
            print_rewards(paid, Console())
        return
    result = run_demonstration(home(), settings(), options, progress)
    if globals_().json:
        show(dict(result.document()))
    else:
        print_report(result, Console())


def deploy(
    rpc: Annotated[
        str | None, typer.Option(help="JSON-RPC address; without it HOME's embedded chain")
    ] = None,
    council: Annotated[str | None, typer.Option(help="addresses of the council, comma-separated")] = None,
    threshold: Annotated[int, typer.Option(help="approvals a proposal needs", min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="where to write deployment.json")] = None,
    predecessor: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="deployment.json of the deployment that this one succeeds"),
    ] = None,
) -> None:
    """Put the contracts on a chain and write deployment.json."""
    from registry.wiring.deploying import deploy_contracts

    path, deployment = deploy_contracts(
        home(),
        settings(),
        globals_().key,
        rpc=rpc,
        council=council,
        threshold=threshold,
        out=out,
        predecessor=predecessor,
    )
    rows = [[name, held.address] for name, held in deployment.contracts.items()]
    document = {
        "file": str(path),
        "contracts": {name: held.address for name, held in deployment.contracts.items()},
    }
    show(document, [f"written to {path}", *table(["contract", "address"], rows)])


def miner_run() -> None:
    """Mine for the configured gateways, on the configured chain and store."""
    from registry.wiring.diagnostics import write_diagnostics
    from registry.wiring.mining import run_miner

    chosen = settings()
    write_diagnostics(chosen.diagnostics)
    run_miner(home(), chosen, globals_().key, lambda text: note(text))


def miner_list() -> None:
    """Every miner: sealed, stored, audited, earned, held."""
    found = client().fees.miners()
    columns = ("address", "price", "sealed", "stored_bytes", "audited", "failed", "earned", "held")
    show(found, table(columns, [[getattr(miner, column) for column in columns] for miner in found]))


def miner_show(address: str) -> None:
    """One miner."""
    found = client().fees.miner(address)
    show(found, [f"{key:14} {value}" for key, value in found])
