"""While two callers ask, each has one request at work; who waits for a peer or for a seal holds no door."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from registry.api.doors import PLACES, Doors, Doorway, step_aside

BODY = [(b"content-length", b"3")]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Street:
    """An application behind doors, whose requests end when they are told to."""

    def __init__(self, act: Callable[["Street", Receive, Send], Awaitable[None]]) -> None:
        self.at_work: list[str] = []
        self.most = 0
        self.go = asyncio.Event()
        self.doors = Doors()
        self._act = act
        self._app = Doorway(self._serve, doors=self.doors)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.at_work.append(scope["client"][0])
        try:
            await self._act(self, receive, send)
        finally:
            self.at_work.remove(scope["client"][0])

    def ask(self, address: str, receive: Receive | None = None) -> asyncio.Task[None]:
        scope = {"type": "http", "path": "/", "client": (address, 1), "headers": BODY if receive else []}
        return asyncio.ensure_future(self._app(scope, receive or _nothing, _unheard))


async def _nothing() -> Message:
    raise AssertionError("this request has no body")


async def _unheard(_message: Message) -> None:
    return


async def _work(street: Street, _receive: Receive, _send: Send) -> None:
    await street.go.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_caller_alone_has_every_place() -> None:
    async def run() -> list[str]:
        street = Street(_work)
        asked = [street.ask("10.0.0.1") for _ in range(20)]
        await asyncio.sleep(0.1)  # once it is clear that nobody else asks
        asked.append(street.ask("10.0.0.1"))
        await settle()
        held = list(street.at_work)
        street.go.set()
        await asyncio.gather(*asked)
        return held

    assert asyncio.run(run()) == ["10.0.0.1"] * PLACES


def test_a_quiet_caller_goes_in_beside_one_request_of_a_flood() -> None:
    async def short(street: Street, _receive: Receive, _send: Send) -> None:
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


@pytest.mark.parametrize("how", ["its body arrives", "it waits", "its answer leaves"])
def test_no_door_is_held_while(how: str) -> None:
    async def act(street: Street, receive: Receive, send: Send) -> None:
        if how == "its body arrives":
            await receive()
        elif how == "it waits":
            step_aside()
            await street.go.wait()
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await street.go.wait()

    async def run() -> int:
        street = Street(act)

        async def slowly() -> Message:
            await street.go.wait()
            return {"type": "http.request", "body": b"abc", "more_body": False}

        slow = [street.ask(f"10.0.0.{n % 2}", slowly) for n in range(40)]
        await settle()
        held = len(street.at_work)
        street.go.set()
        await asyncio.gather(*slow)
        assert street.at_work == []
        return held

    assert asyncio.run(run()) == 40


def test_who_gives_up_outside_or_inside_leaves_the_door_to_the_next() -> None:
    async def run() -> None:
        street = Street(_work)
        asked = [street.ask(f"10.0.0.{n % 2}") for n in range(40)]
        await settle()
        assert len(street.at_work) == 2
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        street.go.set()
        await asyncio.gather(*(street.ask(f"10.0.0.{n % 3}") for n in range(40)))

    asyncio.run(asyncio.wait_for(run(), 30))
