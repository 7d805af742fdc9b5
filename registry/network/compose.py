"""How the validators run in containers: compose.yaml, a Dockerfile and the script a container starts with.

compose.yaml is written as JSON, which YAML includes: a strict parser then reads back exactly what was meant.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from registry.network.node import DATA, MOUNT, RPC_PORT, VALIDATOR, WS_PORT

SUBNET = "10.77.0"
FIRST_HOST = 11
PORT_STEP = 10
MOST_VALIDATORS = 200

DOCKERFILE = """\
# Besu, and the one program that opens a keystore.
ARG BESU_VERSION=26.3.0
FROM hyperledger/besu:${BESU_VERSION}
USER root
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
# A wheel of twinledger, laid beside this file: `uv build --wheel`.
COPY twinledger-*.whl /tmp/
RUN python3 -m venv /opt/twinledger && /opt/twinledger/bin/pip install --no-cache-dir /tmp/twinledger-*.whl
COPY --chmod=755 start-validator /usr/local/bin/start-validator
ENTRYPOINT ["start-validator"]
"""

START = f"""\
#!/bin/sh
# Root reads the secrets and prepares the volume; Besu runs as `besu`. The bare key lies in memory only.
set -eu
key=/run/key/node
/opt/twinledger/bin/python -m registry.network.unlock {VALIDATOR}/keystore.json /run/secrets/password "$key"
chown besu "$key" {DATA}
exec setpriv --reuid=besu --regid=besu --init-groups \\
    besu --config-file={VALIDATOR}/config.toml --node-private-key-file="$key"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a validator is found: on the containers' network, and on the host's loopback."""

    index: int

    @property
    def name(self) -> str:
        return f"validator-{self.index}"

    @property
    def host(self) -> str:
        return f"{SUBNET}.{FIRST_HOST + self.index - 1}"

    @property
    def rpc_port(self) -> int:
        return RPC_PORT + PORT_STEP * (self.index - 1)

    @property
    def ws_port(self) -> int:
        return WS_PORT + PORT_STEP * (self.index - 1)


def compose(places: Sequence[Place]) -> str:
    """The compose file of all validators."""
    document = {
        "name": "twinledger-network",
        "services": {place.name: service(place) for place in places},
        "networks": {"validators": {"ipam": {"config": [{"subnet": f"{SUBNET}.0/24"}]}}},
        "volumes": {f"{place.name}-data": {} for place in places},
        "secrets": {
            f"{place.name}-password": {"file": f"./secrets/{place.name}.password"} for place in places
        },
    }
    return json.dumps(document, indent=2) + "\n"


def service(place: Place) -> dict[str, object]:
    """One validator: its files read-only, its data in a volume, its key in memory, its RPC on loopback.

    The validator's folder is mounted whole: a mount of one file would show the old one after a rename.
    """
    mounts = [f"./{name}:{MOUNT}/{name}:ro" for name in ("genesis.json", "static-nodes.json")]
    mounts += [f"./validators/{place.name}:{VALIDATOR}:ro", f"{place.name}-data:{DATA}"]
    return {
        "build": ".",
        "image": "twinledger-validator",
        "restart": "unless-stopped",
        "tmpfs": ["/run/key:mode=0711"],
        "secrets": [{"source": f"{place.name}-password", "target": "password"}],
        "volumes": mounts,
        "networks": {"validators": {"ipv4_address": place.host}},
        "ports": [f"127.0.0.1:{place.rpc_port}:{RPC_PORT}", f"127.0.0.1:{place.ws_port}:{WS_PORT}"],
    }
