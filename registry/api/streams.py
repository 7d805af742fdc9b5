"""Bytes between the event loop and the threads that hash and write them.

The store works on plain iterators; a bounded queue of large pieces joins the two, so memory stays flat
whichever side is slower.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from registry.api.threads import in_thread, in_upload
from registry.errors import Malformed

PIECE = 1 << 20
_QUEUED = 4
T = TypeVar("T")
BrokeOff = Callable[[str, int], Awaitable[None]]


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

    def cut(self, why: Exception) -> None:
        """End the iterator with an error at once, whatever still waits in it; only the event loop gives."""
        with suppress(queue.Empty):
            while True:
                self._pieces.get_nowait()
        self._pieces.put_nowait(why)

    def close(self) -> None:
        self._closed.set()


async def receive(request: Request, take: Callable[[Iterator[bytes]], T]) -> T:
    """Run `take` in a thread over the body as it arrives; a body cut short raises inside `take`."""
    arriving = _Arriving()
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def work() -> T:
        loop.call_soon_threadsafe(begun.set)
        try:
            return take(iter(arriving))
        finally:
            arriving.close()

    worker = asyncio.ensure_future(in_upload(work))
    try:
        # Until it is this caller's turn its bytes stay in its socket, and cost nothing here.
        await begun.wait()
        await _arrive(request, arriving)
        return await worker
    except asyncio.CancelledError:
        # Else a thread would wait for the rest of a body that nobody reads any more.
        worker.cancel()
        arriving.cut(Malformed("the upload was given up"))
        raise


async def _arrive(request: Request, arriving: _Arriving) -> None:
    """Hand the body over until its end, or until the worker has heard enough."""
    expected = request.headers.get("content-length")
    received = 0
    gathered = bytearray()
    try:
        async for chunk in request.stream():
            received += len(chunk)
            gathered += chunk
            if len(gathered) >= PIECE:
                if not await arriving.give(bytes(gathered)):
                    return
                gathered.clear()
    except ClientDisconnect:
        await arriving.give(Malformed(f"the upload ended after {received} bytes, before it was complete"))
        return
    if gathered:
        await arriving.give(bytes(gathered))
    if expected is not None and received != int(expected):
        await arriving.give(Malformed(f"the upload has {received} bytes, its header says {expected}"))
    await arriving.give(None)


async def send(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read blocking pieces in a thread, one ahead of what the client takes."""
    following = asyncio.ensure_future(in_thread(next, pieces, None))
    try:
        while (piece := await following) is not None:
            following = asyncio.ensure_future(in_thread(next, pieces, None))
            yield piece
    finally:
        # Of a reader that went away: a piece whose turn has not come is not read any more.
        following.cancel()


class WatchedResponse(StreamingResponse):
    """Sends pieces, and says so when they break off: `aborted` by the reader, or `failed` here.

    `broke_off` is told the outcome and how many bytes were handed to the connection: at most so many arrived.
    """

    def __init__(self, pieces: Iterator[bytes], broke_off: BrokeOff, **options: Any) -> None:
        super().__init__(send(pieces), **options)
        self._broke_off = broke_off
        self._sent = 0
        self._is_whole = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            # Counted before: of a piece whose sending is cut short, a part may have left.
            self._sent += len(message.get("body", b""))
            await send(message)
            if message["type"] == "http.response.body":
                self._is_whole = not message.get("more_body", False)

        try:
            await super().__call__(scope, receive, counted)
        except ClientDisconnect:
            await self._broke_off("aborted", self._sent)
            raise
        except Exception:
            await self._broke_off("failed", self._sent)
            raise
        # An older ASGI server tells of a disconnect beside the stream, which then just ends.
        if not self._is_whole:
            await self._broke_off("aborted", self._sent)


class WholeResponse(Response):
    """Sends bytes that are at hand, and says so when their reader hung up before the end."""

    def __init__(self, body: bytes, broke_off: BrokeOff, **options: Any) -> None:
        super().__init__(body, **options)
        self._broke_off = broke_off

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            await send(start)
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            is_gone = await Request(scope, receive).is_disconnected()
            if not is_gone:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError as e:
            await self._broke_off("aborted", len(self.body))
            raise ClientDisconnect from e
        if is_gone:
            await self._broke_off("aborted", len(self.body))


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
