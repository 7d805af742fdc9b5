"""Lay out a whole network: draw the keys, then write what follows from them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.core.ids import Address
from registry.errors import Conflict, Malformed
from registry.network.allowlist import Participant, write_allowlists
from registry.network.compose import DOCKERFILE, MOST_VALIDATORS, START, Place, compose
from registry.network.genesis import genesis
from registry.network.keys import new_key
from registry.network.node import P2P_PORT, config

# QBFT goes on while fewer than a third of its validators fail: three tolerate none, four tolerate one.
FEWEST_VALIDATORS = 4
CHAIN_ID = 8420
OPERATOR_WEI = 10**27


@dataclass(frozen=True, slots=True)
class ValidatorNode:
    """One validator of a network."""

    name: str
    address: Address
    enode: str
    rpc_url: str


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What `init_network` wrote, and where."""

    folder: Path
    chain_id: int
    validators: tuple[ValidatorNode, ...]
    operator: Address


def init_network(
    out: Path,
    validators: int,
    *,
    chain_id: int = CHAIN_ID,
    operator_wei: int = OPERATOR_WEI,
    members: Sequence[Participant] = (),
) -> NetworkPlan:
    """Write the files of a QBFT network into a new folder; nothing is started and nothing is sent.

    The coin cannot be minted later: what the members' escrows will hold is given here, to the operator or to
    the members themselves.
    """
    if not FEWEST_VALIDATORS <= validators <= MOST_VALIDATORS:
        raise Malformed(
            f"{validators} validators are asked for, QBFT takes {FEWEST_VALIDATORS} to {MOST_VALIDATORS}",
            hint=f"{FEWEST_VALIDATORS} validators are the fewest that outlive the failure of one",
        )
    if out.exists() and any(out.iterdir()):
        raise Conflict(f"{out} is not empty: keys in it would be lost", hint="choose a new folder for --out")
    secrets = out / "secrets"
    for folder in (out, secrets, out / "operator"):
        folder.mkdir(parents=True, exist_ok=True)
    secrets.chmod(0o700)
    operator = new_key(out / "operator" / "keystore.json", secrets / "operator.password").address
    places = [Place(index) for index in range(1, validators + 1)]
    nodes = tuple(_validator(out, place) for place in places)
    plan = NetworkPlan(out, chain_id, nodes, operator)
    balances = {operator: operator_wei, **{m.address: m.balance_wei for m in members if m.balance_wei}}
    _write_shared(plan, places, balances)
    write_allowlists(out, members)
    return plan


def _validator(out: Path, place: Place) -> ValidatorNode:
    own = out / "validators" / place.name
    own.mkdir(parents=True)
    key = new_key(own / "keystore.json", out / "secrets" / f"{place.name}.password")
    (own / "config.toml").write_text(config(name=place.name, host=place.host))
    enode = f"enode://{key.public.hex()}@{place.host}:{P2P_PORT}"
    return ValidatorNode(place.name, key.address, enode, f"http://127.0.0.1:{place.rpc_port}")


def _write_shared(plan: NetworkPlan, places: Sequence[Place], balances_wei: Mapping[Address, int]) -> None:
    sealers = [node.address for node in plan.validators]
    block = genesis(chain_id=plan.chain_id, validators=sealers, balances_wei=balances_wei)
    network = {
        "chain_id": plan.chain_id,
        "operator": plan.operator,
        "validators": [{"name": n.name, "address": n.address, "enode": n.enode} for n in plan.validators],
    }
    _write_json(plan.folder / "genesis.json", block)
    _write_json(plan.folder / "static-nodes.json", [node.enode for node in plan.validators])
    _write_json(plan.folder / "network.json", network)
    (plan.folder / "compose.yaml").write_text(compose(places))
    (plan.folder / "Dockerfile").write_text(DOCKERFILE)
    (plan.folder / "start-validator").write_text(START)
    (plan.folder / "start-validator").chmod(0o755)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
