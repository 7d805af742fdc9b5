"""Work that goes on in a thread while something else is looked at."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def meanwhile(step: Callable[[], None], *, pause_s: float = 0) -> Iterator[None]:
    """Take this step again and again until the block ends; what it raises is raised then."""
    is_done = threading.Event()

    def work() -> None:
        while True:
            step()
            if is_done.wait(pause_s):
                return

    with ThreadPoolExecutor(1, "meanwhile") as pool:
        working = pool.submit(work)
        try:
            yield
        finally:
            is_done.set()
        working.result()
