"""How a process that serves is asked to end: SIGINT and SIGTERM, at any moment from its first step on."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Ending:
    """Whether this process was asked to end, and who hears of it."""

    def __init__(self) -> None:
        self._asked = False
        self._stop: Callable[[], None] = lambda: None

    def tell(self, stop: Callable[[], None]) -> None:
        """Call `stop` when this process is asked to end: at once, if it was asked while it still started.

        `stop` may be called more than once.
        """
        self._stop = stop
        if self._asked:
            stop()

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """What a signal does."""
        self._asked = True
        self._stop()


@contextmanager
def ending() -> Iterator[Ending]:
    """Until the block ends, SIGINT and SIGTERM ask instead of killing: what was opened is closed in order."""
    asked = Ending()
    before = {number: signal.signal(number, asked.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
