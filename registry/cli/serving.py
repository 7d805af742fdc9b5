"""Serves the API over one gateway until a signal ends it."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from registry.api import create_app
from registry.config import Home, Settings
from registry.service import Service
from registry.wiring.ending import Ending, ending
from registry.wiring.garbage import leave_out_what_stands
from registry.wiring.up import running

Announce = Callable[[str], None]
SWITCH_S = 0.0005
"""So long a thread keeps the interpreter from the event loop, which needs it after each system call. With
CPython's 5 ms, one request of many short steps takes as long as ten busy turns of a thread."""


def serve_up(home: Home, settings: Settings, announce: Announce) -> None:
    """`twinledger up` until SIGINT or SIGTERM; everything is closed in order."""
    with ending() as asked, running(home, settings) as installation:
        announce(installation.url)
        _serve(installation.gateway.service, settings, installation.listener, asked)


def serve_gateway(home: Home, settings: Settings, announce: Announce) -> None:
    """`twinledger serve`: the API alone on configured backends."""
    from registry.wiring.alone import gateway_alone

    with ending() as asked, gateway_alone(home, settings) as (gateway, listener, url):
        announce(url)
        _serve(gateway.service, settings, listener, asked)


@contextmanager
def in_background(service: Service, settings: Settings, listener: socket.socket) -> Iterator[None]:
    """Serve in a thread of this process, for the demo and for tests."""
    server = _server(service, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="api", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=15)


def _serve(service: Service, settings: Settings, listener: socket.socket, asked: Ending) -> None:
    server = _server(service, settings)

    def stop() -> None:
        server.should_exit = True

    # uvicorn has handlers of its own while it runs and raises the signal again in the end: ours hear it then.
    asked.tell(stop)
    sys.setswitchinterval(SWITCH_S)
    leave_out_what_stands()
    server.run(sockets=[listener])


def _server(service: Service, settings: Settings) -> uvicorn.Server:
    api = settings.api
    config = uvicorn.Config(
        create_app(service, settings),
        log_config=None,
        access_log=False,
        http="httptools",
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=10,
        ssl_certfile=api.tls_certificate_file,
        ssl_keyfile=api.tls_key_file,
    )
    return uvicorn.Server(config)
