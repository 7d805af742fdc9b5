"""What the parts of test_stacks.py ask of a stack: submissions, sums, checkpoints, an auditor's trust."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from conftest import write_weights
from meanwhile import meanwhile
from stacks import Stack, signer

from registry.core.checkpoint import Checkpoint
from registry.core.note import Note, NoteSigner
from registry.sdk import Client
from registry.wiring.logs import log_secret

MEMBER = signer("development").address
BO = signer("bo").address
# More than any menu of the story asks for.
MAX_PRICE = 10**6


def submit(
    stack: Stack, model: str, seed: int, *more: object, side: int = 8, key: str = "development"
) -> Any:
    """Submit weights of side * side numbers, with a salt that follows from the seed."""
    weights = write_weights(_weights(stack, model), seed, (side, side))
    manifest = weights.with_name("manifest.json")
    manifest.write_text(json.dumps({"description": "a twin of every stack", "tags": ["every-stack"]}))
    told = ("--manifest", manifest, "--salt", f"0x{seed:064x}", "--max-price", MAX_PRICE)
    return stack.do("submit", model, weights, *told, *more, key=key)


@contextmanager
def working(stack: Stack, model: str) -> Iterator[None]:
    """Meanwhile versions of one model are submitted, one after the other; in the end all are sealed."""
    seeds = count(1_000)
    waiting: list[str] = []

    def give() -> None:
        weights = write_weights(_weights(stack, model), next(seeds))
        told = client.submit(model, [weights], {"description": "busy"}, wait=False, max_price=MAX_PRICE)
        waiting.append(told.version_id)

    with stack.client() as client:
        with meanwhile(give, pause_s=0.1):
            yield
        for version in waiting:
            client.wait(version)


def sent(stack: Stack, model: str) -> bytes:
    """The weights that were submitted."""
    return _weights(stack, model).read_bytes()


def _weights(stack: Stack, model: str) -> Path:
    return stack.home.parent / model.replace("/", "-") / "weights.safetensors"


def reads_as_far_as(stack: Stack, receipt: Any) -> None:
    """Wait until the other gateway knows this version."""
    stack.eventually(lambda: receipt["model"] in {item["model"] for item in stack.read("ls")})


def same_everywhere(shown: Any) -> tuple[str, str, str]:
    """Of a version, what must not depend on the stack."""
    return shown["version_id"], shown["weights_cid"], shown["manifest_cid"]


def x25519(stack: Stack, address: str) -> str | None:
    """The key to which private models are encrypted for somebody."""
    found: dict[str, str | None] = {item["address"]: item["x25519"] for item in stack.do("member", "list")}
    return found[address]


def coin(stack: Stack, key: str) -> int:
    """What somebody holds outside the escrow."""
    return int(stack.do("account", "show", key=key)["coin"])


def sums(stack: Stack, address: str) -> dict[str, int]:
    """What an account's statement adds up to, by reason: all of it is the balance."""
    found: dict[str, int] = {}
    entries = stack.do("account", "statement", address)
    for entry in entries:
        found[entry["reason"]] = found.get(entry["reason"], 0) + int(entry["amount"])
    assert int(entries[-1]["balance"]) == sum(found.values())
    return found


def checkpoint(client: Client, log: str = "chain") -> Checkpoint:
    """The newest checkpoint that a gateway gives."""
    return Checkpoint.parse(Note.parse(client.audit.checkpoint(log)).text)


def trust_of(stack: Stack) -> Path:
    """The trust file of an auditor whom every operator told its log keys."""
    deployment = json.loads((stack.home / "deployment.json").read_text())
    logs = []
    for url, home in {stack.submits: stack.servers[0], stack.reads: stack.servers[-1]}.items():
        with Client(url, signer("bo"), home=stack.home) as client:
            for name in ("chain", "gateway"):
                origin = checkpoint(client, name).origin
                key = NoteSigner(origin, log_secret(home / "keys" / "log.ed25519")).key
                logs.append({"origin": origin, "key": str(key)})
    kept = {name: deployment[name] for name in ("chain_id", "genesis_hash", "contracts")}
    nobody: dict[str, object] = {"sealers": None, "council_head": None, "witnesses": [], "quorum": 0}
    path = stack.home.parent / "trust.json"
    path.write_text(json.dumps({"schema": "twinledger/trust/1", **kept, "logs": logs, **nobody}))
    return path
