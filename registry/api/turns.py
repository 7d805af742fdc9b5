"""Whose turn it is: callers take turns, and each holds at most so many places at once.

In one queue a caller that asks for a thousand things stands a thousand times in front of everybody else.
Here each caller has a queue of its own, and they are served one from each, round and round.

>>> turns = Turns[str](places=1, each=1)
>>> for caller, what in (("flood", "f1"), ("flood", "f2"), ("flood", "f3"), ("quiet", "q1")):
...     turns.ask(caller, what)
>>> served = []
>>> while (turn := turns.take()) is not None:
...     served.append(turn[1])
...     turns.leave(turn[0])
>>> served
['f1', 'q1', 'f2', 'f3']
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """The queues of all callers and the places that are taken; neither threads nor clocks."""

    def __init__(self, places: int, each: int) -> None:
        self._places = self._free = places
        self._each = 0
        self._held: dict[str, int] = {}
        # In the order of their turns: only callers that wait for something and may hold one place more.
        self._next: OrderedDict[str, None] = OrderedDict()
        self._waiting: dict[str, deque[T]] = {}
        self.allow(each)

    def allow(self, each: int) -> None:
        """From now on nobody takes more than `each` places; who holds more keeps what it has."""
        if not 0 < each <= self._places:
            raise ValueError(f"a caller holds 1 to {self._places} places, not {each}")
        if each == self._each:
            return
        self._each = each
        self._next = OrderedDict((who, None) for who in self._next if self._may(who))
        for caller in self._waiting:
            self._stand(caller)

    def ask(self, caller: str, what: T) -> None:
        """Stand at the end of the caller's own queue."""
        self._waiting.setdefault(caller, deque()).append(what)
        self._stand(caller)

    def take(self) -> tuple[str, T] | None:
        """Give a place to whose turn it is; None while nobody may have one. `leave` gives it back."""
        if not self._free or not self._next:
            return None
        caller, _ = self._next.popitem(last=False)
        queue = self._waiting[caller]
        what = queue.popleft()
        if not queue:
            del self._waiting[caller]
        self._free -= 1
        self._held[caller] = self._held.get(caller, 0) + 1
        self._stand(caller)
        return caller, what

    def leave(self, caller: str) -> None:
        """Give one place back."""
        held = self._held.pop(caller) - 1
        if held:
            self._held[caller] = held
        self._free += 1
        self._stand(caller)

    def _stand(self, caller: str) -> None:
        # Who stands there already keeps its turn; who has had it goes to the end.
        if caller in self._waiting and self._may(caller):
            self._next.setdefault(caller)

    def _may(self, caller: str) -> bool:
        return self._held.get(caller, 0) < self._each
