"""Settings and the home folder: one TOML file and `TWINLEDGER_*`, read into frozen dataclasses."""

from registry.config.home import Home, resolve_home
from registry.config.load import Loaded, load_settings, read_secret
from registry.config.model import (
    Access,
    Api,
    EmbeddedChain,
    EmbeddedStore,
    Fees,
    Gateway,
    KuboStore,
    Limits,
    Log,
    Miner,
    Postgresql,
    Quotas,
    RpcChain,
    Settings,
    Sqlite,
    Storage,
    is_loopback,
)
from registry.config.table import SETTINGS, Setting, settings_page, value_in

__all__ = [
    "SETTINGS",
    "Access",
    "Api",
    "EmbeddedChain",
    "EmbeddedStore",
    "Fees",
    "Gateway",
    "Home",
    "KuboStore",
    "Limits",
    "Loaded",
    "Log",
    "Miner",
    "Postgresql",
    "Quotas",
    "RpcChain",
    "Setting",
    "Settings",
    "Sqlite",
    "Storage",
    "is_loopback",
    "load_settings",
    "read_secret",
    "resolve_home",
    "settings_page",
    "value_in",
]
