"""Half a request never stands in the way of the next one: its connection is not asked again."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from registry.errors import StoreUnavailable, Unavailable
from registry.sdk.http import Http

PROBLEM = json.dumps(
    {
        "type": "urn:twinledger:error:store_unavailable",
        "title": "The store",
        "status": 503,
        "detail": "the disk is full",
        "code": "store_unavailable",
        "hint": "free disk space",
        "retryable": True,
    }
).encode()


def _serve(connection: socket.socket) -> None:
    """Refuses a PUT at its first bytes and takes what follows for its body; answers a GET."""
    with closing(connection), suppress(OSError):
        head = connection.recv(65_536)
        if head.startswith(b"GET"):
            connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{"a":1}')
        else:
            size = str(len(PROBLEM)).encode()
            connection.sendall(b"HTTP/1.1 503 No\r\ncontent-length: " + size + b"\r\n\r\n" + PROBLEM)
            connection.shutdown(socket.SHUT_RD)
        while connection.recv(65_536):
            pass
        threading.Event().wait(2)


@pytest.fixture
def client() -> Iterator[Http]:
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=_serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    made = Http(f"http://127.0.0.1:{listener.getsockname()[1]}", signer=None, cell=None, timeout_s=30)
    with closing(listener), closing(made):
        yield made


def test_after_an_upload_that_was_refused_early_the_next_request_is_answered(client: Http) -> None:
    with pytest.raises((StoreUnavailable, Unavailable)):
        client.upload("/v1/content/x", (bytes(1 << 20) for _ in range(64)), size=64 << 20)
    assert client.get("/v1/menu") == {"a": 1}


def test_a_body_that_cannot_be_read_on_leaves_nothing_behind(client: Http) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(1024)
        raise StoreUnavailable("the file went away")

    with pytest.raises(StoreUnavailable, match="went away"):
        client.upload("/v1/content/x", pieces(), size=1 << 20)
    assert client.get("/v1/menu") == {"a": 1}
