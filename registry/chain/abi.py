"""Types, signatures and values of the contract ABI: eth_abi's work in our shapes.

Addresses come out in EIP-55, structs as tuples in the order of the ABI, arrays as tuples. eth_abi takes a
second to import and is imported by the first value that needs it: a command that only reads files never
pays for it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from registry.core.ids import to_address
from registry.errors import Malformed, VerificationFailed


def canonical_type(entry: dict[str, Any]) -> str:
    """The type of an ABI entry with its structs written out: `tuple[]` becomes `(uint64,address)[]`."""
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    fields = ",".join(canonical_type(component) for component in entry["components"])
    return f"({fields}){kind.removeprefix('tuple')}"


def signature_of(entry: dict[str, Any]) -> str:
    """`name(type,type)`, whose keccak is the selector or the first topic."""
    return f"{entry['name']}({','.join(canonical_type(i) for i in entry['inputs'])})"


def split_fields(kind: str) -> list[str]:
    """The types inside a struct's parentheses."""
    fields, depth, start = [], 0, 1
    for place, character in enumerate(kind[:-1]):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 1:
            fields.append(kind[start:place])
            start = place + 1
    return [*fields, kind[start:-1]]


def encode_values(types: Sequence[str], values: Sequence[object]) -> bytes:
    """The ABI encoding of values; Malformed when one does not fit its type."""
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    try:
        return encode(types, values)
    except (EncodingError, TypeError, ValueError) as e:
        raise Malformed(f"the values do not fit ({','.join(types)}): {e}") from e


def decode_values(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values of an ABI encoding; VerificationFailed when the bytes are none."""
    from eth_abi.exceptions import DecodingError

    try:
        values = _codec().decode(types, data)
    except (DecodingError, OverflowError) as e:
        raise VerificationFailed(f"{len(data)} bytes are no ({','.join(types)}): {e}") from e
    return tuple(_shape(t)(value) for t, value in zip(types, values, strict=True))


@cache
def _codec() -> Any:
    """eth_abi's decoder, but a string that is no UTF-8 comes out with U+FFFD in it.

    The contracts take any bytes as a string: one member's broken text must not stop every follower.
    """
    decoding, encoding = import_module("eth_abi.decoding"), import_module("eth_abi.encoding")
    registries = import_module("eth_abi.registry")
    lenient = registries.registry.copy()
    lenient.unregister("string")
    lenient.register(
        registries.BaseEquals("string", with_sub=False),
        encoding.TextStringEncoder,
        decoding.StringDecoder(handle_string_errors="replace"),
        label="string",
    )
    return import_module("eth_abi.codec").ABICodec(lenient)


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
