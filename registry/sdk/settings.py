"""Where the client finds its service and its key: argument, environment, then HOME/client.toml."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.config import Home, resolve_home
from registry.core.ids import to_address
from registry.core.signing import Signer
from registry.core.version import Domain
from registry.errors import Malformed, NotFound
from registry.keystore import find_keystore, open_keystore


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client needs: the service, who signs, and the deployment it signs for, where it is pinned."""

    url: str
    signer: Signer | None
    domain: Domain | None
    trust: Path | None
    keys: Path


def find_settings(
    url: str | None, key: str | Path | Signer | None, home: str | Path | None
) -> ClientSettings:
    """Settle every question that `Client()` leaves open."""
    folder = resolve_home(home, os.environ)
    written = _client_toml(folder)
    found = url or os.environ.get("TWINLEDGER_URL") or written.get("url")
    if found is None:
        raise NotFound(
            f"there is no service: {folder.client} does not exist",
            hint="run `twinledger up`, or give --url, url= or TWINLEDGER_URL",
        )
    chosen = key or os.environ.get("TWINLEDGER_KEY") or written.get("key")
    signer = _open(chosen, folder) if isinstance(chosen, str | Path) else chosen
    domain = None
    if found == written.get("url"):
        domain = Domain(int(written["chain_id"]), to_address(str(written["registry"])))
    pinned = folder.trust if domain is not None else None
    return ClientSettings(str(found), signer, domain, pinned, folder.keys)


def _open(key: str | Path, home: Home) -> Signer:
    return open_keystore(find_keystore(key, home.keys))


def _client_toml(home: Home) -> dict[str, Any]:
    try:
        return tomllib.loads(home.client.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise Malformed(
            f"{home.client} cannot be read: {e}", hint="run `twinledger up` to write it anew"
        ) from e
