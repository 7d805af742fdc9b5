"""The configuration file of one validator. Paths are those inside its container; see compose.py."""

import json

from registry.network.allowlist import FILE_NAME
from registry.network.genesis import GAS_LIMIT

MOUNT = "/network"
DATA, VALIDATOR = f"{MOUNT}/data", f"{MOUNT}/validator"
P2P_PORT, RPC_PORT, WS_PORT = 30303, 8545, 8546
# One log of a full batch is small, but 200 of them arrive in one frame.
WS_FRAME_BYTES = 16 * 2**20
APIS = ["ETH", "NET", "WEB3", "QBFT", "TXPOOL"]


def config(*, name: str, host: str) -> str:
    """Every option in Besu's TOML form, name = JSON value, which is TOML for strings, numbers and lists."""
    options: dict[str, object] = {
        "identity": name,
        "data-path": DATA,
        "genesis-file": f"{MOUNT}/genesis.json",
        "static-nodes-file": f"{MOUNT}/static-nodes.json",
        "profile": "ENTERPRISE",
        "sync-mode": "FULL",
        # Peers come from static-nodes.json alone, and only those on the list are spoken to.
        "discovery-enabled": False,
        "nat-method": "NONE",
        "p2p-host": host,
        "p2p-port": P2P_PORT,
        "permissions-nodes-config-file-enabled": True,
        "permissions-nodes-config-file": f"{VALIDATOR}/{FILE_NAME}",
        "permissions-accounts-config-file-enabled": True,
        "permissions-accounts-config-file": f"{VALIDATOR}/{FILE_NAME}",
        # A node with a higher minimum drops transactions without a price and says nothing.
        "min-gas-price": 0,
        "target-gas-limit": GAS_LIMIT,
        "strict-tx-replay-protection-enabled": True,
        "rpc-http-enabled": True,
        "rpc-http-host": "0.0.0.0",  # noqa: S104 (the container's own address; compose publishes it on loopback)
        "rpc-http-port": RPC_PORT,
        "rpc-http-api": APIS,
        "rpc-ws-enabled": True,
        "rpc-ws-host": "0.0.0.0",  # noqa: S104 (likewise)
        "rpc-ws-port": WS_PORT,
        "rpc-ws-api": APIS,
        "rpc-ws-max-frame-size": WS_FRAME_BYTES,
        "host-allowlist": ["localhost", "127.0.0.1", name],
    }
    return "".join(f"{key}={json.dumps(value)}\n" for key, value in options.items())
