"""`twinledger deploy`: the contracts onto a chain, and deployment.json."""

import os
from dataclasses import replace
from pathlib import Path

from registry.chain.base import ChainLink
from registry.chain.deploy import NOBODY, deploy
from registry.chain.deployment import Deployment, verify_deployment
from registry.config import EmbeddedChain, Home, RpcChain, Settings
from registry.core.ids import Address, to_address
from registry.errors import Conflict, Malformed, Unauthenticated
from registry.keystore import find_keystore, open_keystore
from registry.wiring.backends import open_chain, read_deployment
from registry.wiring.consortium import deploy_settings, make_keys, write_deployment


def deploy_contracts(
    home: Home,
    settings: Settings,
    key: str | None,
    *,
    rpc: str | None = None,
    council: str | None = None,
    threshold: int = 1,
    out: Path | None = None,
    predecessor: Path | None = None,
) -> tuple[Path, Deployment]:
    """Deploy and write the file; `rpc` names the chain, else the settings do.

    Without `council` the deployer is its only member. Nothing is overwritten: a deployment that exists is
    what members signed for. `predecessor` is the deployment.json of the one that this one succeeds on the
    same chain: its versions count as parents.
    """
    path = out or home.deployment
    if path.exists():
        raise Conflict(
            f"{path} exists: these contracts are deployed", hint="give --out FILE, or choose another --home"
        )
    chosen = settings if rpc is None else replace(settings, chain=_rpc(settings, rpc))
    home.make()
    name = key or os.environ.get("TWINLEDGER_KEY")
    if isinstance(chosen.chain, EmbeddedChain):
        make_keys(home)  # before the first block, which gives them their coin
        name = name or "development"
    if name is None:
        raise Unauthenticated(
            "deploying needs a key", hint="give --key NAME; make one: twinledger key new NAME"
        )
    signer = open_keystore(find_keystore(name, home.keys))
    members = _council(council, signer.address)
    if not 0 < threshold <= len(members):
        raise Malformed(f"the threshold is {threshold}, and the council has {len(members)} members")
    link = open_chain(chosen, home)
    try:
        made = replace(deploy_settings(settings), predecessor=_former(predecessor, link))
        deployment = deploy(link, signer, made, members, threshold)
    finally:
        link.close()
    write_deployment(path, deployment)
    return path, deployment


def _former(path: Path | None, link: ChainLink) -> Address:
    """The Consortium of the deployment to succeed, whose code on this chain is as it says."""
    if path is None:
        return NOBODY
    former = read_deployment(path)
    verify_deployment(link, former)
    return former.address("Consortium")


def _rpc(settings: Settings, url: str) -> RpcChain:
    return replace(settings.chain, url=url) if isinstance(settings.chain, RpcChain) else RpcChain(url=url)


def _council(text: str | None, deployer: Address) -> list[Address]:
    if text is None:
        return [deployer]
    members = [to_address(part.strip()) for part in text.split(",") if part.strip()]
    if not members or len(set(members)) != len(members):
        raise Malformed(f"the council {text!r} is empty or names an address twice")
    return members
