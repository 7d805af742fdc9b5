"""Doors: while several callers ask, each has one reading request at work at a time, in turns.

The event loop serves what arrived first, and a caller with twenty connections always arrived first. Behind
its door a request is at work; outside it waits for its turn. A request is inside from its arrival until its
answer begins, so a slow reader holds no door. What has a body or waits for a seal passes beside the doors:
its work is done in threads, which have turns of their own.
"""

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.api.callers import MONITORED, network_of
from registry.api.turns import Turns

PLACES = 16
_TOGETHER_S = 0.25
"""So long after two callers asked one after the other they count as asking at the same time."""


class Doors:
    """The requests at work: `PLACES` of a caller that is alone, one of each where there are several."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._turns = Turns[asyncio.Future[None]](PLACES, PLACES)
        self._clock = clock
        self._latest = ""
        self._shared_until = 0.0

    async def enter(self, caller: str) -> None:
        """Wait for this caller's turn; who came in must `leave`, whatever happens inside."""
        if caller != self._latest:
            self._latest, self._shared_until = caller, self._clock() + _TOGETHER_S
        door: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.ask(caller, door)
        self._open()
        try:
            await door
        except BaseException:
            # Given up before it was opened it holds no place: `_open` passes it over.
            if not door.cancelled():
                self.leave(caller)
            raise

    def leave(self, caller: str) -> None:
        """Go out, and let the next one in."""
        self._turns.leave(caller)
        self._open()

    def _open(self) -> None:
        self._turns.allow(1 if self._clock() < self._shared_until else PLACES)
        while (turn := self._turns.take()) is not None:
            caller, door = turn
            if door.cancelled():
                self._turns.leave(caller)
            else:
                door.set_result(None)


class Doorway:
    """Makes every request that only reads enter by its caller's door."""

    def __init__(self, app: ASGIApp, *, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its turn."""
        if not _only_reads(scope):
            await self._app(scope, receive, send)
            return
        caller = network_of(scope)
        await self._doors.enter(caller)
        is_inside = True

        def leave() -> None:
            nonlocal is_inside
            if is_inside:
                is_inside = False
                self._doors.leave(caller)

        async def said(message: Message) -> None:
            leave()
            await send(message)

        try:
            await self._app(scope, receive, said)
        finally:
            leave()


def _only_reads(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and scope["path"] not in MONITORED
        and b"wait" not in scope["query_string"]
    )
