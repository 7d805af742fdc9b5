"""What a look answered stands until the file is written to, by whomever."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from registry.database import open_database, reading, sqlite_url, writing
from registry.errors import StoreUnavailable
from registry.index.remembered import Remembered


class Shop:
    """A price in a file, asked for by name, and how often somebody looked."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.looks = 0
        self.prices = Remembered[str, int](engine)

    def price(self) -> int:
        return self.prices.of("twin", self._look)

    def _look(self, _name: str) -> int:
        self.looks += 1
        with reading(self.engine) as connection:
            return int(connection.exec_driver_sql("SELECT price FROM shop").scalar_one())


def price(engine: Engine, wei: int) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(f"UPDATE shop SET price = {wei}")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "shop.db")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    opened = open_database(url)
    with writing(opened) as connection:
        connection.exec_driver_sql("CREATE TABLE shop (price)")
        connection.exec_driver_sql("INSERT INTO shop VALUES (1)")
    yield opened
    opened.dispose()


def test_a_price_is_looked_up_once_and_again_after_each_write(engine: Engine) -> None:
    shop = Shop(engine)
    assert [shop.price() for _ in range(5)] == [1] * 5
    assert shop.looks == 1
    for wei in range(2, 5):
        price(engine, wei)
        assert [shop.price(), shop.price()] == [wei, wei]
    assert shop.looks == 4


def test_another_connection_to_the_file_is_noticed_too(engine: Engine, url: str) -> None:
    shop, other = Shop(engine), open_database(url)
    assert shop.price() == 1
    price(other, 2)
    assert shop.price() == 2
    other.dispose()


def test_what_was_written_during_the_look_is_asked_for_again(engine: Engine) -> None:
    prices, looks = Remembered[str, int](engine), [1, 2]

    def look(_name: str) -> int:
        price(engine, 7)
        return looks.pop(0)

    assert [prices.of("twin", look), prices.of("twin", look)] == [1, 2]


def test_an_engine_that_was_disposed_of_is_watched_anew(engine: Engine) -> None:
    shop = Shop(engine)
    assert shop.price() == 1
    engine.dispose()
    price(engine, 2)
    assert shop.price() == 2


def test_a_file_that_cannot_be_read_is_told_by_the_look(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database" * 1_000)
    engine = open_database(sqlite_url(broken))
    with pytest.raises(StoreUnavailable):
        Shop(engine).price()
