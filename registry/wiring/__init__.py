"""The only place that names concrete backends; each is imported when the settings ask for it."""

from registry.wiring.backends import Databases, open_chain, open_databases, open_store
from registry.wiring.consortium import Keys, create_consortium
from registry.wiring.gateway import Gateway, open_gateway

__all__ = [
    "Databases",
    "Gateway",
    "Keys",
    "create_consortium",
    "open_chain",
    "open_databases",
    "open_gateway",
    "open_store",
]
