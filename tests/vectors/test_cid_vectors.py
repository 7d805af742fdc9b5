"""CIDs that a real Kubo and the JavaScript importer computed: ours are the same, for every profile."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from registry.core.cid import Cid
from registry.storage.base import Link, Stored
from registry.storage.unixfs import PROFILES, UNIXFS_V1_2025, Profile, directory, file_link, import_file

VECTORS = json.loads((Path(__file__).parent / "data" / "cid_vectors.json").read_text())
LARGE = 100 << 20  # the two published files of 1 GiB cover what is above
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def text(profile: Profile, cid: Cid) -> str:
    if profile.cid_version == 1:
        return str(cid)
    number, out = int.from_bytes(cid.raw[2:], "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = _BASE58[digit] + out
    return out


def shake(seed: str, size: int) -> list[bytes]:
    return [hashlib.shake_128(seed.encode()).digest(size)]


def chacha(seed: str, size: int) -> Iterator[bytes]:
    if seed.startswith("text:"):
        yield seed.removeprefix("text:").encode()
        return
    stream = Cipher(ChaCha20(hashlib.sha256(seed.encode()).digest(), bytes(16)), None).encryptor()
    for at in range(0, size, 1 << 20):
        yield stream.update(bytes(min(1 << 20, size - at)))


def named(kind: str) -> list[Any]:
    vectors = [v for v in VECTORS["vectors"] if v["kind"] == kind and v.get("size", 0) <= LARGE]
    return [pytest.param(v, id=f"{v.get('profile', 'deep')}-{v.get('size', v.get('name'))}") for v in vectors]


@pytest.mark.parametrize("vector", named("file"))
def test_a_file_has_the_cid_that_kubo_gives_it(vector: dict[str, Any]) -> None:
    profile = PROFILES[vector["profile"]]
    stored = import_file(shake(vector["seed"], vector["size"]), profile=profile)
    assert text(profile, stored.cid) == vector["cid"]
    assert (stored.dag_size, stored.sha256.hex()) == (vector["dag_size"], vector["sha256"])


@pytest.mark.parametrize("vector", named("deep"))
def test_a_deep_tree_has_the_cid_that_kubo_gives_it(vector: dict[str, Any]) -> None:
    profile = Profile("deep", vector["chunk"], vector["width"], vector["cid_version"], vector["raw_leaves"])
    stored = import_file(shake(vector["seed"], vector["size"]), profile=profile)
    assert (text(profile, stored.cid), stored.dag_size) == (vector["cid"], vector["dag_size"])


@pytest.mark.parametrize("vector", named("directory"))
def test_a_directory_has_the_cid_that_kubo_gives_it(vector: dict[str, Any]) -> None:
    profile = PROFILES[vector["profile"]]
    files: dict[str, Stored] = {
        f["path"]: import_file(shake(f["seed"], f["size"]), profile=profile) for f in vector["files"]
    }
    root = directory(files, profile=profile)
    assert (text(profile, root.cid), root.dag_size) == (vector["cid"], vector["dag_size"])


@pytest.mark.parametrize(
    "vector",
    [
        pytest.param(v, id=f"{v['profile']}-{v['seed']}-{v['size']}")
        for v in VECTORS["upstream_fixtures"]["vectors"]
    ],
)
def test_the_fixtures_that_kubo_publishes_are_met(vector: dict[str, Any]) -> None:
    profile = PROFILES[vector["profile"]]
    assert (
        text(profile, import_file(chacha(vector["seed"], vector["size"]), profile=profile).cid)
        == vector["cid"]
    )


def test_an_empty_directory_has_the_published_cid() -> None:
    assert str(directory({}).cid) == VECTORS["upstream_fixtures"]["empty_dir"]["v1"]


@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS["vectors"] if v.get("profile") == UNIXFS_V1_2025.name and v["kind"] == "file"],
)
def test_the_size_of_a_dag_follows_from_the_size_of_its_file(vector: dict[str, Any]) -> None:
    cid = Cid.parse(vector["cid"])
    assert file_link(cid, vector["size"]) == Link(cid, vector["size"], vector["dag_size"])
