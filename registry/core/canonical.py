"""Canonical JSON (RFC 8785), and the strict reader that goes with it.

What is hashed or signed must have one spelling. Python's `json` accepts more than JSON (NaN, duplicate
keys, lone surrogates, numbers that overflow to infinity): two readers could see two documents in the same
bytes.

>>> canonical({"b": 1.0, "a": [True, None]})
b'{"a":[true,null],"b":1}'
"""

import json
import math
from typing import NoReturn

import rfc8785

from registry.errors import Malformed


def canonical(obj: object) -> bytes:
    """The RFC 8785 form; integers beyond 2^53 - 1 have none."""
    try:
        return rfc8785.dumps(obj)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, RecursionError) as e:
        raise Malformed(f"this has no canonical JSON form: {e}") from e


def strict_json(raw: bytes) -> object:
    """Read UTF-8 JSON without duplicate keys, NaN, infinities or lone surrogates; integers stay integers."""
    try:
        text = raw.decode("utf-8")
        parsed: object = json.loads(
            text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant
        )
        # An escaped lone surrogate decodes to a str that no encoder takes.
        if "\\u" in text:
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as e:
        raise Malformed(f"this is not strict JSON: {e}") from e
    return parsed


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not finite")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
