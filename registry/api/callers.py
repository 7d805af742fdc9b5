"""Who asks, before anything is known but where from."""

import ipaddress
from functools import lru_cache

from starlette.types import Scope

MONITORED = frozenset({"/healthz", "/readyz", "/metrics"})
"""What a monitor asks must be answered above all when too much is asked."""


def network_of(scope: Scope) -> str:
    """The address asked from; of IPv6 the subnet, because one machine has all of its addresses."""
    return _network(str((scope.get("client") or ("unknown", 0))[0]))


@lru_cache(maxsize=16_384)
def _network(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
