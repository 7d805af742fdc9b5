"""Bytes between the event loop and the threads that hash and write them.

The store works on plain iterators; a bounded queue of large pieces joins the two, so memory stays flat
whichever side is slower.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from registry.errors import Malformed

PIECE = 1 << 20
_QUEUED = 4
T = TypeVar("T")


class _Arriving:
    """The body of a request as a plain iterator for one worker thread."""

    def __init__(self) -> None:
        self._pieces: queue.Queue[bytes | Exception | None] = queue.Queue(_QUEUED)
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self._pieces.get()
            if piece is None:
                return
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def give(self, piece: bytes | Exception | None) -> bool:
        """Hand a piece over; False once the worker has stopped listening."""
        while not self._closed.is_set():
            try:
                self._pieces.put_nowait(piece)
            except queue.Full:
                await asyncio.sleep(0.001)
            else:
                return True
        return False

    def close(self) -> None:
        self._closed.set()


async def receive(request: Request, take: Callable[[Iterator[bytes]], T]) -> T:
    """Run `take` in a thread over the body as it arrives; a body cut short raises inside `take`."""
    arriving = _Arriving()

    def work() -> T:
        try:
            return take(iter(arriving))
        finally:
            arriving.close()

    worker = asyncio.get_running_loop().run_in_executor(None, work)
    expected = request.headers.get("content-length")
    received = 0
    gathered = bytearray()
    try:
        async for chunk in request.stream():
            received += len(chunk)
            gathered += chunk
            if len(gathered) >= PIECE:
                if not await arriving.give(bytes(gathered)):
                    return await worker
                gathered.clear()
    except ClientDisconnect:
        await arriving.give(Malformed(f"the upload ended after {received} bytes, before it was complete"))
        return await worker
    if gathered:
        await arriving.give(bytes(gathered))
    if expected is not None and received != int(expected):
        await arriving.give(Malformed(f"the upload has {received} bytes, its header says {expected}"))
    await arriving.give(None)
    return await worker


async def send(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read blocking pieces in a thread, one ahead of what the client takes."""
    loop = asyncio.get_running_loop()
    following = loop.run_in_executor(None, next, pieces, None)
    while True:
        piece = await following
        if piece is None:
            return
        following = loop.run_in_executor(None, next, pieces, None)
        yield piece


def gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about a MiB: each piece costs a turn of the event loop."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
