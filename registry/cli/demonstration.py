"""`twinledger demo`: the simulator against a whole installation of its own, over a real socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from registry.cli.serving import in_background
from registry.config import Home, Settings
from registry.core.signing import Signer
from registry.demo.results import DemoResult
from registry.demo.rewards import run_rewards
from registry.demo.rewards_result import RewardsResult
from registry.demo.run import DemoOptions, run_demo
from registry.sdk import Client
from registry.wiring.up import running


def run_demonstration(home: Home, settings: Settings, options: DemoOptions, console: Console) -> DemoResult:
    """Start everything on a free loopback port, run the simulator, stop what was started.

    The home stays and `twinledger up` continues it.
    """
    with _installed(home, settings) as url:

        def client_for(cell: str) -> Client:
            return Client(url, cell=cell, home=home.root)

        return run_demo(client_for, replace(options, home=Path(home.root)), console)


def run_rewarded(
    home: Home, settings: Settings, mechanism: str, options: DemoOptions, console: Console
) -> RewardsResult:
    """The same for a task whose devices are paid by `mechanism`."""
    with _installed(home, settings) as url:

        def client_as(signer: Signer) -> Client:
            return Client(url, signer, home=home.root)

        sponsor = Client(url, home=home.root)
        return run_rewards(sponsor, client_as, mechanism, replace(options, home=Path(home.root)), console)


@contextmanager
def _installed(home: Home, settings: Settings) -> Iterator[str]:
    free = replace(settings, api=replace(settings.api, host="127.0.0.1", port=0))
    with running(home, free) as installation:
        service = installation.gateway.service
        with in_background(service, free, installation.listener):
            yield installation.url
