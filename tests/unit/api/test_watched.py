"""An answer that breaks off is told, with its reason and how far it came."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from registry.api.streams import BrokeOff, WatchedResponse, WholeResponse
from registry.api.threads import Turnstile, open_threads
from registry.errors import StoreUnavailable

SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}}


def failing() -> Iterator[bytes]:
    yield b"abc"
    raise StoreUnavailable("the disk is gone")


def watched(pieces: Iterator[bytes], broke_off: BrokeOff) -> Turnstile:
    return Turnstile(WatchedResponse(pieces, broke_off), threads=open_threads())


def whole(pieces: Iterator[bytes], broke_off: BrokeOff) -> WholeResponse:
    return WholeResponse(b"".join(pieces), broke_off)


def answered(make: Any, pieces: Iterator[bytes], *, hangs_up_after: int) -> list[tuple[str, int]]:
    told = []

    async def broke_off(outcome: str, sent: int) -> None:
        told.append((outcome, sent))

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    bodies = 0

    async def send(message: dict[str, Any]) -> None:
        nonlocal bodies
        bodies += message["type"] == "http.response.body"
        if bodies > hangs_up_after:
            raise OSError("broken pipe")

    try:
        asyncio.run(make(pieces, broke_off)(SCOPE, receive, send))
    except (ClientDisconnect, StoreUnavailable):
        assert told
    return told


@pytest.mark.parametrize(
    ("make", "pieces", "hangs_up_after", "told"),
    [
        (watched, lambda: iter([b"abc", b"de"]), 9, []),
        (watched, lambda: iter([b"abc", b"de"]), 1, [("aborted", 5)]),
        (watched, failing, 9, [("failed", 3)]),
        (whole, lambda: iter([b"abc", b"de"]), 9, []),
        (whole, lambda: iter([b"abc", b"de"]), 0, [("aborted", 5)]),
    ],
)
def test_only_an_answer_that_broke_off_is_told(make, pieces, hangs_up_after, told) -> None:
    assert answered(make, pieces(), hangs_up_after=hangs_up_after) == told


def test_a_reader_that_went_away_before_the_end_is_told_of() -> None:
    told, sent = [], []

    async def broke_off(outcome: str, size: int) -> None:
        told.append((outcome, size))

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(WholeResponse(b"abc", broke_off)(SCOPE, receive, send))
    assert told == [("aborted", 3)]
    assert not any(message["type"] == "http.response.body" and not message["more_body"] for message in sent)
