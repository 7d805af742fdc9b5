"""`twinledger serve`: the API alone, on the chain, store and database that the settings name."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from registry.chain.deployment import verify_deployment
from registry.config import Home, Settings
from registry.wiring.backends import find_deployment, open_chain
from registry.wiring.gateway import Gateway, open_gateway
from registry.wiring.signers import gateway_signer
from registry.wiring.up import bind, url_of, write_trust


@contextmanager
def gateway_alone(home: Home, settings: Settings) -> Iterator[tuple[Gateway, socket.socket, str]]:
    """Open everything behind the API, follow the chain, and stop it in the end.

    The contracts must be deployed already, and their code is compared with deployment.json before anything
    is served.
    """
    deployment = find_deployment(settings, home)
    signer = gateway_signer(home, settings)
    home.make()
    with ExitStack() as stack:
        listener = stack.enter_context(bind(settings.api.host, settings.api.port))
        link = open_chain(settings, home, deployment)
        stack.callback(link.close)
        verify_deployment(link, deployment)
        gateway = open_gateway(home, settings, link, deployment, signer)
        stack.callback(gateway.close)
        gateway.start()
        write_trust(home, deployment, gateway)
        yield gateway, listener, url_of(settings, listener)
