"""`twinledger fees recompute`: every epoch once more, from the chain itself.

The events come from the chain's own blocks, and what they add up to is compared with what the contracts
hold after the last of these blocks: pool, carry, taxes, menu, and the escrow of every account. The chain goes
on meanwhile and may replace its newest blocks. No gateway is asked. What that is worth depends on who keeps
the chain, so the answer names it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from incentives.backlog import DelayCosts
from incentives.ledger import Rules
from incentives.market_events import Difference, MarketEvent
from incentives.recount import Recount
from registry.chain.base import Calls, ChainHistory, Head
from registry.chain.deployment import Deployment, verify_deployment
from registry.chain.encoding import read
from registry.chain.events import decode_log
from registry.chain.gateway import FeeParams
from registry.config import EmbeddedChain, Home, RpcChain, Settings
from registry.core.ids import Address, to_address
from registry.errors import ChainReorganised
from registry.wiring.backends import find_deployment, open_node

_RUN = 2_000
# More blocks than chains replace, and fewer than a node keeps the states of (geth: 128).
_NEWEST = 32
_TRIES = 5
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
        recount, head = _recount(link, deployment)
    finally:
        link.close()
    return Recounting(recount, _word(home, chosen), head.number)


def _open(home: Home, settings: Settings, deployment: Deployment) -> ChainHistory:
    if isinstance(settings.chain, EmbeddedChain):
        from registry.chain.embedded_reader import EmbeddedReader

        return EmbeddedReader(home.chain, settings.chain.chain_id)
    return open_node(settings.chain, deployment)


def _word(home: Home, settings: Settings) -> str:
    if isinstance(settings.chain, EmbeddedChain):
        return f"the blocks in {home.chain}: on whoever runs this home"
    return f"the node {settings.chain.url}: on who runs it, and on the chain's sealers"


def _recount(link: ChainHistory, deployment: Deployment) -> tuple[Recount, Head]:
    """The recount and the block as of which it is compared; from the start again where that was replaced."""
    for _ in range(_TRIES - 1):
        try:
            return _compared(link, deployment)
        except ChainReorganised:
            continue
    return _compared(link, deployment)


def _compared(link: ChainHistory, deployment: Deployment) -> tuple[Recount, Head]:
    recount = _rules_of(link, deployment)
    head = _follow(link, deployment, recount)
    recount.differences += _states(link.after(head), deployment, recount)
    return recount, head


def _rules_of(link: Calls, deployment: Deployment) -> Recount:
    params = FeeParams(*_read(link, deployment, "params")[0])
    rules = Rules(
        DelayCosts(high=params.g_h, low=params.g_l, run_cap=params.run_cap),
        eps=params.eps,
        eta=params.eta,
        tau0=(params.tau0_h, params.tau0_l),
    )
    return Recount(rules, slots_per_epoch=params.slots_per_epoch)


def _follow(link: ChainHistory, deployment: Deployment, recount: Recount) -> Head:
    """Take every event up to the head that is returned; the newest blocks are read last and at once."""
    first, head = deployment.start_block, link.head()
    while head.number - first > 2 * _NEWEST:
        recount.take_all(_events(link, deployment, first, head.number - _NEWEST))
        first, head = head.number - _NEWEST + 1, link.head()
    recount.take_all(_events(link, deployment, first, head.number))
    return head


def _events(link: ChainHistory, deployment: Deployment, first: int, last: int) -> Iterator[MarketEvent]:
    names = {deployment.address(name): name for name in (_REGISTRY, "StorageMarket")}
    for start in range(first, last + 1, _RUN):
        for log in link.logs(start, min(last, start + _RUN - 1), list(names)):
            event = decode_log(names[log.address], log)
            yield MarketEvent(f"{log.block_number}:{log.index}", event.contract, event.name, event.args)


def _states(link: Calls, deployment: Deployment, recount: Recount) -> Iterator[Difference]:
    """Where what the contracts hold is not what their events add up to."""
    # Asked of every recount: what the ledger refuses may come from blocks that were replaced meanwhile.
    open_epoch = _read(link, deployment, "openEpoch")[0][0]
    if recount.is_broken:
        return
    ledger = recount.ledger
    menu = ledger.menu
    held: dict[str, tuple[Any, Any]] = {
        "open epoch": (open_epoch, ledger.epoch),
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


def _read(link: Calls, deployment: Deployment, function: str, *args: object) -> tuple[Any, ...]:
    return read(link, _REGISTRY, deployment.address(_REGISTRY), function, args)
