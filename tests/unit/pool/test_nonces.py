"""Nonces that a process holds: what was taken by one that ended is refused, and nothing else is."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

import registry.pool.nonces as module
from registry.database import add_rows, open_database, reading, sqlite_url, writing
from registry.errors import Unauthenticated
from registry.pool.nonces import LEAD_S, HeldNonces
from registry.pool.schema import nonces
from registry.pool.seals import RowSeal

NOW = 1_800_000_000
WINDOW_S = 300
ANA = "0xA"
USED, FRESH = b"u" * 32, b"f" * 32
SEAL = RowSeal(b"\x01" * 32)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(sqlite_url(tmp_path / "pool.db"))
    yield opened
    opened.dispose()


def started(engine: Engine) -> HeldNonces:
    return HeldNonces(engine, SEAL, window_s=WINDOW_S)


def rows(engine: Engine) -> list[tuple[str, str]]:
    with reading(engine) as connection:
        found = connection.execute(select(nonces.c.address, nonces.c.nonce)).all()
    return [(address, nonce) for address, nonce in found]


def test_what_a_killed_process_took_is_not_taken_again(engine: Engine) -> None:
    started(engine).take(ANA, USED, NOW, NOW)
    again = started(engine)
    for clock in (NOW, NOW - 250, NOW + 250):
        with pytest.raises(Unauthenticated, match="started anew"):
            again.take(ANA, USED, NOW, clock)
    again.take(ANA, FRESH, NOW + LEAD_S + 1, NOW + LEAD_S + 1)


def test_the_horizon_moves_on_and_is_said_before_it_is_used(engine: Engine) -> None:
    before = started(engine)
    for second in range(10):
        before.take(ANA, bytes([second]) * 32, NOW + second, NOW + second)
        assert max(int(until) for _, until in rows(engine)) >= NOW + second
    again = started(engine)
    for second in range(10):
        with pytest.raises(Unauthenticated, match="started anew"):
            again.take(ANA, bytes([second]) * 32, NOW + second, NOW + second)
    assert len(rows(engine)) == 1, "one row, whatever was taken"


def test_a_clock_that_is_ahead_is_waited_for_and_refuses_nobody_else(engine: Engine) -> None:
    before = started(engine)
    before.take(ANA, USED, NOW + 200, NOW)
    before.take(ANA, FRESH, NOW, NOW)
    again = started(engine)
    with pytest.raises(Unauthenticated, match="nonce is used"):
        again.take(ANA, USED, NOW + 200, NOW + 200)
    again.take(ANA, b"o" * 32, NOW + LEAD_S + 1, NOW + LEAD_S + 1)
    with pytest.raises(Unauthenticated, match="nonce is used"):
        before.take(ANA, USED, NOW + 200, NOW + 199)


def test_a_nonce_is_held_for_as_long_as_its_request_is_heard(engine: Engine) -> None:
    held = started(engine)
    held.take(ANA, USED, NOW + WINDOW_S - 1, NOW)
    for after in range(1, 2 * WINDOW_S, 7):
        held.take(ANA, after.to_bytes(32, "big"), NOW + after, NOW + after)
        with pytest.raises(Unauthenticated, match="nonce is used"):
            held.take(ANA, USED, NOW + WINDOW_S - 1, NOW + after)


def test_what_is_over_is_let_go(engine: Engine) -> None:
    held = started(engine)
    for after in range(0, 20 * WINDOW_S, 10):
        held.take(ANA, after.to_bytes(32, "big"), NOW + after, NOW + after)
    assert len(held._younger) + len(held._elder) <= 4 * WINDOW_S / 10 + 2


def test_who_ends_in_order_leaves_nothing_to_wait_for_but_what_was_taken(engine: Engine) -> None:
    before = started(engine)
    before.take(ANA, USED, NOW, NOW)
    before.close()
    again = started(engine)
    with pytest.raises(Unauthenticated, match="started anew"):
        again.take(ANA, USED, NOW, NOW)
    again.take(ANA, FRESH, NOW + 1, NOW + 1)
    again.close()
    started(engine).close()
    assert rows(engine) == [("", str(NOW + 1))], "who took nothing says nothing new"


def test_a_release_that_kept_rows_is_followed(engine: Engine) -> None:
    started(engine)
    with writing(engine) as connection:
        for address, nonce in ((ANA, USED.hex()), ("", f"a-boot:{NOW}")):
            row = {"address": address, "nonce": nonce, "created": NOW}
            add_rows(connection, nonces, [row | {"seal": SEAL.of(nonces, row)}])
    held = started(engine)
    with pytest.raises(Unauthenticated, match="started anew"):
        held.take(ANA, FRESH, NOW, NOW)
    with pytest.raises(Unauthenticated, match="nonce is used"):
        held.take(ANA, USED, NOW + 1, NOW + 1)


def test_while_there_are_requests_none_of_them_sets_the_horizon(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    held, stop = started(engine), threading.Event()
    keeper = threading.Thread(target=held.keep_ahead, args=(stop,))
    keeper.start()
    try:
        now = int(time.time())
        assert not held.is_at_hand(now), "nothing is said before the first request"
        held.take(ANA, USED, now, now)
        end = time.monotonic() + 30
        while not held.is_at_hand(now + LEAD_S + 1) and time.monotonic() < end:
            held.take(ANA, time.monotonic_ns().to_bytes(32, "big"), now, now)
            time.sleep(0.05)
        assert held.is_at_hand(now + LEAD_S + 1), "it moved on, and only the keeper has another clock"
    finally:
        stop.set()
        keeper.join()


def test_who_was_killed_is_back_when_its_callers_are_heard(engine: Engine) -> None:
    now = int(time.time())
    started(engine).take(ANA, USED, now, now)
    again = started(engine)
    again.settle()
    signed = int(time.time())
    again.take(ANA, FRESH, signed, signed)
