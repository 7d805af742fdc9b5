"""Inputs near the border between what a parser takes and what it refuses.

Random bytes die at the first check. A valid input with a few edits reaches the checks behind it.
"""

import copy
import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from registry.errors import RegistryError

DEFAULT_COUNT = 60
TELLING = (
    b"\0",
    b"\xff",
    b"\x80",
    b"\n",
    b'"',
    b"{",
    b"[",
    b"-",
    b"9" * 5000,
    b"\xff" * 9 + b"\x01",
    b"e999",
)
ODD_VALUES = (
    None,
    True,
    -1,
    0,
    2**64,
    2**200,
    1.5,
    "",
    "0x",
    "x" * 300,
    "\ud800",
    "\0",
    [],
    {},
    [[]],
    [None],
)


def fuzzed(share: float = 1.0) -> settings:
    """The same inputs at every run; TWINLEDGER_TEST_FUZZ says how many."""
    count = int(os.environ.get("TWINLEDGER_TEST_FUZZ", DEFAULT_COUNT))
    return settings(
        max_examples=max(1, int(count * share)),
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )


def only_own_errors(parse: Callable[[Any], object], given: object) -> None:
    """The promise of every parser: a value, or an error of the tree."""
    try:
        parse(given)
    except RegistryError as e:
        assert e.message


@st.composite
def edited(draw: st.DrawFn, *seeds: bytes) -> bytes:
    """One of the seeds after a few edits, or noise."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    raw = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        end = min(len(raw), at + draw(st.sampled_from((1, 2, 8, 64))))
        edit = draw(st.integers(0, 5))
        if edit == 0:
            raw[at:end] = draw(st.binary(min_size=1, max_size=4))
        elif edit == 1:
            raw[at:at] = draw(st.sampled_from(TELLING))
        elif edit == 2:
            del raw[at:end]
        elif edit == 3:
            raw[at:at] = raw[at:end]
        elif edit == 4:
            del raw[at:]
        elif raw:
            raw[at % len(raw)] ^= 1 << draw(st.integers(0, 7))
    return bytes(raw)


@st.composite
def edited_json(draw: st.DrawFn, seed: object) -> Any:
    """The value with some of its places replaced, dropped or doubled."""
    value = copy.deepcopy(seed)
    for _ in range(draw(st.integers(1, 3))):
        places = [(holder, key) for holder, key in _places(value)]
        if not places:
            return draw(st.sampled_from(ODD_VALUES))
        holder, key = draw(st.sampled_from(places))
        edit = draw(st.integers(0, 2))
        if edit == 0:
            del holder[key]
        elif edit == 1 or not isinstance(holder, dict):
            holder[key] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
        else:
            holder[draw(st.sampled_from(("surprise", "", "schema", "x", key + key)))] = holder[key]
    return value


def plain_json(value: object) -> bytes:
    """JSON bytes of a value, lone surrogates included."""
    return json.dumps(value, ensure_ascii=True).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    for key in list(keys):
        found += _places(value[key])
    return found
