"""What many ask for at once is done in few turns, and each has its own answers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.errors import StoreUnavailable
from registry.grouped import Grouped, one_by_one


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
        while len(grouped._next.asked) < 8:
            pass
        go.set()
        assert leader.result(30) == [0]
        assert [other.result(30) for other in others] == [[2 * n, -2 * n] for n in range(1, 9)]
    assert [len(turn) for turn in turns] == [1, 16]


def in_one_turn(work, *asked):
    """What each of these callers hears when all of them come to the same turn."""
    turn = threading.Lock()
    grouped = Grouped(work, turn)
    with ThreadPoolExecutor(len(asked)) as pool:
        with turn:
            heard = []
            for number, items in enumerate(asked, 1):
                heard.append(pool.submit(grouped.do, items))
                while len(grouped._next.asked) < number:
                    pass
        return [one.exception(30) or one.result(30) for one in heard]


def test_what_one_caller_asked_for_fails_for_that_caller_only():
    turns = []

    def work(items):
        turns.append(list(items))
        if "bad" in items:
            raise ValueError("bad is no item")
        return [item.upper() for item in items]

    first, bad, last = in_one_turn(work, ["a", "b"], ["c", "bad"], ["d"])
    assert (first, last) == (["A", "B"], ["D"])
    assert isinstance(bad, ValueError)
    assert turns == [["a", "b", "c", "bad", "d"], ["a", "b"], ["c", "bad"], ["d"]]


def test_a_part_that_does_not_answer_one_caller_is_asked_for_the_others():
    def work(items):
        if "its block is gone" in items:
            raise StoreUnavailable("its block is gone")
        return items

    heard = in_one_turn(work, ["its block is gone"], ["b"], ["c"])
    assert isinstance(heard[0], StoreUnavailable)
    assert heard[1:] == [["b"], ["c"]]


def test_a_part_that_answers_nobody_is_not_asked_for_each():
    turns = []

    def work(items):
        turns.append(list(items))
        raise StoreUnavailable("no space left")

    heard = in_one_turn(work, *([n] for n in range(9)))
    assert [type(one) for one in heard] == [StoreUnavailable] * 9
    assert turns == [list(range(9)), [0], [1]]


def test_two_parts_that_fail_with_another_between_them_are_no_reason_to_stop():
    def work(part):
        if part % 2:
            raise StoreUnavailable(f"{part} is odd")
        return part

    assert [str(outcome) for outcome in one_by_one(work, range(1, 5))] == ["1 is odd", "2", "3 is odd", "4"]


def test_a_caller_who_fails_alone_is_tried_once_and_nobody_after_it_hears_of_it():
    turns = []

    def work(items):
        turns.append(list(items))
        if "bad" in items:
            raise OSError("no space left")
        return items

    grouped = Grouped(work, threading.Lock())
    with pytest.raises(OSError, match="no space"):
        grouped.do(["good", "bad"])
    assert grouped.do(["good"]) == ["good"]
    assert turns == [["good", "bad"], ["good"]]


class Turn:
    """A lock that counts who took it."""

    def __init__(self):
        self.taken = 0
        self._lock = threading.Lock()

    def __enter__(self):
        self._lock.acquire()
        self.taken += 1

    def __exit__(self, *_):
        self._lock.release()


def test_who_was_served_with_others_does_not_wait_for_one_more_turn():
    turn = Turn()
    grouped = Grouped(lambda items: items, turn)
    with ThreadPoolExecutor(5) as pool:
        with turn:
            heard = [pool.submit(grouped.do, [number]) for number in range(5)]
            while len(grouped._next.asked) < 5:
                pass
        assert sorted(one.result(30) for one in heard) == [[number] for number in range(5)]
    assert turn.taken == 2, "the test's own, and one for all five"
