"""The names of ABI entries: types with their structs written out, and signatures."""

from typing import Any


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
