"""A member whose wallet is a contract that calls back while it is paid (attackers/Reenterer.sol)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rlp
from eth_abi import decode, encode
from pychain import EVE, Contract, Done, Evm
from trie import HexaryTrie

from registry.core.ids import Address, keccak, to_address

ARTIFACTS = Path(__file__).parent / "attackers" / "artifacts"


@dataclass(frozen=True)
class Tally:
    """What came of the calls back: how often money came, how many went through, what the last answered."""

    paid: int
    succeeded: int
    answer: bytes


@dataclass(frozen=True)
class Reenterer:
    """`EVE` pays what its attacks send."""

    evm: Evm
    raw: bytes

    @property
    def address(self) -> Address:
        return to_address("0x" + self.raw.hex())

    def on(self, evm: Evm) -> Reenterer:
        """The same wallet on another copy of the chain."""
        return replace(self, evm=evm)

    def send(self, target: Contract, function: str, *args: Any, value: int = 0, then: bytes = b"") -> Done:
        """Call a contract, and call it again with `then` whenever money comes, until the next `send`."""
        return self.call(target.raw, target.data(function, *args), value, then)

    def call(self, target: bytes, data: bytes, value: int = 0, then: bytes = b"") -> Done:
        return self.evm.transact(EVE, self.raw, _attack(target, data, then), value)

    def tally(self) -> Tally:
        paid, succeeded, answer = decode(
            ["uint64", "uint64", "bytes4"], self.evm.call(self.raw, keccak(b"tally()")[:4])
        )
        return Tally(paid, succeeded, answer)


def _attack(target: bytes, data: bytes, then: bytes) -> bytes:
    return keccak(b"attack(address,bytes,bytes)")[:4] + encode(
        ["address", "bytes", "bytes"], [target, data, then]
    )


def reenterer(evm: Evm) -> Reenterer:
    return Reenterer(evm, create(evm, "Reenterer"))


def create(evm: Evm, name: str) -> bytes:
    """Deploys one of the committed artifacts of attackers/."""
    return evm.create(name, bytes.fromhex(json.loads((ARTIFACTS / f"{name}.json").read_text())["bytecode"]))


def storage_root(evm: Evm, contract: bytes) -> bytes:
    """The hash of all that a contract remembers: equal roots, equal states."""
    header = evm.chain.get_canonical_head()
    account = HexaryTrie(evm.chain.chaindb.db, header.state_root)[keccak(contract)]
    return bytes(rlp.decode(account)[2])
