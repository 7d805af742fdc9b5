"""An answer that breaks off is told, with its reason and how far it came."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from registry.api.streams import WatchedResponse
from registry.api.threads import Turnstile, open_threads
from registry.errors import StoreUnavailable

SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}}


def failing() -> Iterator[bytes]:
    yield b"abc"
    raise StoreUnavailable("the disk is gone")


def answered(pieces: Iterator[bytes], *, hangs_up_after: int) -> list[tuple[str, int]]:
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

    response = Turnstile(WatchedResponse(pieces, broke_off), threads=open_threads())
    try:
        asyncio.run(response(SCOPE, receive, send))
    except (ClientDisconnect, StoreUnavailable):
        assert told
    return told


@pytest.mark.parametrize(
    ("pieces", "hangs_up_after", "told"),
    [
        (lambda: iter([b"abc", b"de"]), 9, []),
        (lambda: iter([b"abc", b"de"]), 1, [("aborted", 5)]),
        (failing, 9, [("failed", 3)]),
    ],
)
def test_only_an_answer_that_broke_off_is_told(pieces, hangs_up_after, told) -> None:
    assert answered(pieces(), hangs_up_after=hangs_up_after) == told
