"""Gives every request an id, which its answer and every line about it bear.

A caller may give its own in X-Request-Id, to follow one act through several services.
"""

import logging
import re
import secrets
import time
from itertools import count

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.wiring.diagnostics import request_id

HEADER = "x-request-id"
_NAME = HEADER.encode()
# Different for each request, also after a restart; nobody need be unable to guess it.
_PROCESS, _numbers = secrets.token_hex(4), count()
_log = logging.getLogger("registry.requests")
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Trace:
    """Outermost of the middlewares: what any other one says or answers is traced too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id, and say how it ended."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        own = given if _GIVEN.fullmatch(given) else f"{_PROCESS}{next(_numbers):08x}"
        token = request_id.set(own)
        began = time.monotonic()
        status = 0

        async def traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_NAME, own.encode())]
            await send(message)

        try:
            await self._app(scope, receive, traced)
        finally:
            # Without the query: a filter may name whom somebody investigates.
            _log.info(
                "%s %s %d",
                scope["method"],
                scope["path"],
                status,
                extra={"status": status, "milliseconds": round((time.monotonic() - began) * 1000)},
            )
            request_id.reset(token)
