"""Doors: while several callers ask, each has one request at work at a time, in turns.

The event loop serves what arrived first, and a caller with twenty connections always arrived first. Behind
its door a request is at work; outside it waits for its turn. Only work counts: a request steps aside while
its body arrives, when it begins to wait for a seal or to take an upload, and from the first piece of its
answer's body, so a slow peer holds no door.
"""

import asyncio
import time
from collections.abc import Callable
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.api.callers import MONITORED, network_of
from registry.api.turns import Turns

PLACES = 8
_TOGETHER_S = 0.05
"""So long after two callers asked in turn they count as asking at the same time."""


class Doors:
    """The requests at work: `PLACES` of a caller that is alone, one of each where there are several."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._turns = Turns[asyncio.Future[None]](PLACES, PLACES)
        self._clock = clock
        self._latest = ""
        self._shared_until = -_TOGETHER_S
        self._is_shared = False

    async def enter(self, caller: str) -> None:
        """Wait for this caller's turn; `leave` follows."""
        if caller != self._latest:
            self._latest, self._shared_until = caller, self._clock() + _TOGETHER_S
        door: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.ask(caller, door)
        self._open()
        try:
            await door
        except asyncio.CancelledError:
            if not door.cancelled():  # it had been opened
                self.leave(caller)
            raise

    def leave(self, caller: str) -> None:
        """Let the next one in."""
        self._turns.leave(caller)
        self._open()

    def _open(self) -> None:
        is_shared = self._clock() < self._shared_until
        if is_shared != self._is_shared:
            self._is_shared = is_shared
            self._turns.allow(1 if is_shared else PLACES)
        while (turn := self._turns.take()) is not None:
            caller, door = turn
            if door.cancelled():
                self._turns.leave(caller)
            else:
                door.set_result(None)


class _Passage:
    """One request at a door."""

    def __init__(self, doors: Doors, caller: str) -> None:
        self._doors = doors
        self._caller = caller
        self._is_inside = False
        self._is_aside = False

    async def enter(self) -> None:
        if not self._is_aside:
            await self._doors.enter(self._caller)
            self._is_inside = True

    def leave(self) -> None:
        if self._is_inside:
            self._is_inside = False
            self._doors.leave(self._caller)

    def step_aside(self) -> None:
        self._is_aside = True
        self.leave()


_passage: ContextVar[_Passage] = ContextVar("passage")


def step_aside() -> None:
    """This request does no more work that others would have to wait for."""
    passage = _passage.get(None)
    if passage is not None:
        passage.step_aside()


class Doorway:
    """Makes every request but a monitor's enter by its caller's door."""

    def __init__(self, app: ASGIApp, *, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on in its turn."""
        if scope["type"] != "http" or scope["path"] in MONITORED:
            await self._app(scope, receive, send)
            return
        passage = _Passage(self._doors, network_of(scope))
        _passage.set(passage)
        is_arriving = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])

        async def heard() -> Message:
            nonlocal is_arriving
            if not is_arriving:
                return await receive()
            passage.leave()
            message = await receive()
            is_arriving = bool(message.get("more_body", False))
            await passage.enter()
            return message

        async def said(message: Message) -> None:
            if message["type"] == "http.response.body":
                passage.step_aside()
            await send(message)

        await passage.enter()
        try:
            await self._app(scope, heard, said)
        finally:
            passage.step_aside()
