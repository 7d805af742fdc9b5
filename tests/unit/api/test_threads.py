"""Whatever ends a piece of work in a thread, who awaits it hears of it."""

import asyncio
from collections.abc import Iterator

import pytest

from registry.api.threads import Turnstile, in_thread, open_threads


def _spent() -> None:
    nothing: Iterator[None] = iter(())
    next(nothing)


def _interrupted() -> None:
    raise KeyboardInterrupt


def _refused() -> None:
    raise ValueError("refused")


@pytest.mark.parametrize(
    ("work", "heard"),
    [(_spent, RuntimeError), (_interrupted, KeyboardInterrupt), (_refused, ValueError)],
)
def test_what_work_raises_is_raised_where_it_is_awaited(work, heard):
    told = []

    async def app(_scope, _receive, _send):
        try:
            await in_thread(work)
        except BaseException as e:
            told.append(type(e))

    async def ask():
        scope = {"type": "http", "client": ("10.0.0.1", 1)}
        await asyncio.wait_for(Turnstile(app, threads=open_threads())(scope, None, None), 30)

    asyncio.run(ask())
    assert told == [heard]
