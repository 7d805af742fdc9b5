"""Node and operator keys, which touch a disk only encrypted (version 3 keystore, scrypt).

Besu itself reads a bare hexadecimal key, so `registry.network.unlock` opens the keystore into memory-backed
storage just before a node starts.
"""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_keys.datatypes import PrivateKey

from registry.core.ids import Address, address_of
from registry.errors import NotFound, Unauthenticated

PASSWORD_BYTES = 32


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The public half of a key: the account, and the 64 bytes that an enode URL names a node by."""

    address: Address
    public: bytes


def new_key(keystore: Path, password_file: Path) -> NodeKey:
    """Make a key, write it encrypted under a fresh password, and forget the secret."""
    secret, password = secrets.token_bytes(32), secrets.token_hex(PASSWORD_BYTES)
    public = PrivateKey(secret).public_key
    write_private(password_file, password + "\n")
    write_private(
        keystore, json.dumps(create_keyfile_json(secret, password.encode(), kdf="scrypt"), indent=1)
    )
    return NodeKey(address_of(public.to_canonical_address()), public.to_bytes())


def open_key(keystore: Path, password_file: Path) -> bytes:
    """The 32 secret bytes of a keystore."""
    try:
        encrypted = json.loads(keystore.read_text())
        password = password_file.read_text().rstrip("\r\n").encode()
    except OSError as e:
        raise NotFound(f"{e.filename} cannot be read: {e.strerror}") from e
    try:
        return decode_keyfile_json(encrypted, password)
    except (ValueError, KeyError, TypeError) as e:
        raise Unauthenticated(f"{keystore} does not open with {password_file}: {e}") from e


def write_private(path: Path, text: str) -> None:
    """Write a new file that its owner alone may read, from its first byte on."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text)
