"""What every answer carries, whatever route gave it: a browser that meets it may neither run nor frame it.

Plain ASGI, because it stands in the way of streams of gigabytes. No origin is ever allowed by CORS: a page
of another site can neither read what a member may read nor send what only JSON routes take.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
SEALED = "default-src 'none'; frame-ancestors 'none'"
# The page of the API's documentation is the only one that runs scripts.
_PAGE, _PAGE_POLICY = "/docs", "frame-ancestors 'none'"
_TLS = "max-age=31536000"


class Guard:
    """Adds the security headers; answers to signed requests stay out of shared caches."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app = app
        always = HEADERS | ({"strict-transport-security": _TLS} if tls else {})
        self._always = [(name.encode(), value.encode()) for name, value in always.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back with its headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        signed = any(name == b"authorization" for name, _ in scope["headers"])

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = _PAGE_POLICY if scope["path"] == _PAGE else SEALED
                message["headers"] += [*self._always, (b"content-security-policy", policy.encode())]
                if signed:
                    MutableHeaders(scope=message)["cache-control"] = "private, no-store"
            await send(message)

        await self._app(scope, receive, guarded)
