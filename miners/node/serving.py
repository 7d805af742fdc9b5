"""What a miner shows to everybody: its content by CID, as a trustless gateway, on a port of its own.

    GET /ipfs/{cid}?format=raw    one block         GET /ipfs/{cid}?format=car    the whole DAG

Auditors fetch leaves here, gateways fetch what they lack. The CID proves the bytes, so nobody is asked who
he is.
"""

import logging
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from registry.core.cid import Cid
from registry.errors import Malformed, NotFound, RegistryError
from registry.storage.base import ContentStore

_log = logging.getLogger("miners")
_PATH = re.compile(r"/ipfs/([a-z0-9]+)")
_CAR, _RAW = "application/vnd.ipld.car", "application/vnd.ipld.raw"


class ContentServer:
    """Serves a store's blocks and DAGs on a listening socket until it is closed."""

    def __init__(self, store: ContentStore, listener: socket.socket) -> None:
        handler = type("_Handler", (_Handler,), {"store": store})
        host, port = listener.getsockname()[:2]
        self._server = ThreadingHTTPServer((host, port), handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="ipfs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop taking requests."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)


class _Handler(BaseHTTPRequestHandler):
    store: ClassVar[ContentStore]
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Otherwise a body waits for the acknowledgement of its head, which a client delays by 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        try:
            cid, shape = self._asked()
            if shape == "raw":
                self._whole(self.store.block(cid), cid)
            else:
                self._stream(self.store.export(cid), cid)
        except RegistryError as e:
            self._refuse(e)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _asked(self) -> tuple[Cid, str]:
        parts = urlsplit(self.path)
        match = _PATH.fullmatch(parts.path)
        if match is None:
            raise NotFound(f"there is no {parts.path} here, only /ipfs/CID")
        accepted = _RAW if _RAW in self.headers.get("accept", "") else _CAR
        shape = parse_qs(parts.query).get("format", ["raw" if accepted == _RAW else "car"])[0]
        if shape not in ("raw", "car"):
            raise Malformed(f"format is {shape!r}, not raw or car")
        return Cid.parse(match[1]), shape

    def _whole(self, block: bytes, cid: Cid) -> None:
        self._head(200, _RAW, cid, ("content-length", str(len(block))))
        self.wfile.write(block)

    def _stream(self, pieces: Iterator[bytes], cid: Cid) -> None:
        # The first piece is read before the status is sent: what is not held is a 404, not half an answer.
        piece = next(pieces, b"")
        self._head(200, f"{_CAR}; version=1", cid, ("connection", "close"))
        self.close_connection = True
        try:
            while piece:
                self.wfile.write(piece)
                piece = next(pieces, b"")
        except RegistryError as e:
            # The client sees a CAR that ends early, whose blocks do not make up the root.
            _log.warning("/ipfs/%s broke off: %s", cid, e)

    def _head(self, status: int, kind: str, cid: Cid, extra: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("etag", f'"{cid}"')
        self.send_header(*extra)
        self.end_headers()

    def _refuse(self, error: RegistryError) -> None:
        body = f"{error.message}\n".encode()
        self.send_response(error.status)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""
        _log.debug(format, *args)
