"""`twinledger fees recompute`: every epoch once more, from the chain itself.

The events come from the chain's own blocks, and what they add up to is compared with what the contracts
hold now: pool, carry, taxes, menu, and the escrow of every account. No gateway is asked. What that is worth
depends on who keeps the chain, so the answer names it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from incentives.backlog import DelayCosts
from incentives.ledger import Rules
from incentives.market_events import Difference, MarketEvent
from incentives.recount import Recount
from registry.chain.base import ChainReads
from registry.chain.deployment import Deployment, verify_deployment
from registry.chain.encoding import read
from registry.chain.events import decode_log
from registry.chain.gateway import FeeParams
from registry.config import EmbeddedChain, Home, RpcChain, Settings
from registry.core.ids import Address, to_address
from registry.wiring.backends import find_deployment, open_chain

_RUN = 2_000
_REGISTRY = "TwinRegistry"


@dataclass(frozen=True, slots=True)
class Recounting:
    """A recount, whose word it rests on, and the last block it saw."""

    recount: Recount
    rests_on: str
    block: int


def recount_chain(home: Home, settings: Settings, rpc: str | None) -> Recounting:
    """Recount what the node at `rpc`, or the chain of the settings, says of this home's deployment.

    A chain or code that is not the one of deployment.json is refused before anything is counted.
    """
    chosen = settings
    if rpc is not None:
        known = settings.chain
        known = replace(known, url=rpc) if isinstance(known, RpcChain) else RpcChain(url=rpc)
        chosen = replace(settings, chain=known)
    deployment = find_deployment(chosen, home)
    link = _open(home, chosen, deployment)
    try:
        verify_deployment(link, deployment)
        head = link.head().number
        recount = _recount(link, deployment, head)
        recount.differences += _states(link, deployment, recount)
    finally:
        link.close()
    return Recounting(recount, _word(home, chosen), head)


def _open(home: Home, settings: Settings, deployment: Deployment) -> ChainReads:
    if isinstance(settings.chain, EmbeddedChain):
        from registry.chain.embedded_reader import EmbeddedReader

        return EmbeddedReader(home.chain, settings.chain.chain_id)
    return open_chain(settings, home, deployment)


def _word(home: Home, settings: Settings) -> str:
    if isinstance(settings.chain, EmbeddedChain):
        return f"the blocks in {home.chain}: on whoever runs this home"
    return f"the node {settings.chain.url}: on who runs it, and on the chain's sealers"


def _recount(link: ChainReads, deployment: Deployment, head: int) -> Recount:
    params = FeeParams(*_read(link, deployment, "params")[0])
    rules = Rules(
        DelayCosts(high=params.g_h, low=params.g_l, run_cap=params.run_cap),
        eps=params.eps,
        eta=params.eta,
        tau0=(params.tau0_h, params.tau0_l),
    )
    recount = Recount(rules, slots_per_epoch=params.slots_per_epoch)
    recount.take_all(_events(link, deployment, head))
    return recount


def _events(link: ChainReads, deployment: Deployment, head: int) -> Iterator[MarketEvent]:
    names = {deployment.address(name): name for name in (_REGISTRY, "StorageMarket")}
    for first in range(deployment.start_block, head + 1, _RUN):
        for log in link.logs(first, min(head, first + _RUN - 1), list(names)):
            event = decode_log(names[log.address], log)
            yield MarketEvent(f"{log.block_number}:{log.index}", event.contract, event.name, event.args)


def _states(link: ChainReads, deployment: Deployment, recount: Recount) -> Iterator[Difference]:
    """Where what the contracts hold now is not what their events add up to."""
    if recount.is_broken:
        return
    ledger = recount.ledger
    menu = ledger.menu
    held: dict[str, tuple[Any, Any]] = {
        "open epoch": (_read(link, deployment, "openEpoch")[0][0], ledger.epoch),
        "pool": (_read(link, deployment, "pool")[0], ledger.pool),
        "carry": (_read(link, deployment, "carry")[0], ledger.carry),
        "taxes": (_read(link, deployment, "tau"), ledger.tau),
        "menu": (
            tuple(_read(link, deployment, "menu")[0]),
            (menu.rho_high, menu.rho_low, menu.tax_high, menu.tax_low),
        ),
    }
    for account in _accounts(recount):
        escrow = _read(link, deployment, "account", account)[0][0]
        held[f"escrow of {account}"] = escrow, recount.balance(account)
    for what, (stated, recomputed) in held.items():
        if stated != recomputed:
            yield Difference(ledger.epoch, "state", what, str(stated), str(recomputed))


def _accounts(recount: Recount) -> list[Address]:
    """Everybody whose escrow was ever moved; a name the ledger made up for itself is no address."""
    return [to_address(name) for name in recount.ledger.balances if name.startswith("0x")]


def _read(link: ChainReads, deployment: Deployment, function: str, *args: object) -> tuple[Any, ...]:
    return read(link, _REGISTRY, deployment.address(_REGISTRY), function, args)
