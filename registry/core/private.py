"""The manifest's `encryption` of scheme `twinledger/dtw1`: salt, sealed index, and the first readers' wraps.

The wraps of the first readers are in the manifest, so a private version is readable the moment it is sealed
and its key cannot be lost in between; later readers' wraps are grants on chain. Neither is part of the files'
directory: a new reader changes no CID.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry.core.canonical import canonical, strict_json
from registry.core.envelope import SCHEME, SUITE, Context, index_key
from registry.core.ids import Address, hex32, to_address
from registry.core.manifest_fields import Encryption
from registry.core.manifest_node import Node
from registry.errors import InvalidManifest, Malformed, VerificationFailed

MAX_READERS = 256
_MAX_HEX = 2 << 20


@dataclass(frozen=True, slots=True)
class Wrap:
    """A version's key as one reader gets it."""

    reader: Address
    key_version: int
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class ClearFile:
    """What a file is before it is encrypted; only readers learn it."""

    path: str
    size: int
    sha256: bytes
    format: str


@dataclass(frozen=True, slots=True)
class PrivateHeader:
    """Everything that a reader needs beside the key of its own."""

    salt: bytes
    index: bytes
    wraps: tuple[Wrap, ...]

    def document(self) -> dict[str, object]:
        """The header as it stands in a manifest."""
        return {
            "scheme": SCHEME,
            "suite": SUITE,
            "salt": hex32(self.salt),
            "index": "0x" + self.index.hex(),
            "readers": [
                {
                    "member": wrap.reader,
                    "key_version": wrap.key_version,
                    "wrapped_key": "0x" + wrap.wrapped_key.hex(),
                }
                for wrap in self.wraps
            ],
        }


def read_header(encryption: Encryption | None) -> PrivateHeader | None:
    """The header of a manifest; None when it is in the clear or of a scheme that is not ours."""
    if encryption is None or encryption.scheme != SCHEME:
        return None
    members = Node("encryption", strict_json(encryption.parameters)).members(
        required=("scheme", "suite", "salt", "index", "readers")
    )
    if members.need("suite", Node.text) != SUITE:
        raise InvalidManifest(f"encryption.suite is not {SUITE}", hint="read it with a newer client")
    return PrivateHeader(
        salt=members.need("salt", Node.hex32),
        index=members.need("index", _hex),
        wraps=members.list_of("readers", _wrap, most=MAX_READERS),
    )


def seal_index(secret: bytes, context: Context, files: Sequence[ClearFile]) -> bytes:
    """What the files are in the clear, encrypted: a plain digest would betray a file one can guess."""
    rows = [[file.path, file.size, hex32(file.sha256), file.format] for file in files]
    return index_key(secret, context).seal(0, canonical(rows), is_last=True)


def open_index(secret: bytes, context: Context, sealed: bytes) -> dict[str, ClearFile]:
    """The files in the clear by path; VerificationFailed when the index is not of this key and context."""
    opened = index_key(secret, context).open(0, sealed, is_last=True)
    try:
        rows: Any = strict_json(opened)
        files = [ClearFile(path, size, bytes.fromhex(digest[2:]), kind) for path, size, digest, kind in rows]
    except (TypeError, ValueError, Malformed) as e:
        raise VerificationFailed(f"the sealed index is not a list of files: {e}") from e
    return {file.path: file for file in files}


def _wrap(node: Node) -> Wrap:
    members = node.members(required=("member", "key_version", "wrapped_key"))
    return Wrap(
        reader=members.need("member", lambda n: n.checked(to_address)),
        key_version=members.need("key_version", lambda n: n.integer(low=1)),
        wrapped_key=members.need("wrapped_key", _hex),
    )


def _hex(node: Node) -> bytes:
    text = node.value
    if not isinstance(text, str) or not text.startswith("0x") or len(text) > _MAX_HEX:
        raise node.refuse("it must be bytes as 0x and hex digits")
    try:
        return bytes.fromhex(text[2:])
    except ValueError as e:
        raise node.refuse("it must be bytes as 0x and hex digits") from e
