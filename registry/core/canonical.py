"""Canonical JSON (RFC 8785), and the strict reader that goes with it.

What is hashed or signed must have one spelling. Python's `json` accepts more than JSON (NaN, duplicate
keys, lone surrogates, numbers that overflow to infinity): two readers could see two documents in the same
bytes.

>>> canonical({"b": 1.0, "a": [True, None]})
b'{"a":[true,null],"b":1}'
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

import rfc8785

from registry.errors import Malformed

MAX_DEPTH = 128
_PLAIN = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
# A string, to its end, however it ends, so that no input is scanned twice.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def canonical(obj: object) -> bytes:
    """The RFC 8785 form; integers beyond 2^53 - 1 have none."""
    try:
        return rfc8785.dumps(obj)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, RecursionError) as e:
        raise Malformed(f"this has no canonical JSON form: {e}") from e


def read_canonical(raw: bytes) -> object:
    """Read JSON that is its own RFC 8785 form.

    Integers beyond 2^53 - 1 are read as the doubles they stand for: 1e20 is written with 21 digits.
    """
    floats: list[float] = []

    def integer(text: str) -> int | float:
        number = _safe_integer(text)
        if isinstance(number, float):
            floats.append(number)
        return number

    def fraction(text: str) -> float:
        floats.append(_finite(text))
        return floats[-1]

    parsed = _load(raw, integer, fraction)
    # Text, safe integers and ASCII are spelt alike by Python's encoder, which is ten times as fast.
    is_plain = not floats and raw.isascii() and _PLAIN.encode(parsed).encode() == raw
    if not is_plain and canonical(parsed) != raw:
        raise Malformed("these bytes are not their own RFC 8785 form")
    return parsed


def strict_json(raw: bytes) -> object:
    """Read UTF-8 JSON without duplicate keys, NaN, infinities or lone surrogates; integers stay integers."""
    return _load(raw, int, _finite)


def _load(raw: bytes, parse_int: Callable[[str], int | float], parse_float: Callable[[str], float]) -> object:
    try:
        text = raw.decode("utf-8")
        _check_depth(text)
        parsed: object = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=parse_int,
            parse_float=parse_float,
            parse_constant=_refuse_constant,
        )
        # An escaped lone surrogate decodes to a str that no encoder takes.
        if "\\u" in text:
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as e:
        raise Malformed(f"this is not strict JSON: {e}") from e
    return parsed


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the parser recurses into it.

    Where somebody raised the recursion limit, C's stack would overflow and the process die.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:80]!r} occurs twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not finite")
    return number


def _safe_integer(text: str) -> int | float:
    if len(text) > 17:
        return _finite(text)
    number = int(text)
    return number if abs(number) < 1 << 53 else float(number)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
