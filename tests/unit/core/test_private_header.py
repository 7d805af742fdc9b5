"""The manifest's header of a private version: what it holds, and what is no header."""

from hashlib import sha256
from typing import Any

import pytest

from registry.core.canonical import canonical
from registry.core.envelope import SCHEME, Context
from registry.core.ids import address_of
from registry.core.manifest_fields import Encryption
from registry.core.private import ClearFile, PrivateHeader, Wrap, open_index, read_header, seal_index
from registry.errors import InvalidManifest, VerificationFailed

SECRET = sha256(b"secret").digest()
CONTEXT = Context(31337, address_of(b"\x0a" * 20), sha256(b"model").digest(), sha256(b"salt").digest())
FILES = [
    ClearFile("a/b.npz", 7, sha256(b"b").digest(), "npz"),
    ClearFile("c", 0, sha256(b"").digest(), "binary"),
]
HEADER = PrivateHeader(CONTEXT.salt, b"sealed", (Wrap(address_of(b"\x0b" * 20), 2, bytes(80)),))


def written(document: dict[str, Any]) -> Encryption:
    return Encryption(str(document["scheme"]), canonical(document))


def test_a_header_reads_as_it_was_written() -> None:
    assert read_header(written(HEADER.document())) == HEADER


def test_files_in_the_clear_and_other_schemes_have_no_header() -> None:
    assert read_header(None) is None
    assert read_header(written({"scheme": "age", "anything": 1})) is None


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "rot13"},
        {"salt": "0x00"},
        {"index": "sealed"},
        {"index": "0xabc"},
        {"readers": None},
        {"readers": [{"member": "0x0", "key_version": 1, "wrapped_key": "0x"}]},
        {"readers": [{"member": address_of(b"\x0b" * 20), "key_version": 0, "wrapped_key": "0x"}]},
        {"readers": [{"member": address_of(b"\x0b" * 20), "key_version": 1}]},
        {"more": 1},
    ],
)
def test_a_header_that_says_something_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidManifest):
        read_header(written({**HEADER.document(), **change}))


@pytest.mark.parametrize("member", ["suite", "salt", "index", "readers"])
def test_a_header_lacks_nothing(member: str) -> None:
    document = HEADER.document()
    del document[member]
    with pytest.raises(InvalidManifest, match=member):
        read_header(written(document))


def test_the_index_opens_with_its_key_alone() -> None:
    sealed = seal_index(SECRET, CONTEXT, FILES)
    assert open_index(SECRET, CONTEXT, sealed) == {file.path: file for file in FILES}
    assert FILES[0].sha256 not in sealed
    for secret, changed in ((sha256(b"eve").digest(), sealed), (SECRET, sealed[:-1])):
        with pytest.raises(VerificationFailed):
            open_index(secret, CONTEXT, changed)


def test_the_index_is_of_the_scheme_that_the_manifest_names() -> None:
    assert HEADER.document()["scheme"] == SCHEME
