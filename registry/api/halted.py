"""Nothing is served of a chain whose final blocks were replaced, until an operator has looked into it.

What this gateway called final is gone: its answers would be about a chain that is not there. Only a monitor
is told, and why.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from registry.api.callers import MONITORED
from registry.api.exchange import problem_response
from registry.service import Service


class Halted:
    """Refuses with ChainReorganised, in whose hint is what to do."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as long as the chain stands."""
        end = self._service.follower.end
        if end is None or scope["type"] != "http" or scope["path"] in MONITORED:
            await self._app(scope, receive, send)
        else:
            await problem_response(end)(scope, receive, send)
