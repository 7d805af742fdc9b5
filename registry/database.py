"""One way to open a SQL database: SQLite in a file or PostgreSQL, with the durability the caller needs.

Every commit is on disk when it returns (SQLite WAL with synchronous=FULL). Writers take the lock at
BEGIN, so that two of them wait for each other instead of failing half way.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from registry.errors import StoreUnavailable


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def open_database(url: str) -> Engine:
    """An engine whose connections are durable and whose write transactions are serial."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=16, max_overflow=16, pool_pre_ping=True)
    engine = create_engine(
        url, pool_size=32, max_overflow=32, connect_args={"check_same_thread": False, "timeout": 60}
    )

    @event.listens_for(engine, "connect")
    def _durable(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own BEGIN is deferred: it would let two writers deadlock on the upgrade.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=60000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one snapshot; a dead database is StoreUnavailable."""
    with _mapped(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: all of it is durable on return, or nothing is."""
    with _mapped(engine), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            if engine.dialect.name == "sqlite":
                _abandon(connection)
            raise
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("COMMIT")
        connection.commit()


def _abandon(connection: Connection) -> None:
    raw = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection) and raw.in_transaction:
        raw.execute("ROLLBACK")


@contextmanager
def _mapped(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as e:
        where = engine.url.render_as_string(hide_password=True)
        raise StoreUnavailable(
            f"the database {where} failed: {e.orig}", hint="free disk space or start the database, then retry"
        ) from e
