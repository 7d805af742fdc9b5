"""A caller's token bucket: so many at once, so many a second, and never another caller's."""

import pytest

from registry.api.pace import Buckets
from registry.config import Limits
from registry.errors import RateLimited


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> Buckets:
    return Buckets(Limits(requests_per_s=0.5, request_burst=3), clock)


def spend(buckets: Buckets, caller: str) -> int:
    taken = 0
    while True:
        try:
            buckets.take(caller)
        except RateLimited:
            return taken
        taken += 1


def test_a_burst_is_taken_and_the_next_one_is_told_when_to_come_back(buckets: Buckets) -> None:
    assert spend(buckets, "ana") == 3
    with pytest.raises(RateLimited) as refused:
        buckets.take("ana")
    assert refused.value.values["retry_after_s"] == 2


def test_tokens_come_back_with_time_and_never_more_than_the_burst(buckets: Buckets, clock: Clock) -> None:
    spend(buckets, "ana")
    clock.now += 4
    assert spend(buckets, "ana") == 2
    clock.now += 10**6
    assert spend(buckets, "ana") == 3


def test_a_refusal_costs_no_token(buckets: Buckets, clock: Clock) -> None:
    spend(buckets, "ana")
    for _ in range(10):
        clock.now += 0.1
        spend(buckets, "ana")
    clock.now += 1.5
    assert spend(buckets, "ana") == 1


def test_one_caller_never_spends_the_tokens_of_another(buckets: Buckets) -> None:
    spend(buckets, "ana")
    assert spend(buckets, "bo") == 3
