"""Whose keys this process signs with, and which of them may be used where."""

from pathlib import Path

from registry.config import Home, Settings, is_loopback
from registry.core.signing import KeySigner
from registry.errors import Conflict, NotFound
from registry.keystore import find_keystore, keystore_info, open_keystore


def gateway_signer(home: Home, settings: Settings) -> KeySigner:
    """The gateway's own account; a development key only where nobody else can reach the API."""
    path = settings.gateway.key_file or home.keys / "gateway.json"
    _require(path, "gateway.key_file")
    _refuse_development(path, settings.api.host)
    return open_keystore(path, settings.gateway.password_file)


def miner_keystore(home: Home, settings: Settings, key: str | None) -> Path:
    """The keystore of the miner that runs: the one asked for, else the settings', else HOME's."""
    if key is not None:
        return find_keystore(key, home.keys)
    path = settings.miner.key_file or home.keys / "miner.json"
    _require(path, "miner.key_file")
    return path


def miner_signer(path: Path, settings: Settings) -> KeySigner:
    """The miner's account; a development key only where nobody else can reach its port."""
    _refuse_development(path, settings.miner.host)
    return open_keystore(path, settings.miner.password_file)


def _require(path: Path, setting: str) -> None:
    if not path.is_file():
        raise NotFound(
            f"there is no keystore {path}",
            hint=f"run `twinledger key new {path.stem}`, or set {setting}",
        )


def _refuse_development(path: Path, host: str) -> None:
    if not is_loopback(host) and keystore_info(path).is_development:
        raise Conflict(
            f"{path} is a development key, without a passphrase, and must not be used on {host}",
            hint="make a key with `twinledger key new NAME`, and a real network: docs/network.md",
        )
