"""What many ask for at once is done in few turns, and each has its own answers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.grouped import Grouped


def test_those_who_come_during_a_turn_share_the_next_one():
    turns, first, go = [], threading.Event(), threading.Event()

    def double(items):
        turns.append(list(items))
        first.set()
        assert go.wait(30)
        return [2 * item for item in items]

    grouped = Grouped(double, threading.Lock())
    with ThreadPoolExecutor(9) as pool:
        leader = pool.submit(grouped.do, [0])
        assert first.wait(30)
        others = [pool.submit(grouped.do, [n, -n]) for n in range(1, 9)]
        while len(grouped._next.asked) < 16:
            pass
        go.set()
        assert leader.result(30) == [0]
        assert [other.result(30) for other in others] == [[2 * n, -2 * n] for n in range(1, 9)]
    assert [len(turn) for turn in turns] == [1, 16]


def test_what_a_turn_raises_is_heard_by_all_of_it_and_by_nobody_after_it():
    def work(items):
        if "bad" in items:
            raise OSError("no space left")
        return items

    grouped = Grouped(work, threading.Lock())
    with pytest.raises(OSError, match="no space"):
        grouped.do(["good", "bad"])
    assert grouped.do(["good"]) == ["good"]
