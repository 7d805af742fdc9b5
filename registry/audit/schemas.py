"""The published form of a log entry: one JSON Schema, with what `details` holds for each kind.

The chain log's kinds follow from the contracts' ABIs, so a new event has its schema at once.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from contracts import NAMES, artifact
from registry.audit.chainlog import LIFTED, chain_kinds, kind_of, snake
from registry.audit.gatewaylog import GATEWAY_KINDS
from registry.audit.rows import CHAIN, GATEWAY
from registry.core.log import MAX_ENTRY_BYTES, YEAR_10000

Schema = dict[str, Any]

_HEX32: Schema = {"type": "string", "pattern": "^0x[0-9a-f]{64}$"}
_ADDRESS: Schema = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
_CUT: Schema = {
    "type": "object",
    "description": "text or bytes too long for an entry",
    "properties": {"sha256": _HEX32, "size": {"type": "integer"}},
    "required": ["sha256"],
}


def kinds(log: str) -> list[str]:
    """Every kind that a log (chain or gateway) can hold."""
    held: Mapping[str, Iterable[str]] = {CHAIN: chain_kinds(), GATEWAY: GATEWAY_KINDS}
    return sorted(held[log])


def all_kinds() -> list[str]:
    """Every kind of either log: what a filter may ask for."""
    return sorted({*kinds(CHAIN), *kinds(GATEWAY)})


@cache
def entry_schema() -> Schema:
    """The JSON Schema of an entry of either log."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://twinledger.example/schemas/log-entry-1.json",
        "title": "TwinLedger log entry",
        "description": f"RFC 8785 JSON of at most {MAX_ENTRY_BYTES} bytes; what says nothing is absent.",
        "type": "object",
        "required": ["v", "kind", "time", "actor"],
        "additionalProperties": False,
        "properties": {
            "v": {"const": 1},
            "kind": {"enum": all_kinds()},
            "time": {"type": "integer", "minimum": 0, "exclusiveMaximum": YEAR_10000},
            "actor": {"anyOf": [_ADDRESS, {"type": "null"}], "description": "whose signature verified"},
            "claimed": {
                "type": "string",
                "maxLength": 128,
                "description": "who was named without a signature",
            },
            "subjects": {"type": "array", "items": _ADDRESS, "minItems": 1},
            "model": {"type": "string", "description": "ns/name, or in the chain log the model id"},
            "version": _HEX32,
            "related": {"type": "array", "items": _HEX32, "minItems": 1},
            "cell": {
                "type": "object",
                "required": ["name", "basis"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "basis": {"enum": ["claimed", "observed", "registered"]},
                },
            },
            "commitments": {
                "type": "object",
                "propertyNames": {"enum": ["address", "cell", "device"]},
                "additionalProperties": _HEX32,
            },
            "at": {
                "type": "object",
                "required": ["contract", "event", "block", "tx_hash", "index"],
                "additionalProperties": False,
                "properties": {
                    "contract": {"enum": list(NAMES)},
                    "event": {"type": "string"},
                    "block": {"type": "integer", "minimum": 0},
                    "tx_hash": _HEX32,
                    "index": {"type": "integer", "minimum": 0},
                },
            },
            "details": {"type": "object"},
        },
        "allOf": [*map(_gateway_rule, GATEWAY_KINDS), *_chain_rules()],
    }


def _rule(conditions: Schema, details: Schema) -> Schema:
    return {
        "if": {"properties": conditions, "required": list(conditions)},
        "then": {"properties": {"details": details}},
    }


def _gateway_rule(kind: str) -> Schema:
    known = {
        name: {"type": ["string", "integer"], "description": text}
        for name, text in GATEWAY_KINDS[kind].items()
    }
    details = {"type": "object", "additionalProperties": False, "properties": known}
    without_place: Schema = {"kind": {"const": kind}}
    rule = _rule(without_place, details)
    rule["if"]["not"] = {"required": ["at"]}  # a kind of the chain log may have the same name
    return rule


def _chain_rules() -> list[Schema]:
    rules = []
    for contract in NAMES:
        for entry in artifact(contract).abi:
            if entry["type"] == "event":
                place: Schema = {
                    "properties": {"contract": {"const": contract}, "event": {"const": entry["name"]}}
                }
                rules.append(_rule({"kind": {"const": kind_of(entry["name"])}, "at": place}, _details(entry)))
    return rules


def _details(event: Mapping[str, Any]) -> Schema:
    known = {snake(given["name"]): _value(given) for given in event["inputs"] if given["name"] not in LIFTED}
    return {"type": "object", "additionalProperties": False, "properties": known | {"cut": _CUT}}


def _value(given: Mapping[str, Any]) -> Schema:
    """The JSON of an ABI type, as `entry_of` writes it."""
    kind: str = given["type"]
    if kind.endswith("]"):
        return {"type": "array", "items": _value({**given, "type": kind[: kind.rindex("[")]})}
    if kind == "tuple":
        parts = {snake(part["name"]): _value(part) for part in given["components"]}
        return {"type": "object", "additionalProperties": False, "properties": parts, "required": list(parts)}
    if kind == "address":
        return _ADDRESS
    if kind == "bool":
        return {"type": "boolean"}
    if kind == "string":
        return {"anyOf": [{"type": "string"}, _CUT]}
    if kind.startswith("bytes"):
        return {"anyOf": [{"type": "string", "pattern": "^0x([0-9a-f]{2})*$"}, _CUT]}
    decimal: Schema = {"type": "string", "pattern": "^-?(0|[1-9][0-9]*)$"}
    is_wide = int(kind.lstrip("uint") or 256) > 64
    return decimal if is_wide else {"anyOf": [{"type": "integer"}, decimal]}
