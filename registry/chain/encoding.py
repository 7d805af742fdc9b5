"""Calls and results by ABI: from names and Python values to bytes and back.

Selectors and types are parsed once per function. Addresses come out in EIP-55, structs as tuples in the
order of the ABI, arrays as tuples. `read` is the everyday way: it calls and raises the contract's own
refusal, decoded.

>>> encode_call("TwinRegistry", "withdraw", [5]).hex()[:8]
'2e1a7d4d'
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError

from contracts import artifact
from registry.chain.abi import canonical_type, signature_of, split_fields
from registry.chain.base import ChainLink, Reverted
from registry.chain.reverts import decode_revert
from registry.core.ids import Address, keccak, to_address
from registry.errors import Malformed, VerificationFailed


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
    found = [
        entry
        for entry in artifact(contract).abi
        if entry["type"] == "function" and function in (entry["name"], signature_of(entry))
    ]
    if len(found) != 1:
        raise Malformed(f"{contract} has {len(found)} functions called {function}, a call needs one")
    signature = signature_of(found[0])
    return FunctionCodec(
        signature,
        keccak(signature.encode())[:4],
        tuple(canonical_type(i) for i in found[0]["inputs"]),
        tuple(canonical_type(o) for o in found[0]["outputs"]),
    )


def encode_call(contract: str, function: str, args: Sequence[object]) -> bytes:
    """The calldata of a call; Malformed when a value does not fit its type."""
    codec = function_codec(contract, function)
    return codec.selector + encode_values(codec.inputs, args)


def encode_constructor(contract: str, args: Sequence[object]) -> bytes:
    """The creation code with its constructor's arguments."""
    built = artifact(contract)
    inputs = next((e["inputs"] for e in built.abi if e["type"] == "constructor"), [])
    return built.bytecode + encode_values(tuple(canonical_type(i) for i in inputs), args)


def encode_values(types: Sequence[str], values: Sequence[object]) -> bytes:
    """The ABI encoding of values; Malformed when one does not fit its type."""
    try:
        return encode(types, values)
    except (EncodingError, TypeError, ValueError) as e:
        raise Malformed(f"the values do not fit ({','.join(types)}): {e}") from e


def decode_result(contract: str, function: str, data: bytes) -> Any:
    """What a call returned: the value itself where there is one, a tuple of all where there are more."""
    codec = function_codec(contract, function)
    values = decode_values(codec.outputs, data)
    return values[0] if len(values) == 1 else values


def decode_values(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values of an ABI encoding; VerificationFailed when the bytes are none."""
    try:
        values = decode(types, data)
    except (DecodingError, OverflowError) as e:
        raise VerificationFailed(f"{len(data)} bytes are no ({','.join(types)}): {e}") from e
    return tuple(_shape(t)(value) for t, value in zip(types, values, strict=True))


def read(
    link: ChainLink,
    contract: str,
    address: Address,
    function: str,
    args: Sequence[object] = (),
    *,
    sender: Address | None = None,
) -> Any:
    """Call a view function and decode its result; a refusal is raised as its class of errors.py."""
    try:
        data = link.call(address, encode_call(contract, function, args), sender)
    except Reverted as e:
        raise decode_revert(e.data) from e
    return decode_result(contract, function, data)


@cache
def _shape(kind: str) -> Callable[[Any], Any]:
    """What turns eth_abi's value of this type into ours: EIP-55 addresses, tuples for lists."""
    if kind.endswith("]"):
        element = _shape(kind[: kind.rindex("[")])
        return lambda values: tuple(element(v) for v in values)
    if kind.startswith("("):
        fields = tuple(_shape(k) for k in split_fields(kind))
        return lambda values: tuple(f(v) for f, v in zip(fields, values, strict=True))
    return to_address if kind == "address" else _same


def _same(value: Any) -> Any:
    return value
