"""py-evm under the contract tests: blocks of one transaction at chosen times, and actors with keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import pytest
import rlp
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.vm.forks.paris import ParisVM
from eth_abi import decode, encode
from eth_keys import keys
from eth_tester.backends.pyevm.main import get_default_genesis_params
from eth_utils import to_canonical_address

from contracts import artifact
from registry.core.ids import Address, keccak, to_address
from registry.core.signing import KeySigner

CHAIN_ID = 4711
RICH = 2**97
GAS = 400_000_000


class TestChain(MiningChain):
    """Paris, a constant gas limit, no base fee."""

    __test__ = False
    chain_id = CHAIN_ID
    vm_configuration = ((0, ParisVM),)

    def create_header_from_parent(self, parent_header, **fields):
        return super().create_header_from_parent(
            parent_header, **{**fields, "gas_limit": parent_header.gas_limit}
        )


@dataclass(frozen=True)
class Actor:
    """Someone with a key."""

    name: str
    secret: bytes

    @cached_property
    def signer(self) -> KeySigner:
        return KeySigner(self.secret)

    @property
    def address(self) -> Address:
        return self.signer.address


@cache
def actor(name: str) -> Actor:
    return Actor(name, keccak(name.encode()))


COUNCIL, ANA, BO, CY, EVE = (actor(n) for n in ("council", "ana", "bo", "cy", "eve"))
MINERS = tuple(actor(f"miner {i}") for i in range(3))
EVERYONE = (COUNCIL, ANA, BO, CY, EVE, *MINERS)


class Reverted(Exception):
    """A custom error, by name and arguments."""


@dataclass(frozen=True)
class Event:
    contract: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Done:
    """A transaction that went through."""

    gas_used: int
    events: tuple[Event, ...]

    def event(self, name: str) -> dict[str, Any]:
        """The arguments of the only event of this name."""
        (found,) = self.all(name)
        return found

    def all(self, name: str) -> list[dict[str, Any]]:
        return [e.args for e in self.events if e.name == name]


def kind(entry: dict[str, Any]) -> str:
    if not entry["type"].startswith("tuple"):
        return entry["type"]
    return f"({','.join(kind(c) for c in entry['components'])}){entry['type'][5:]}"


def selector_text(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(kind(i) for i in entry['inputs'])})"


class Evm:
    """One chain; `at` is the time of the next block."""

    def __init__(self, store: dict[bytes, bytes] | None = None, at: int = 1_000_000) -> None:
        self.store = {} if store is None else dict(store)
        self.at = at
        self.names: dict[bytes, str] = {}  # address -> contract
        self.history: list[Event] = []  # every event since the first block
        database = AtomicDB(MemoryDB(self.store))
        if store is None:
            genesis = get_default_genesis_params() | {
                "timestamp": at - 1,
                "gas_limit": 2_000_000_000,
                "base_fee_per_gas": 0,
            }
            wealth = {
                to_canonical_address(a.address): {"balance": RICH, "nonce": 0, "code": b"", "storage": {}}
                for a in EVERYONE
            }
            self.chain = TestChain.from_genesis(database, genesis, wealth)
        else:
            self.chain = TestChain(database)

    def copy(self) -> Evm:
        """The same chain again, free to go another way."""
        twin = Evm(self.store, self.at)
        twin.names, twin.history = dict(self.names), list(self.history)
        return twin

    def transact(self, sender: Actor, to: bytes, data: bytes, value: int = 0) -> Done:
        """One block with one transaction; a revert raises."""
        return self._mine(sender, to, data, value)[0]

    def create(self, name: str, code: bytes) -> bytes:
        """Deploys creation code as the contract of this name."""
        creator = to_canonical_address(COUNCIL.address)
        nonce = self.chain.get_vm(self.chain.get_canonical_head()).state.get_nonce(creator)
        self.names[keccak(rlp.encode([creator, nonce]))[12:]] = name
        return self._mine(COUNCIL, b"", code, 0)[1]

    def _mine(self, sender: Actor, to: bytes, data: bytes, value: int) -> tuple[Done, bytes]:
        parent = self.chain.get_canonical_head()
        self.at = max(self.at, parent.timestamp + 1)
        header = self.chain.create_header_from_parent(parent, timestamp=self.at)
        vm = self.chain.get_vm(header)
        nonce = vm.state.get_nonce(to_canonical_address(sender.address))
        unsigned = vm.create_unsigned_transaction(
            nonce=nonce, gas_price=0, gas=GAS, to=to, value=value, data=data
        )
        signed = unsigned.as_signed_transaction(keys.PrivateKey(sender.secret), chain_id=CHAIN_ID)
        receipt, computation = vm.apply_transaction(header, signed)
        if computation.is_error:
            raise self.reverted(computation.output) from None
        header = vm.add_receipt_to_header(header, receipt)
        filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, [signed], [receipt])
        block = vm.mine_block(filled).block
        self.chain.chaindb.persist_block(block)
        events = tuple(self.event(log) for log in receipt.logs)
        self.history += events
        return Done(header.gas_used, events), computation.msg.storage_address

    def call(self, to: bytes, data: bytes, sender: Actor = EVE) -> bytes:
        parent = self.chain.get_canonical_head()
        header = self.chain.create_header_from_parent(parent, timestamp=max(self.at, parent.timestamp + 1))
        vm = self.chain.get_vm(header)
        origin = to_canonical_address(sender.address)
        message = vm.execute_bytecode(
            origin=origin,
            gas_price=0,
            gas=GAS,
            to=to,
            sender=origin,
            value=0,
            data=data,
            code=vm.state.get_code(to),
        )
        if message.is_error:
            raise self.reverted(message.output)
        return message.output

    def balance(self, address: str | bytes) -> int:
        vm = self.chain.get_vm(self.chain.get_canonical_head())
        return vm.state.get_balance(to_canonical_address(address))

    def reverted(self, output: bytes) -> Reverted:
        for name in ("Consortium", "TwinRegistry", "StorageMarket", "AuditAnchor", "RewardPool"):
            for entry in artifact(name).abi:
                if entry["type"] == "error" and keccak(selector_text(entry).encode())[:4] == output[:4]:
                    return Reverted(entry["name"], *decode([kind(i) for i in entry["inputs"]], output[4:]))
        return Reverted(output.hex())

    def event(self, log: Any) -> Event:
        contract = self.names[log.address]
        for entry in artifact(contract).abi:
            topic = entry["type"] == "event" and keccak(selector_text(entry).encode())
            if topic != log.topics[0].to_bytes(32, "big"):
                continue
            indexed = [i for i in entry["inputs"] if i["indexed"]]
            plain = [i for i in entry["inputs"] if not i["indexed"]]
            values = dict(
                zip((i["name"] for i in plain), decode([kind(i) for i in plain], log.data), strict=True)
            )
            for i, word in zip(indexed, log.topics[1:], strict=True):
                values[i["name"]] = decode([kind(i)], word.to_bytes(32, "big"))[0]
            return Event(contract, entry["name"], values)
        raise AssertionError(f"{contract} has no event {log.topics[0]:x}")


class Contract:
    """A deployed contract: `send` transacts, `read` calls."""

    def __init__(self, evm: Evm, name: str, address: bytes) -> None:
        self.evm, self.name, self.raw, self.address = evm, name, address, to_address("0x" + address.hex())

    def entry(self, function: str) -> dict[str, Any]:
        (found,) = (a for a in artifact(self.name).abi if a["type"] == "function" and a["name"] == function)
        return found

    def data(self, function: str, *args: Any) -> bytes:
        entry = self.entry(function)
        return keccak(selector_text(entry).encode())[:4] + encode([kind(i) for i in entry["inputs"]], args)

    def send(self, sender: Actor, function: str, *args: Any, value: int = 0) -> Done:
        return self.evm.transact(sender, self.raw, self.data(function, *args), value)

    def read(self, function: str, *args: Any) -> Any:
        output = self.evm.call(self.raw, self.data(function, *args))
        values = decode([kind(o) for o in self.entry(function)["outputs"]], output)
        return values[0] if len(values) == 1 else values


def deploy(evm: Evm, name: str, *args: Any) -> Contract:
    """Create a contract from its committed artifact, within the chain's code size limit."""
    built = artifact(name)
    inputs = next((a["inputs"] for a in built.abi if a["type"] == "constructor"), [])
    address = evm.create(name, built.bytecode + encode([kind(i) for i in inputs], args))
    return Contract(evm, name, address)


@contextmanager
def reverts(name: str, *args: Any) -> Iterator[None]:
    """Expects this custom error with exactly these values."""
    with pytest.raises(Reverted) as caught:
        yield
    assert [_plain(a) for a in caught.value.args] == [name, *(_plain(a) for a in args)]


def _plain(value: Any) -> Any:
    """Addresses come back from the ABI in lower case."""
    is_address = isinstance(value, str) and value.startswith("0x") and len(value) == 42
    return value.lower() if is_address else value
