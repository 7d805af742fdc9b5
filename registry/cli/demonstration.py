"""`twinledger demo`: the simulator against a whole installation of its own, over a real socket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from registry.cli.serving import in_background
from registry.config import Home, Settings
from registry.core.signing import Signer
from registry.demo.congestion import congest
from registry.demo.results import DemoResult
from registry.demo.rewards import run_rewards
from registry.demo.rewards_result import RewardsResult
from registry.demo.run import DemoOptions, run_demo
from registry.keystore import create_development_keystore, open_keystore
from registry.sdk import Client
from registry.wiring.up import running

SECOND_OPERATOR = "operator-2"
ESCROW = 10**21
SLOT_BYTES = 16 << 10


def run_demonstration(home: Home, settings: Settings, options: DemoOptions, console: Console) -> DemoResult:
    """Start everything on a free loopback port, run the simulator, stop what was started.

    The home stays and `twinledger up` continues it.
    """
    with _installed(home, _with_small_slots(settings)) as url, TemporaryDirectory() as folder:

        def client_for(cell: str) -> Client:
            return Client(url, cell=cell, home=home.root)

        second = _second_operator(home, url)
        found = run_demo(client_for, replace(options, home=Path(home.root)), console)
        operators = {options.namespace: Client(url, home=home.root), SECOND_OPERATOR: second}
        market = congest(operators, options.seed, Path(folder), console)
        return replace(found, market=market)


def _with_small_slots(settings: Settings) -> Settings:
    """Constructor values of a home that is new: slots that a training's own submissions overfill."""
    fees = replace(
        settings.fees,
        slots_per_epoch=12,
        eta=1,
        slot_bytes=SLOT_BYTES,
        turn_slots=4,
        grace_slots=1,
        post_slots=2,
    )
    return replace(settings, fees=fees, storage=replace(settings.storage, audit_slots=4))


def _second_operator(home: Home, url: str) -> Client:
    """Another namespace with a key and money of its own: alone, nobody could be given a tax back."""
    path = home.keys / f"{SECOND_OPERATOR}.json"
    signer = open_keystore(path) if path.exists() else create_development_keystore(path)
    with Client(url, home=home.root) as council:
        if not council.account.show(signer.address).namespace_id:
            council.members.add(signer.address, SECOND_OPERATOR, ["submitter", "operator"], grant=ESCROW)
    return Client(url, signer, home=home.root)


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
