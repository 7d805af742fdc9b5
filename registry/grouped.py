"""Group commit: what many threads ask for at once is done together, by whoever comes first.

A turn that fails is done once more, caller by caller: what one asked for is no reason to refuse another.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Generic, TypeVar

from registry.errors import Unavailable

A = TypeVar("A")
R = TypeVar("R")
# When so many in a row find a part unavailable, each alone, the fault is not in what they asked for.
_ENOUGH = 2


@dataclass(slots=True)
class _Group(Generic[A, R]):
    """What each caller of the next turn asks for, and what came of it."""

    asked: list[Sequence[A]] = field(default_factory=list)
    outcomes: list[list[R] | Exception] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


class Grouped(Generic[A, R]):
    """Work whose cost is mostly the same for one item as for many, done in turns.

    While one turn lasts, the items of all who come meanwhile gather for the next one.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[R]], turn: threading.Lock) -> None:
        """`work` answers one result per item, in order, and holds `turn` meanwhile.

        When it raises, it has done nothing that must not be done again.
        """
        self._work = work
        self._turn = turn
        self._gathering = threading.Lock()
        self._next = _Group[A, R]()

    def do(self, items: Sequence[A]) -> list[R]:
        """The results of these items, which stay side by side, or what the work raises about them alone."""
        with self._gathering:
            group = self._next
            place = len(group.asked)
            group.asked.append(items)
        # Who came first does it for all. The others wait for that and not for the turn, which may by then
        # be somebody else's again.
        if place == 0:
            with self._turn:
                self._take(group)
        else:
            group.done.wait()
        outcome = group.outcomes[place]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _take(self, group: _Group[A, R]) -> None:
        with self._gathering:
            self._next = _Group()
        try:
            answers = iter(self._work(list(chain.from_iterable(group.asked))))
        except Exception as e:
            alone = len(group.asked) == 1
            group.outcomes = [e] if alone else one_by_one(lambda items: list(self._work(items)), group.asked)
        else:
            group.outcomes = [list(islice(answers, len(items))) for items in group.asked]
        finally:
            group.done.set()


def one_by_one(work: Callable[[A], R], parts: Sequence[A]) -> list[R | Exception]:
    """What comes of each part alone: its result, or what the work raises.

    Where two in a row are Unavailable, the rest are not tried and share the second's: a full disk or a chain
    that is away is not asked once for everybody.
    """
    outcomes: list[R | Exception] = []
    in_a_row = 0
    for part in parts:
        if in_a_row == _ENOUGH:
            outcomes.append(outcomes[-1])
            continue
        try:
            outcomes.append(work(part))
            in_a_row = 0
        except Unavailable as e:
            outcomes.append(e)
            in_a_row += 1
        except Exception as e:
            outcomes.append(e)
            in_a_row = 0
    return outcomes
