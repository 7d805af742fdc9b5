"""Mutated inputs to every parser of what strangers send: a value or an error of the tree, never another.

The number of inputs is TWINLEDGER_TEST_FUZZ (2,000), the first seed TWINLEDGER_TEST_SEED (0).
"""

import contextlib
import io
import os
import random
from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import save

from registry.core.canonical import canonical, strict_json
from registry.core.cid import RAW, Cid
from registry.core.ids import sha256
from registry.core.manifest import FileEntry, build_manifest, parse_manifest
from registry.core.note import Note
from registry.core.refs import parse_reference
from registry.core.rlp import decode, encode
from registry.core.weights import inspect
from registry.errors import RegistryError

COUNT = int(os.environ.get("TWINLEDGER_TEST_FUZZ", "2000"))
FIRST = int(os.environ.get("TWINLEDGER_TEST_SEED", "0"))


def _weights() -> bytes:
    return save({"w": np.arange(16, dtype="float32")})


def _arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, w=np.arange(16, dtype="float32"))
    return file.getvalue()


def _manifest() -> bytes:
    digest = sha256(b"w")
    file = FileEntry("w.safetensors", Cid(RAW, digest), digest, 64, "safetensors")
    return build_manifest("lab", "m", [file], (), {"tags": ["a"], "metrics": {"rmse_db": 4.5}}).bytes


PARSERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "json": (canonical({"a": [1, 2.5, "x", None], "b": {"c": True}}), strict_json),
    "manifest": (_manifest(), parse_manifest),
    "cid": (str(Cid(RAW, sha256(b"x"))).encode(), lambda raw: Cid.parse(raw.decode("latin-1"))),
    "reference": (b"lab/model@v3", lambda raw: parse_reference(raw.decode("latin-1"))),
    "rlp": (encode([b"a", [b"b" * 60, b""]]), decode),
    "note": (b"origin\n1\nAAAA\n\n\xe2\x80\x94 origin AAAAAAAA\n", Note.parse),
    "safetensors": (_weights(), lambda raw: inspect("safetensors", io.BytesIO(raw))),
    "npz": (_arrays(), lambda raw: inspect("npz", io.BytesIO(raw))),
}


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """A few changes of the kind that find trouble: flips, cuts, doublings, extreme bytes."""
    bent = bytearray(raw)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(bent) + 1)
        kind = dice.randrange(4)
        if kind == 0 and place < len(bent):
            bent[place] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del bent[place : place + dice.randint(1, 16)]
        elif kind == 2:
            bent[place:place] = bent[place : place + dice.randint(1, 16)]
        else:
            bent[place:place] = bytes(dice.choices([0, 1, 0x7F, 0x80, 0xFF, ord("0"), ord("-")], k=2))
    return bytes(bent)


@pytest.mark.parametrize("name", PARSERS)
def test_a_mutated_input_gives_a_value_or_an_error_of_the_tree(name: str) -> None:
    sample, parse = PARSERS[name]
    for seed in range(FIRST, FIRST + -(-COUNT // len(PARSERS))):
        with contextlib.suppress(RegistryError):
            parse(mutated(sample, random.Random(seed)))
