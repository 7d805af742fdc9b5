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
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
# All bytes but quotes and brackets.
_UNMARKED = bytes(set(range(256)) - set(b'"[]{}'))


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
    plain = _read_plain(raw)
    if plain is not None:
        return plain
    parsed = _load(raw, _safe_integer, _finite)
    if canonical(parsed) != raw:
        raise Malformed("these bytes are not their own RFC 8785 form")
    return parsed


def _read_plain(raw: bytes) -> object:
    """What most documents are: ASCII text and safe integers, and spelt as Python's encoder spells them.

    That is ten times as fast. A key that came twice does not come out again, and what is no JSON is told by
    the slower way: None stands for anything else.
    """
    if not raw.isascii():
        return None
    try:
        _check_depth(raw)
        parsed: object = _PLAIN_READER.decode(raw.decode())
        return parsed if _PLAIN.encode(parsed).encode() == raw else None
    except ValueError:
        return None


def strict_json(raw: bytes) -> object:
    """Read UTF-8 JSON without duplicate keys, NaN, infinities or lone surrogates; integers stay integers."""
    return _load(raw, int, _finite)


def _load(raw: bytes, parse_int: Callable[[str], int | float], parse_float: Callable[[str], float]) -> object:
    try:
        _check_depth(raw)
        text = raw.decode("utf-8")
        parsed: object = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=parse_int,
            parse_float=parse_float,
            parse_constant=_refuse,
        )
        # An escaped lone surrogate decodes to a str that no encoder takes.
        if "\\u" in text:
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as e:
        raise Malformed(f"this is not strict JSON: {e}") from e
    return parsed


def _check_depth(raw: bytes) -> None:
    """Refuse deep nesting before the parser recurses into it.

    Where somebody raised the recursion limit, C's stack would overflow and the process die.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _brackets(raw):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _brackets(raw: bytes) -> bytes:
    """The brackets outside of strings, in order."""
    if b"\\" in raw:
        raw = _STRING.sub(b"", raw)
    # Without escapes every quote begins or ends a string.
    return b"".join(raw.translate(None, _UNMARKED).split(b'"')[::2])


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


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no JSON")


def _plain_integer(text: str) -> int:
    return int(text) if len(text) < 16 else _refuse(text)


_PLAIN_READER = json.JSONDecoder(parse_int=_plain_integer, parse_float=_refuse, parse_constant=_refuse)
