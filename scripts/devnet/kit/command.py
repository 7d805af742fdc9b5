"""The one command line of every engine: install | start | health | stop | env.

Exit codes: 0 done, 1 not healthy, 2 usage, 3 the engine or a tool for it is missing.
"""

import argparse
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Protocol

from kit.builds import MissingError
from kit.processes import UnhealthyError, running, stop, wait


class Engine(Protocol):
    """One kind of server: how it is installed, laid out in a folder, started and asked how it is."""

    name: str
    nodes: tuple[str, ...]
    stop_signal: signal.Signals

    def options(self, parser: argparse.ArgumentParser) -> None: ...
    def install(self) -> str:
        """Bring the binary and answer one sentence: what, which version, where."""

    def prepare(self, folder: Path, chosen: argparse.Namespace) -> None:
        """Lay out an empty folder; called once, before the first start."""

    def spawn(self, folder: Path, node: str) -> None:
        """Start one node of a prepared folder."""

    def join(self, folder: Path) -> None:
        """Connect the nodes that run; called after a start until it succeeds."""

    def health(self, folder: Path) -> str:
        """One sentence when every node does its work, else UnhealthyError."""

    def env(self, folder: Path) -> dict[str, str]:
        """The variables by which tests and settings find the engine."""


def main(engine: Engine) -> None:
    """Run one engine's command line and exit."""
    chosen = arguments(engine)
    folder = (chosen.dir or default_folder(engine.name)).absolute()
    try:
        print(run(engine, chosen, folder))
    except MissingError as e:
        sys.exit(say(e, code=3))
    except UnhealthyError as e:
        sys.exit(say(e, code=1))


def say(problem: Exception, *, code: int) -> int:
    """Print a problem as one sentence on stderr, and give back the exit code for it."""
    print(problem, file=sys.stderr)
    return code


def default_folder(name: str) -> Path:
    """Root's data lies where the unprivileged user that PostgreSQL insists on can reach it."""
    if os.geteuid() == 0:
        return Path("/var/tmp/twinledger-devnet") / name  # noqa: S108 (root's own folder, made 0755)
    return Path.home() / ".cache" / "twinledger" / "devnet" / name


def arguments(engine: Engine) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=f"scripts/devnet/{engine.name}", description=type(engine).__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("install", "start", "health", "stop", "env"):
        one = commands.add_parser(command)
        one.add_argument("--dir", type=Path, help="folder of the data, logs and pid files")
        if command in ("start", "stop"):
            one.add_argument("--node", choices=engine.nodes, help="this node alone (default: all)")
        if command == "stop":
            one.add_argument("--kill", action="store_true", help="as by kill -9, with no chance to tidy up")
        if command == "start":
            engine.options(one)
    return parser.parse_args()


def run(engine: Engine, chosen: argparse.Namespace, folder: Path) -> str:
    """Do one command and answer what it prints."""
    if chosen.command == "install":
        return engine.install()
    if chosen.command == "start":
        return start(engine, chosen, folder)
    if chosen.command == "stop":
        return halt(engine, chosen, folder)
    if not (folder / "layout.json").exists():
        raise UnhealthyError(f"{engine.name} was never started in {folder}")
    if chosen.command == "health":
        return engine.health(folder)
    return exports(engine, folder)


def start(engine: Engine, chosen: argparse.Namespace, folder: Path) -> str:
    """Start what does not run yet, on the ports and data of the first start, and wait until it is healthy."""
    if not (folder / "layout.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        engine.prepare(folder, chosen)
    nodes = (chosen.node,) if chosen.node else engine.nodes
    for node in nodes:
        engine.spawn(folder, node)
    problem = UnhealthyError(f"{engine.name} did not start")

    def is_up() -> bool:
        nonlocal problem
        for node in nodes:
            if running(folder, node) is None:
                raise UnhealthyError(f"{engine.name} node {node} ended at once: see {folder / node}.log")
        try:
            engine.join(folder)
            # One node alone may have no peer to be healthy with: that it answers is all there is to wait for.
            return bool(chosen.node) or bool(engine.health(folder))
        except UnhealthyError as e:
            problem = e
            return False

    if not wait(is_up, timeout_s=90):
        raise problem
    return exports(engine, folder)


def halt(engine: Engine, chosen: argparse.Namespace, folder: Path) -> str:
    """Stop nodes, whoever started them; stopping what does not run is no error."""
    nodes = (chosen.node,) if chosen.node else engine.nodes
    for node in nodes:
        stop(folder, node, ask=signal.SIGKILL if chosen.kill else engine.stop_signal)
    return f"{engine.name} is stopped: {', '.join(nodes)}"


def exports(engine: Engine, folder: Path) -> str:
    """The variables as lines that a shell can eval."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in engine.env(folder).items())


def save_layout(folder: Path, layout: dict[str, object]) -> None:
    """Write what the first start chose, so every later start and stop finds the same."""
    (folder / "layout.json").write_text(json.dumps(layout, indent=2) + "\n")


def ports_of(folder: Path) -> list[int]:
    """The ports that the first start chose."""
    return [int(port) for port in json.loads((folder / "layout.json").read_text())["ports"]]
