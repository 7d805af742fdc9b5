"""Callers take turns for the threads, whoever asks how often; nothing is lost when somebody goes away."""

import asyncio
import threading
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from registry.api.threads import Places, Turnstile, in_thread, open_threads
from registry.api.turns import Turns

FLOOD = 200
ACTS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=80)


class Gate:
    """Work that lasts until it is let go, and tells that it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self) -> None:
        self.begun.release()
        assert self.go.wait(30)


def test_a_modest_caller_is_served_after_one_of_each_of_twenty_greedy_ones() -> None:
    turns = Turns[str](places=1, each=1)
    for n in range(20 * FLOOD):
        turns.ask(f"greedy {n % 20}", "more")
    turns.ask("modest", "one")
    before = []
    while (turn := turns.take()) != ("modest", "one"):
        assert turn is not None
        before.append(turn[0])
        turns.leave(turn[0])
    assert before == [f"greedy {n}" for n in range(20)]


def test_twenty_times_the_share_of_one_caller_is_one_turn_of_wait() -> None:
    turns = Turns[int](places=1, each=1)
    for n in range(20):
        turns.ask("flood", n)
    for n in range(3):
        turns.ask("quiet", n)
    order = []
    while (turn := turns.take()) is not None:
        order.append(turn[0])
        turns.leave(turn[0])
    assert order == ["flood", "quiet"] * 3 + ["flood"] * 17


def test_who_holds_its_places_leaves_the_others_free() -> None:
    turns = Turns[int](places=4, each=3)
    for n in range(10):
        turns.ask("slow", n)
    held = [turns.take() for _ in range(4)]
    assert held == [("slow", 0), ("slow", 1), ("slow", 2), None]
    turns.ask("quick", 0)
    assert turns.take() == ("quick", 0)


@pytest.mark.parametrize("each", [0, 3])
def test_a_cap_that_means_nothing_is_refused(each: int) -> None:
    with pytest.raises(ValueError, match=f"not {each}"):
        Turns[int](places=2, each=each)


@given(acts=ACTS, places=st.integers(1, 4), each=st.integers(1, 4))
def test_every_thing_asked_is_served_once_in_its_callers_order(
    acts: list[tuple[str, bool]], places: int, each: int
) -> None:
    turns = Turns[int](places, min(each, places))
    asked: dict[str, list[int]] = {caller: [] for caller in "abc"}
    served: dict[str, list[int]] = {caller: [] for caller in "abc"}
    holding: list[str] = []

    def take_all() -> None:
        while (turn := turns.take()) is not None:
            served[turn[0]].append(turn[1])
            holding.append(turn[0])
            assert len(holding) <= places
            assert holding.count(turn[0]) <= min(each, places)

    for number, (caller, leaves) in enumerate(acts):
        asked[caller].append(number)
        turns.ask(caller, number)
        take_all()
        if leaves and holding:
            turns.leave(holding.pop(0))
            take_all()
    while holding:
        turns.leave(holding.pop(0))
        take_all()
    assert served == asked


def test_a_flood_that_holds_its_threads_does_not_hold_up_another_caller() -> None:
    places, gate = Places(4, 2, "test"), Gate()
    flood = [places.submit("flood", gate) for _ in range(FLOOD)]
    assert places.submit("quiet", lambda: "served").result(30) == "served"
    assert not any(one.done() for one in flood)
    gate.go.set()
    for one in flood:
        one.result(30)


def test_what_is_cancelled_before_its_turn_never_runs_and_holds_nothing() -> None:
    places, gate, ran = Places(1, 1, "test"), Gate(), []
    first = places.submit("flood", gate)
    assert gate.begun.acquire(timeout=30)
    gone: list[Future[None]] = [places.submit("flood", lambda: ran.append("gone")) for _ in range(FLOOD)]
    last = places.submit("flood", lambda: "served")
    assert all(one.cancel() for one in gone)
    gate.go.set()
    first.result(30)
    assert last.result(30) == "served"
    assert ran == []


def test_a_failure_reaches_who_waits_and_gives_its_place_back() -> None:
    places = Places(1, 1, "test")
    with pytest.raises(ZeroDivisionError):
        places.submit("ana", lambda: 1 // 0).result(30)
    assert places.submit("ana", lambda: "served").result(30) == "served"


def test_requests_that_are_given_up_give_their_turns_back() -> None:
    """Twenty requests of one address are dropped while they wait; the twenty-first is served."""
    gate = Gate()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await in_thread(gate)

    async def nothing() -> Message:
        raise AssertionError("this app reads no body")

    async def unheard(_message: Message) -> None:
        raise AssertionError("this app answers nothing")

    async def run() -> None:
        served = Turnstile(app, threads=open_threads())

        def ask(address: str) -> asyncio.Task[None]:
            scope = {"type": "http", "path": "/", "client": (address, 1)}
            return asyncio.ensure_future(served(scope, nothing, unheard))

        flood = [ask("10.0.0.1") for _ in range(20)]
        assert await asyncio.to_thread(gate.begun.acquire, timeout=30)
        for one in flood:
            one.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        gate.go.set()
        await ask("10.0.0.1")

    asyncio.run(run())
