"""Where the client finds its service and its key: argument, environment, then HOME/client.toml."""

import json
import os
import sys
import tomllib
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import Any

from registry.core.ids import to_address
from registry.core.signing import KeySigner, Signer
from registry.core.version import Domain
from registry.errors import Malformed, NotFound, Unauthenticated

DEVELOPMENT = "x-twinledger-development"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client needs: the service, who signs, and the deployment it signs for, where it is pinned."""

    url: str
    signer: Signer | None
    domain: Domain | None


def find_home(home: str | Path | None = None) -> Path:
    """--home > TWINLEDGER_HOME > ~/.twinledger."""
    return Path(home or os.environ.get("TWINLEDGER_HOME") or Path.home() / ".twinledger").expanduser()


def find_settings(
    url: str | None, key: str | Path | Signer | None, home: str | Path | None
) -> ClientSettings:
    """Settle every question that `Client()` leaves open."""
    folder = find_home(home)
    written = _client_toml(folder / "client.toml")
    found = url or os.environ.get("TWINLEDGER_URL") or written.get("url")
    if found is None:
        raise NotFound(
            f"there is no service: {folder / 'client.toml'} does not exist",
            hint="run `twinledger up`, or give url= or TWINLEDGER_URL",
        )
    chosen = key or os.environ.get("TWINLEDGER_KEY") or written.get("key")
    signer = find_signer(chosen, folder) if isinstance(chosen, str | Path) else chosen
    domain = None
    if found == written.get("url"):
        domain = Domain(int(written["chain_id"]), to_address(str(written["registry"])))
    return ClientSettings(str(found), signer, domain)


def find_signer(key: str | Path, home: Path) -> Signer:
    """Open a keystore by path or by its name in HOME/keys."""
    named = home / "keys" / f"{key}.json"
    path = Path(key).expanduser() if Path(key).expanduser().is_file() else named
    if not path.is_file():
        raise NotFound(
            f"there is no keystore {str(key)!r}, neither as a file nor in {home / 'keys'}",
            hint="run `twinledger key new NAME`, or give --key PATH",
        )
    return open_keystore(path)


def open_keystore(path: Path) -> KeySigner:
    """Decrypt a version 3 keystore; the development key has no passphrase."""
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        keystore = json.loads(path.read_text())
        passphrase = b"" if keystore.get(DEVELOPMENT) else _passphrase(path)
        return KeySigner(decode_keyfile_json(keystore, passphrase))
    except (OSError, UnicodeDecodeError) as e:
        raise NotFound(f"{path} cannot be read: {e}", hint="give --key PATH") from e
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise Unauthenticated(
            f"{path} cannot be opened: {e}", hint="check the passphrase in --password-file"
        ) from e


def _passphrase(path: Path) -> bytes:
    file = os.environ.get("TWINLEDGER_PASSWORD_FILE")
    if file:
        try:
            return Path(file).read_text().rstrip("\r\n").encode()
        except OSError as e:
            raise NotFound(f"the password file {file} cannot be read: {e}") from e
    if sys.stdin.isatty():
        return getpass(f"passphrase of {path.name}: ").encode()
    raise Unauthenticated(
        f"{path.name} needs a passphrase", hint="give --password-file or TWINLEDGER_PASSWORD_FILE"
    )


def _client_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise Malformed(f"{path} cannot be read: {e}", hint="run `twinledger up` to write it anew") from e
