"""Keys at rest: version 3 keystores, one file each, readable by their owner alone.

A development keystore says so in itself and has an empty passphrase; a server that others can reach
refuses it.
"""

import json
import os
import secrets
import sys
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

from registry.core.ids import Address, to_address
from registry.core.signing import KeySigner
from registry.errors import Conflict, Malformed, NotFound, Unauthenticated

DEVELOPMENT = "x-twinledger-development"
# A development key is no secret: one round, so that opening it costs nothing.
_WEAK_ROUNDS = 1


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A keystore as a list shows it."""

    name: str
    path: Path
    address: Address
    is_development: bool


def create_keystore(path: Path, passphrase: bytes) -> KeySigner:
    """Make a new key under a passphrase; Conflict when the file is there already."""
    if not passphrase:
        raise Malformed("the passphrase is empty", hint="give --password-file FILE")
    return _write(path, passphrase, rounds=None, marks={})


def create_development_keystore(path: Path) -> KeySigner:
    """Make a new key without a passphrase, marked as one for development."""
    return _write(path, b"", rounds=_WEAK_ROUNDS, marks={DEVELOPMENT: True})


def open_keystore(path: Path, password_file: Path | None = None) -> KeySigner:
    """Decrypt a keystore: passphrase from the file, TWINLEDGER_PASSWORD_FILE or a prompt on a terminal."""
    from eth_keyfile.keyfile import decode_keyfile_json

    keystore = _read(path)
    passphrase = b"" if keystore.get(DEVELOPMENT) else _passphrase(path, password_file)
    try:
        return KeySigner(decode_keyfile_json(keystore, passphrase))
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Unauthenticated(
            f"{path} cannot be opened: {e}", hint="check the passphrase in --password-file"
        ) from e


def find_keystore(key: str | Path, keys: Path) -> Path:
    """A keystore by its path, or by its name in a folder of keys."""
    given = Path(key).expanduser()
    for path in (given, keys / f"{key}.json"):
        if path.is_file():
            return path
    raise NotFound(
        f"there is no keystore {str(key)!r}, neither as a file nor in {keys}",
        hint="run `twinledger key new NAME`, or give --key PATH",
    )


def list_keystores(keys: Path) -> list[KeyInfo]:
    """Every keystore of a folder, by name."""
    return [keystore_info(path) for path in sorted(keys.glob("*.json"))]


def keystore_info(path: Path) -> KeyInfo:
    """What a keystore says of itself without its passphrase."""
    keystore = _read(path)
    address = to_address("0x" + str(keystore.get("address", "")).removeprefix("0x"))
    return KeyInfo(path.stem, path, address, bool(keystore.get(DEVELOPMENT)))


def new_passphrase(file: str | None) -> bytes:
    """A passphrase for a new key: from the file, or asked for twice on a terminal."""
    if file:
        return _from_file(file)
    if not sys.stdin.isatty():
        raise Malformed("a new key needs a passphrase", hint="give --password-file FILE")
    first, second = getpass("new passphrase: "), getpass("again: ")
    if first != second:
        raise Malformed("the two passphrases differ")
    return first.encode()


def new_x25519(path: Path) -> bytes:
    """Make an X25519 key for private models, keep its secret in `path`, answer its public half."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    if path.exists():
        raise Conflict(f"{path} exists", hint="choose another file with --out")
    key = X25519PrivateKey.generate()
    write_private(path, key.private_bytes_raw().hex() + "\n")
    return key.public_key().public_bytes_raw()


def x25519_secrets(keys: Path, address: Address) -> list[bytes]:
    """The X25519 secrets of an address in a folder of keys, of every key it ever registered from here."""
    try:
        return [bytes.fromhex(path.read_text().strip()) for path in _x25519_files(keys, address)]
    except (OSError, ValueError) as e:
        raise Malformed(f"an X25519 secret in {keys} cannot be read: {e}") from e


def next_x25519(keys: Path, address: Address) -> Path:
    """Where an address's next X25519 secret goes; earlier ones stay, to open what was wrapped to them."""
    return keys / f"{address.lower()}.{len(_x25519_files(keys, address)) + 1}.x25519"


def _x25519_files(keys: Path, address: Address) -> list[Path]:
    return sorted(keys.glob(f"{address.lower()}*.x25519"))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    # Rename is atomic: a reader sees the old file or the new one, never half of it.
    part.replace(path)


def _write(path: Path, passphrase: bytes, *, rounds: int | None, marks: dict[str, bool]) -> KeySigner:
    from eth_keyfile.keyfile import create_keyfile_json

    if path.exists():
        raise Conflict(f"{path} exists", hint="choose another name, or move the file away")
    secret = _fresh_secret()
    if rounds is None:
        keystore = create_keyfile_json(secret, passphrase, kdf="scrypt")
    else:
        keystore = create_keyfile_json(secret, passphrase, kdf="pbkdf2", iterations=rounds)
    signer = KeySigner(secret)
    write_private(path, json.dumps({**keystore, "address": signer.address[2:].lower(), **marks}) + "\n")
    return signer


def _fresh_secret() -> bytes:
    while True:
        secret = secrets.token_bytes(32)
        try:
            KeySigner(secret)
        except Malformed:
            continue  # outside the curve's order: one in 2^128
        return secret


def _read(path: Path) -> dict[str, object]:
    try:
        keystore = json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise NotFound(f"{path} is no readable keystore: {e}", hint="give --key PATH") from e
    if not isinstance(keystore, dict):
        raise Malformed(f"{path} is no keystore", hint="give --key PATH")
    return keystore


def _passphrase(path: Path, password_file: Path | None) -> bytes:
    file = password_file or os.environ.get("TWINLEDGER_PASSWORD_FILE")
    if file:
        return _from_file(file)
    if sys.stdin.isatty():
        return getpass(f"passphrase of {path.name}: ").encode()
    raise Unauthenticated(
        f"{path.name} needs a passphrase", hint="give --password-file or TWINLEDGER_PASSWORD_FILE"
    )


def _from_file(file: str | Path) -> bytes:
    try:
        return Path(file).read_text().rstrip("\r\n").encode()
    except (OSError, UnicodeDecodeError) as e:
        raise NotFound(f"the password file {file} cannot be read: {e}") from e
