"""Threads for what blocks, in fair turns among callers, so that a flood of one is not everybody's wait.

Three kinds of work have places of their own, because one kind held would stop the others: *short* work (one
call, or one piece of a download: between two pieces a slow reader holds nothing), *waits* for a seal, and
*uploads*, which last as long as their sender takes.

A caller is the network address asked from; once a signature verified, the member that signed. A signer who
is no member stays with its address: keys cost nothing, and a thousand of them would be a thousand turns.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from registry.api.callers import network_of
from registry.api.turns import Turns

T = TypeVar("T")
_Job = tuple["Future[Any]", Callable[[], Any]]


class Places:
    """So many threads for all, at most `each` of them for one caller at a time."""

    def __init__(self, places: int, each: int, name: str) -> None:
        self._turns = Turns[_Job](places, each)
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(places, thread_name_prefix=name)

    def submit(self, caller: str, work: Callable[[], T]) -> "Future[T]":
        """Run `work` when it is the caller's turn; cancelled before, it never runs and holds no place."""
        result: Future[T] = Future()
        with self._lock:
            self._turns.ask(caller, (result, work))
            turn = self._turns.take()
        if turn is not None:
            self._threads.submit(self._serve, *turn)
        return result

    def _serve(self, caller: str, job: _Job) -> None:
        turn: tuple[str, _Job] | None = (caller, job)
        while turn is not None:
            caller, job = turn
            _finish(*job)
            # One place less held lets at most one more in: this thread serves that one.
            with self._lock:
                self._turns.leave(caller)
                turn = self._turns.take()


def _finish(result: "Future[T]", work: Callable[[], T]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        value = work()
    except StopIteration as e:
        # asyncio's futures do not take one: who awaits it would wait for ever.
        result.set_exception(RuntimeError(f"StopIteration left {work}").with_traceback(e.__traceback__))
    except BaseException as e:
        # It belongs to who awaits the result, not to this thread.
        result.set_exception(e)
    else:
        result.set_result(value)


@dataclass(frozen=True, slots=True)
class Threads:
    """The places of one application."""

    short: Places
    waits: Places
    uploads: Places


def open_threads() -> Threads:
    """Few of what keeps a core busy: each caller's threads share the interpreter with everybody else's."""
    return Threads(
        short=Places(16, 4, "short"), waits=Places(128, 32, "wait"), uploads=Places(32, 8, "upload")
    )


@dataclass(frozen=True, slots=True)
class _Asking:
    threads: Threads
    caller: str


_asking: ContextVar[_Asking] = ContextVar("asking")


class Turnstile:
    """Makes every request ask for threads under its network address."""

    def __init__(self, app: ASGIApp, *, threads: Threads) -> None:
        self._app = app
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            _asking.set(_Asking(self._threads, network_of(scope)))
        await self._app(scope, receive, send)


def asking_as(member: str) -> None:
    """From here on this request takes the turns of a member."""
    _asking.set(replace(_asking.get(), caller=member))


async def in_thread(work: Callable[..., T], *args: object) -> T:
    """Run what blocks for a moment beside the event loop, in this caller's turn."""
    return await _run(_asking.get().threads.short, work, *args)


async def in_waiting(work: Callable[..., T], *args: object) -> T:
    """The same for what does little but wait."""
    return await _run(_asking.get().threads.waits, work, *args)


async def in_upload(work: Callable[..., T], *args: object) -> T:
    """The same for what reads a body while it arrives."""
    return await _run(_asking.get().threads.uploads, work, *args)


async def _run(places: Places, work: Callable[..., T], *args: object) -> T:
    # With the context of the request, whose id every line of the log bears.
    call = partial(copy_context().run, work, *args)
    return await asyncio.wrap_future(places.submit(_asking.get().caller, call))
