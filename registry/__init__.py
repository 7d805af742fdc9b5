"""TwinLedger: a permissioned-blockchain registry for pre-trained digital-twin models of wireless systems.

`Client` is loaded on first use, so that importing a part of the package never pays for the whole.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.sdk import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    if name == "Client":
        from registry.sdk import Client

        return Client
    raise AttributeError(f"module 'registry' has no attribute {name!r}")
