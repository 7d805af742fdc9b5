"""A nonce that SQLite did not bring to the disk: what the power took is refused, and nothing else is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, delete

from registry.database import noting, open_database, sqlite_url, writing
from registry.errors import Unauthenticated
from registry.pool import Requests
from registry.pool.horizon import LEAD_S
from registry.pool.schema import nonces
from registry.pool.seals import RowSeal

NOW = 1_800_000_000
ANA = "0xA"
USED, FRESH = b"u" * 32, b"f" * 32


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(sqlite_url(tmp_path / "pool.db"))
    yield opened
    opened.dispose()


def started(engine: Engine, boot: str) -> Requests:
    return Requests(engine, RowSeal(b"\x01" * 32), nonce_window_s=300, boot=boot)


def power_fails(engine: Engine) -> None:
    """Every row goes that SQLite was not told to wait for."""
    with writing(engine) as connection:
        connection.execute(delete(nonces).where(nonces.c.address == ANA))


def test_what_was_used_before_the_power_failed_is_not_taken_again(engine: Engine) -> None:
    started(engine, "first").use_nonce(ANA, USED, NOW, NOW)
    power_fails(engine)
    again = started(engine, "second")
    for clock in (NOW, NOW - 250, NOW + 250):
        with pytest.raises(Unauthenticated, match="started anew"):
            again.use_nonce(ANA, USED, NOW, clock)
    again.use_nonce(ANA, FRESH, NOW + LEAD_S + 1, NOW + LEAD_S + 1)


def test_a_process_that_is_killed_costs_nobody_a_request(engine: Engine) -> None:
    started(engine, "first").use_nonce(ANA, USED, NOW, NOW)
    again = started(engine, "first")
    with pytest.raises(Unauthenticated, match="nonce is used"):
        again.use_nonce(ANA, USED, NOW, NOW)
    again.use_nonce(ANA, FRESH, NOW, NOW)


def test_a_clock_that_is_ahead_is_waited_for_and_refuses_nobody_else(engine: Engine) -> None:
    before = started(engine, "first")
    before.use_nonce(ANA, USED, NOW + 200, NOW)
    before.use_nonce(ANA, FRESH, NOW, NOW)
    again = started(engine, "second")
    with pytest.raises(Unauthenticated, match="nonce is used"):
        again.use_nonce(ANA, USED, NOW + 200, NOW + LEAD_S + 1)
    again.use_nonce(ANA, b"o" * 32, NOW + LEAD_S + 1, NOW + LEAD_S + 1)


def test_the_horizon_moves_on_and_is_said_before_it_is_used(engine: Engine) -> None:
    before = started(engine, "first")
    for second in range(0, 3 * LEAD_S, 3):
        before.use_nonce(ANA, bytes([second]) * 32, NOW + second, NOW + second)
    power_fails(engine)
    again = started(engine, "second")
    for second in range(0, 3 * LEAD_S, 3):
        with pytest.raises(Unauthenticated, match="started anew"):
            again.use_nonce(ANA, bytes([second]) * 32, NOW + second, NOW + second)


def test_only_the_noting_itself_does_not_wait_for_the_disk(engine: Engine) -> None:
    def waits(connection: Connection) -> tuple[int, int]:
        asked = ("synchronous", "wal_autocheckpoint")
        level, pages = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked)
        return level, pages

    def of_a_write() -> tuple[int, int]:
        with writing(engine) as connection:
            return waits(connection)

    started(engine, "first")
    full = of_a_write()
    assert full[0] == 2 and full[1] > 0, "FULL, and whoever writes much moves it to its place"
    with noting(engine) as connection:
        assert waits(connection) == (1, 0), "NORMAL"
    with pytest.raises(KeyError), noting(engine) as connection:
        connection.exec_driver_sql("DELETE FROM answers")
        raise KeyError
    assert of_a_write() == full


def test_what_is_noted_is_moved_to_its_place_when_the_horizon_moves(engine: Engine) -> None:
    log = Path(f"{engine.url.database}-wal")
    requests = started(engine, "first")
    for number in range(300):
        requests.use_nonce(ANA, number.to_bytes(32, "big"), NOW, NOW)
    grown = log.stat().st_size
    later = NOW + LEAD_S + 1
    for number in range(300):
        requests.use_nonce(ANA, number.to_bytes(32, "little") + b"x", later, later)
    assert log.stat().st_size < 1.5 * grown, "the log beside the database begins anew"
