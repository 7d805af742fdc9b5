"""Calls, results, events and refusals by ABI: from names and Python values to bytes and back.

Selectors and types are parsed once per function. `read` is the everyday way to ask a contract something: it
calls, decodes, and raises the contract's own refusal as its class of errors.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from contracts import artifact
from registry.chain.abi import canonical_type, decode_values, encode_values, signature_of
from registry.chain.base import Calls, Reverted
from registry.chain.events import Event, decode_log, event_topic
from registry.chain.reverts import decode_revert
from registry.chain.seal import encode_seal
from registry.core.ids import Address, keccak
from registry.errors import Malformed

__all__ = [
    "Event",
    "decode_log",
    "decode_result",
    "decode_revert",
    "encode_call",
    "encode_constructor",
    "encode_seal",
    "event_topic",
    "read",
]


@dataclass(frozen=True, slots=True)
class FunctionCodec:
    """One function of one contract: its selector and its types."""

    signature: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@cache
def function_codec(contract: str, function: str) -> FunctionCodec:
    """The codec of a function by its name, or by its full signature where the name is overloaded."""
    entry = function_entry(contract, function)
    signature = signature_of(entry)
    return FunctionCodec(
        signature,
        keccak(signature.encode())[:4],
        tuple(canonical_type(i) for i in entry["inputs"]),
        tuple(canonical_type(o) for o in entry["outputs"]),
    )


def function_entry(contract: str, function: str) -> dict[str, Any]:
    """The ABI entry of a function by its name, or by its full signature where the name is overloaded."""
    found = [
        entry
        for entry in artifact(contract).abi
        if entry["type"] == "function" and function in (entry["name"], signature_of(entry))
    ]
    if len(found) != 1:
        raise Malformed(f"{contract} has {len(found)} functions called {function}, a call needs one")
    return found[0]


def encode_call(contract: str, function: str, args: Sequence[object]) -> bytes:
    """The calldata of a call; Malformed when a value does not fit its type."""
    codec = function_codec(contract, function)
    return codec.selector + encode_values(codec.inputs, args)


def decode_call(contract: str, data: bytes) -> tuple[str, tuple[Any, ...]]:
    """The function and the arguments of a call; Malformed when the contract has no such function."""
    for entry in artifact(contract).abi:
        if entry["type"] == "function" and keccak(signature_of(entry).encode())[:4] == data[:4]:
            codec = function_codec(contract, signature_of(entry))
            return entry["name"], decode_values(codec.inputs, data[4:])
    raise Malformed(f"{contract} has no function with selector 0x{data[:4].hex()}")


def describe_call(contract: str, data: bytes) -> str:
    """A call as people write it: `admit(0x…, acme, 3)`; Malformed when the contract has no such function."""
    name, values = decode_call(contract, data)
    shown = ("0x" + v.hex() if isinstance(v, bytes) else str(v) for v in values)
    return f"{name}({', '.join(shown)})"


def encode_constructor(contract: str, args: Sequence[object]) -> bytes:
    """The creation code with its constructor's arguments."""
    built = artifact(contract)
    inputs = [i for e in built.abi if e["type"] == "constructor" for i in e["inputs"]]
    return built.bytecode + encode_values(tuple(canonical_type(i) for i in inputs), args)


def decode_result(contract: str, function: str, data: bytes) -> tuple[Any, ...]:
    """The values that a call returned, always as a tuple."""
    return decode_values(function_codec(contract, function).outputs, data)


def read(
    link: Calls,
    contract: str,
    address: Address,
    function: str,
    args: Sequence[object] = (),
    *,
    sender: Address | None = None,
) -> tuple[Any, ...]:
    """Call a view function and decode its result; a refusal is raised as its class of errors.py."""
    try:
        data = link.call(address, encode_call(contract, function, args), sender)
    except Reverted as e:
        raise decode_revert(e.data) from e
    return decode_result(contract, function, data)
