"""The compiled contracts, as committed: nothing that runs needs a Solidity compiler.

`scripts/compile_contracts.py --check` proves that each artifact is what its sources compile to.

>>> artifact("TwinRegistry").name
'TwinRegistry'
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

NAMES = ("Consortium", "TwinRegistry", "StorageMarket", "RewardPool", "AuditAnchor")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract: its interface, its creation code and the code the chain will hold.

    `runtime` has zeros where the constructor writes immutables, so the code on a chain differs there.
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime: bytes
    source_hash: str


@cache
def artifact(name: str) -> Artifact:
    """The committed artifact of one contract; an unknown name is a KeyError."""
    if name not in NAMES:
        raise KeyError(f"no contract is called {name}; there are {', '.join(NAMES)}")
    stored = json.loads((files(__package__) / "artifacts" / f"{name}.json").read_text("utf-8"))
    return Artifact(
        name=name,
        abi=tuple(stored["abi"]),
        bytecode=bytes.fromhex(stored["bytecode"]),
        runtime=bytes.fromhex(stored["runtime"]),
        source_hash=stored["source_hash"],
    )
