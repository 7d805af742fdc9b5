"""scripts/devnet/postgres: a server of our own that needs a password and keeps what was committed."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError


@pytest.fixture(scope="module")
def postgres(engine):
    return engine("postgres", "data")


def rows(url, statement):
    database = create_engine(url)
    try:
        with database.begin() as connection:
            found = connection.execute(text(statement))
            return [tuple(row) for row in found] if found.returns_rows else []
    finally:
        database.dispose()


def test_committed_rows_survive_kill_9(postgres):
    url = postgres.start()["TWINLEDGER_POSTGRES"]
    rows(url, "create table twin (name text)")
    rows(url, "insert into twin values ('urban-macro')")
    postgres.stop("--kill")
    assert postgres.start()["TWINLEDGER_POSTGRES"] == url
    assert rows(url, "select name from twin") == [("urban-macro",)]


def test_text_is_utf_8_and_sorted_by_bytes(postgres):
    url = postgres.start()["TWINLEDGER_POSTGRES"]
    assert rows(url, "show server_encoding") == [("UTF8",)]
    assert rows(url, "select 'B' < 'a'") == [(True,)]


def test_a_wrong_password_is_refused(postgres):
    url = postgres.start()["TWINLEDGER_POSTGRES"]
    user, _, rest = url.partition("@")
    with pytest.raises(OperationalError, match="password authentication failed"):
        rows(f"{user.rpartition(':')[0]}:wrong@{rest}", "select 1")


def test_the_server_runs_as_nobody_special(postgres):
    postgres.start()
    assert Path(f"/proc/{postgres.pid('postgres')}").stat().st_uid != 0
