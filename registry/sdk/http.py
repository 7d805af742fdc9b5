"""HTTP for the client: one kept-alive connection per thread, streaming, errors re-raised as their class.

http.client with 1 MiB reads moves bytes three times as fast as the comfortable libraries do.
"""

import http.client
import json
import secrets
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from registry.core.access import authorize, body_digest
from registry.core.signing import Signer
from registry.core.version import Domain
from registry.errors import Malformed, RegistryError, Unavailable

PIECE = 1 << 20
OCTETS = "application/octet-stream"
_ATTEMPTS = 3
_ADDRESS = "write it like http://127.0.0.1:8420"


def error_classes() -> dict[str, type[RegistryError]]:
    """Every class of the tree by its wire code."""
    found: dict[str, type[RegistryError]] = {}
    todo: list[type[RegistryError]] = [RegistryError]
    while todo:
        kind = todo.pop()
        found[kind.code] = kind
        todo.extend(kind.__subclasses__())
    return found


class Http:
    """Sends requests to one gateway, signed when a signer is given."""

    def __init__(self, url: str, *, signer: Signer | None, cell: str | None, timeout_s: float = 120) -> None:
        parts = _service(url)
        self.url = url.rstrip("/")
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port
        self._secure = parts.scheme == "https"
        self._timeout_s = timeout_s
        self._signer = signer
        self._cell = cell or ""
        self._local = threading.local()
        # A client that is dropped without close() leaves no open socket behind.
        self._opened: set[http.client.HTTPConnection] = set()
        self._closing = weakref.finalize(self, _close_all, self._opened)
        self.domain: Domain | None = None

    def close(self) -> None:
        """Close every connection, of whichever thread."""
        self._closing()

    def release(self) -> None:
        """Close the connection of this thread, which will ask no more."""
        self._drop()

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """The JSON answer of a GET."""
        return self._json("GET", _target(path, query), b"", {})

    def items(self, path: str, query: Mapping[str, object] | None = None) -> Iterator[Any]:
        """The items of a list, page by page, from the query's cursor on."""
        asked = dict(query or {})
        while True:
            page = self.get(path, asked)
            yield from page["items"]
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    def post(self, path: str, body: object) -> Any:
        """The JSON answer of a POST."""
        raw = json.dumps(body, separators=(",", ":")).encode()
        return self._json("POST", path, raw, {"content-type": "application/json"})

    def post_bytes(self, path: str, body: object) -> bytes:
        """The raw bytes that a POST answers."""
        raw = json.dumps(body, separators=(",", ":")).encode()
        with self._exchange("POST", path, raw, {"content-type": "application/json"}) as response:
            answer = response.read()
            if response.status >= 300:
                _raise_problem(response.status, answer)
            return answer

    def put(self, path: str, body: bytes, kind: str) -> Any:
        """The JSON answer of a PUT whose body is whole in memory."""
        return self._json("PUT", path, body, {"content-type": kind})

    def head(self, path: str) -> bool:
        """Whether the path is there."""
        with self._exchange("HEAD", path, b"", {}) as response:
            response.read()
            if response.status not in (200, 404):
                _raise_problem(response.status, b"")
            return response.status == 200

    def upload(self, path: str, pieces: Iterable[bytes], *, size: int, kind: str = OCTETS) -> Any:
        """PUT a stream of known length; sent once, because a stream cannot be rewound."""
        # On a kept connection it could find out too late that the gateway had closed it.
        self._drop()
        headers = {"content-length": str(size), "content-type": kind}
        with self._exchange("PUT", path, pieces, headers) as response:
            return _answer(response)

    @contextmanager
    def stream(self, path: str, *, offset: int = 0) -> Iterator[http.client.HTTPResponse]:
        """The response of a GET whose body the caller reads."""
        headers = {"range": f"bytes={offset}-"} if offset else {}
        with self._exchange("GET", path, b"", headers) as response:
            if response.status not in (200, 206):
                _raise_problem(response.status, response.read())
            yield response

    def _json(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Any:
        with self._exchange(method, target, body, headers) as response:
            return _answer(response)

    @contextmanager
    def _exchange(
        self, method: str, target: str, body: bytes | Iterable[bytes], headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        response = self._send(method, target, body, headers)
        finished = False
        try:
            yield response
            finished = True
        except (OSError, http.client.HTTPException) as e:
            raise Unavailable(f"{self.url} broke off while answering {method} {target}: {e}") from e
        finally:
            if not finished or not response.isclosed() or self._local.owes_a_body:
                self._drop()

    def _send(
        self, method: str, target: str, body: bytes | Iterable[bytes], headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        # A stream cannot be rewound; everything else may be repeated: GETs change nothing, and a
        # POST carries an Idempotency-Key.
        attempts = _ATTEMPTS if isinstance(body, bytes) else 1
        if method == "POST":
            headers = {**headers, "idempotency-key": secrets.token_hex(16)}
        for attempt in range(1, attempts + 1):
            connection = self._connection()
            try:
                connection.request(
                    method, target, body=body, headers={**headers, **self._signed(method, target, body)}
                )
                return connection.getresponse()
            except (OSError, http.client.HTTPException) as e:
                answer = _early_answer(connection) if isinstance(e, OSError) else None
                if answer is not None:
                    # The rest of the body is owed on this connection: nothing more may be asked on it.
                    self._local.owes_a_body = True
                    return answer
                self._drop()
                if attempt == attempts:
                    raise Unavailable(
                        f"{self.url} does not answer: {e}", hint="start the service with `twinledger up`"
                    ) from e
                time.sleep(0.1 * (attempt - 1))
            except BaseException:
                # A body that cannot be read on leaves half a request behind.
                self._drop()
                raise
        raise AssertionError("unreachable")

    def _signed(self, method: str, target: str, body: bytes | Iterable[bytes]) -> dict[str, str]:
        if self._signer is None or self.domain is None:
            return {}
        header = authorize(
            self._signer,
            self.domain,
            method=method,
            target=target,
            body_sha256=body_digest(method, target, body if isinstance(body, bytes) else b""),
            created=int(time.time()),
            nonce=secrets.token_bytes(32),
            cell=self._cell,
        )
        return {"authorization": header}

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = kind(self._host, self._port, timeout=self._timeout_s, blocksize=PIECE)
            self._local.connection, self._local.owes_a_body = connection, False
            self._opened.add(connection)
        return connection

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._opened.discard(connection)
            self._local.connection = None


def _close_all(connections: set[http.client.HTTPConnection]) -> None:
    for connection in list(connections):
        connection.close()


def _service(url: str) -> SplitResult:
    """The parts of a service's address; Malformed for anything but scheme, host and port."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as e:
        raise Malformed(f"the address {url!r} cannot be read: {e}", hint=_ADDRESS) from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Malformed(f"{url!r} is no http:// or https:// address", hint=_ADDRESS)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise Malformed(f"the address {url!r} goes on behind host and port", hint=_ADDRESS)
    return parts


def _target(path: str, query: Mapping[str, object] | None) -> str:
    asked = {key: value for key, value in (query or {}).items() if value is not None}
    return path + ("?" + urlencode(asked, doseq=True) if asked else "")


def _early_answer(connection: http.client.HTTPConnection) -> http.client.HTTPResponse | None:
    """A server that refuses an upload answers before it has read it all: look for that answer."""
    if connection.sock is None:
        return None  # nobody was reached
    try:
        return connection.getresponse()
    except (OSError, http.client.HTTPException):
        return None


def _answer(response: http.client.HTTPResponse) -> Any:
    raw = response.read()
    if response.status >= 300:
        _raise_problem(response.status, raw)
    return json.loads(raw) if raw else None


def problem_error(problem: Mapping[str, Any]) -> RegistryError:
    """The error that an RFC 9457 problem stands for."""
    kind = error_classes()[problem["code"]]
    return kind(str(problem["detail"]), hint=problem.get("hint"))


def _raise_problem(status: int, raw: bytes) -> None:
    try:
        error = problem_error(json.loads(raw))
    except (ValueError, KeyError, TypeError) as e:
        raise Unavailable(f"the gateway answered {status} without a problem document") from e
    raise error
