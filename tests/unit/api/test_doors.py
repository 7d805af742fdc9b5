"""While two callers ask, each has one reading request at work; who gives up leaves its door to the next."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from registry.api.doors import PLACES, Doors, Doorway

App = Callable[[Scope, Receive, Send], Awaitable[None]]
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Street:
    """An application behind doors, whose requests end when they are told to."""

    def __init__(self, act: Callable[["Street", Send], Awaitable[None]]) -> None:
        self.at_work: list[str] = []
        self.most = 0
        self.go = asyncio.Event()
        self._act = act
        self._app = Doorway(self._serve, doors=Doors())

    async def _serve(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.at_work.append(scope["client"][0])
        try:
            await self._act(self, send)
        finally:
            self.at_work.remove(scope["client"][0])

    def ask(self, address: str, method: str = "GET", query: bytes = b"") -> asyncio.Task[None]:
        scope = {"type": "http", "path": "/", "client": (address, 1), "method": method, "query_string": query}
        return asyncio.ensure_future(self._app(scope, _nothing, _unheard))


async def _nothing() -> Message:
    raise AssertionError("doors read nothing")


async def _unheard(_message: Message) -> None:
    return


async def _work(street: Street, _send: Send) -> None:
    await street.go.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_caller_alone_has_every_place() -> None:
    async def run() -> list[str]:
        street = Street(_work)
        asked = [street.ask("10.0.0.1") for _ in range(40)]
        await asyncio.sleep(0.4)  # once it is clear that nobody else asks
        asked.append(street.ask("10.0.0.1"))
        await settle()
        held = list(street.at_work)
        street.go.set()
        await asyncio.gather(*asked)
        return held

    assert asyncio.run(run()) == ["10.0.0.1"] * PLACES


def test_a_quiet_caller_goes_in_beside_one_request_of_a_flood() -> None:
    async def short(street: Street, _send: Send) -> None:
        street.most = max(street.most, street.at_work.count("flood"))
        await asyncio.sleep(0)

    async def run() -> tuple[int, int]:
        street = Street(short)
        served = 0

        async def flooding() -> None:
            nonlocal served
            while not quiet.done():
                await street.ask("flood")
                served += 1

        async def asking() -> None:
            for _ in range(100):
                await street.ask("quiet")

        quiet = asyncio.ensure_future(asking())
        await asyncio.gather(quiet, *(flooding() for _ in range(20)))
        return street.most, served

    most, served = asyncio.run(run())
    assert most == 1
    assert 50 <= served <= 250, "turn by turn: about as many as the quiet caller had"


@pytest.mark.parametrize("how", ["its answer leaves", "it waits for a seal", "it has a body"])
def test_no_door_is_held_while(how: str) -> None:
    async def act(street: Street, send: Send) -> None:
        if how == "its answer leaves":
            await send(START)
        await street.go.wait()

    async def run() -> int:
        street = Street(act)
        method = "POST" if how == "it has a body" else "GET"
        query = b"wait_s=9" if how == "it waits for a seal" else b""
        slow = [street.ask(f"10.0.0.{n % 2}", method, query) for n in range(40)]
        await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        held = len(street.at_work)
        street.go.set()
        await asyncio.gather(*slow)
        return held

    assert asyncio.run(run()) == 40


@pytest.mark.parametrize("ends", ["given up", "broken", "answered and broken"])
def test_however_a_request_ends_the_next_one_is_let_in(ends: str) -> None:
    async def act(street: Street, send: Send) -> None:
        if ends.startswith("answered"):
            await send(START)
        if ends.endswith("broken") and not street.go.is_set():
            raise OSError("broken")
        await street.go.wait()

    async def run() -> None:
        street = Street(act)
        asked = [street.ask(f"10.0.0.{n % 2}") for n in range(40)]
        await settle()
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        street.go.set()
        await asyncio.gather(*(street.ask(f"10.0.0.{n % 3}") for n in range(40)))
        assert street.at_work == []

    asyncio.run(asyncio.wait_for(run(), 30))
