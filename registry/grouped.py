"""Group commit: what many threads ask for at once is done together, by whoever comes first."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")


@dataclass(slots=True)
class _Group(Generic[A, R]):
    """What the next turn takes along, and what came of it."""

    asked: list[A] = field(default_factory=list)
    answers: list[R] = field(default_factory=list)
    failure: Exception | None = None
    is_done: bool = False


class Grouped(Generic[A, R]):
    """Work whose cost is mostly the same for one item as for many, done in turns.

    While one turn lasts, the items of all who come meanwhile gather for the next one.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[R]], turn: threading.Lock) -> None:
        """`work` answers one result per item, in order, and holds `turn` meanwhile."""
        self._work = work
        self._turn = turn
        self._gathering = threading.Lock()
        self._next = _Group[A, R]()

    def do(self, items: Sequence[A]) -> list[R]:
        """The results of these items, which stay side by side; what the work raises, all of its turn hear."""
        with self._gathering:
            group = self._next
            first = len(group.asked)
            group.asked += items
        with self._turn:
            if not group.is_done:
                self._take(group)
        if group.failure is not None:
            raise group.failure
        return group.answers[first : first + len(items)]

    def _take(self, group: _Group[A, R]) -> None:
        with self._gathering:
            self._next = _Group()
        group.is_done = True
        try:
            group.answers = list(self._work(group.asked))
        except Exception as e:
            group.failure = e
