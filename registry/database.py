"""One way to open a SQL database: SQLite in a file or PostgreSQL, with the durability the caller needs.

Every commit is on disk when it returns (SQLite WAL with synchronous=FULL, PostgreSQL's own default).
Writers take a lock at BEGIN, so that two of them wait for each other instead of failing half way: SQLite's
own, or an advisory one per schema.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    Table,
    Text,
    create_engine,
    event,
    insert,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.types import TypeDecorator

from registry.errors import Malformed, StoreUnavailable
from registry.statements import Prepared, prepared

# Keys are hashes: a batch changes as many pages as it has rows. They wait in memory for the commit, and in
# the write-ahead log for the next batches that change them too.
_CHECKPOINT_PAGES = 4_096
_CACHE_KIB = 16_384
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# The lock of a transaction that writes; everybody who writes in this schema waits for it.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('twinledger'), hashtext(current_schema()))")
# Of SQLite's files: who waits for its own lock sleeps and looks again, and is passed by others meanwhile.
_turns: WeakKeyDictionary[Engine, Lock] = WeakKeyDictionary()


class ExactText(TypeDecorator[str]):
    """Text that all databases keep and sort alike: by its bytes, and without the NUL PostgreSQL refuses."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """PostgreSQL would sort by the language of the machine."""
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """A NUL becomes U+FFFD on every database, so that all projections are the same."""
        return None if value is None else str(_stored(value))


def add_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Add rows of one shape; where a key is taken, the driver's own IntegrityError.

    The driver's own `executemany`: SQLAlchemy takes longer to bind a row than SQLite takes to write it.
    """
    if not rows:
        return
    compiled, texts = _insertion(table, tuple(rows[0]), connection.dialect)
    if _holds_nul(rows, texts):
        rows = [{name: _stored(value) for name, value in row.items()} for row in rows]
    with closing(connection.connection.cursor()) as cursor:
        cursor.executemany(compiled.text, [compiled.bound(row) for row in rows])


@lru_cache(maxsize=256)
def _insertion(table: Table, columns: tuple[str, ...], dialect: Dialect) -> tuple[Prepared, tuple[str, ...]]:
    """The statement that adds such rows, and which of their columns are text."""
    texts = tuple(name for name in columns if isinstance(table.c[name].type, ExactText))
    return prepared(insert(table).compile(dialect=dialect, column_keys=list(columns))), texts


def _holds_nul(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> bool:
    """Whether a text of these columns has a NUL: looked for in a whole column at once, as hardly any has."""
    return any("\0" in "".join(filter(None, map(itemgetter(name), rows))) for name in columns)


def _stored(value: object) -> object:
    """A value as `ExactText` would bind it."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def open_database(url: str, *, schema: str | None = None) -> Engine:
    """An engine whose connections are durable and whose write transactions are serial.

    `schema` is PostgreSQL's, made if missing; SQLite has a file for each instead.
    """
    return _open_sqlite(url) if url.startswith("sqlite") else _open_postgresql(url, schema)


def open_to_read(url: str, *, schema: str | None = None) -> Engine:
    """An engine for whoever must change nothing: no file or schema is made, and every write fails."""
    if not url.startswith("sqlite"):
        read_only = "-c default_transaction_read_only=on"
        return _postgresql(url, f"{read_only} -c search_path={schema}" if schema else read_only)
    path = Path(make_url(url).database or "")
    # Not mode=ro: after kill -9 the write-ahead log must be read into the shared memory first.
    found = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(found, connect_args={"check_same_thread": False, "timeout": 60})

    @event.listens_for(engine, "connect")
    def _read_only(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only=ON")

    return engine


def _open_sqlite(url: str) -> Engine:
    engine = create_engine(
        url,
        pool_size=32,
        max_overflow=32,
        # The connection that was used last: it has the pages at hand.
        pool_use_lifo=True,
        # Nobody gives a connection back inside a transaction: see `writing`.
        pool_reset_on_return=None,
        connect_args={"check_same_thread": False, "timeout": 60},
    )

    @event.listens_for(engine, "connect")
    def _durable(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own BEGIN is deferred: it would let two writers deadlock on the upgrade.
        connection.isolation_level = None
        _set(connection, journal_mode="WAL", synchronous="FULL", wal_autocheckpoint=_CHECKPOINT_PAGES)
        _set(connection, busy_timeout=60_000, foreign_keys="ON", cache_size=-_CACHE_KIB)

    return engine


def _open_postgresql(url: str, schema: str | None) -> Engine:
    if schema is not None and not _SCHEMA.fullmatch(schema):
        raise Malformed(f"{schema!r} is no name of a schema", hint="use a-z, 0-9 and _")
    engine = _postgresql(url, f"-c search_path={schema}" if schema else "")
    if schema:
        with _mapped(engine), engine.begin() as connection:
            # Two gateways that start at once must not both make it.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('twinledger schema'))"))
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    return engine


def _postgresql(url: str, options: str) -> Engine:
    try:
        return create_engine(
            url, pool_size=16, max_overflow=16, pool_pre_ping=True, connect_args={"options": options}
        )
    except (ArgumentError, NoSuchModuleError, ImportError) as e:
        raise Malformed(
            f"the connection string cannot be used: {e}",
            hint="postgresql+psycopg://USER:PASSWORD@HOST/DATABASE; `pip install twinledger[postgresql]`",
        ) from e


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection each of whose statements sees the newest commit; a dead database is StoreUnavailable."""
    with _mapped(engine), engine.connect() as connection:
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection whose statements all see one moment, whatever is committed meanwhile."""
    with reading(engine) as connection:
        if engine.dialect.name != "sqlite":
            yield connection.execution_options(isolation_level="REPEATABLE READ")
            return
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute("BEGIN")
        try:
            yield connection
        finally:
            raw.rollback()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: all of it is durable on return, or nothing is."""
    if engine.dialect.name == "sqlite":
        with _alone(engine) as connection:
            yield connection
        return
    with _mapped(engine), engine.begin() as connection:
        connection.execute(_LOCK)
        yield connection


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    turn = _turns.setdefault(engine, Lock())
    with _mapped(engine), turn, engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        # The driver's own calls: SQLAlchemy's way to one word of SQL takes longer than SQLite does.
        with raw:
            raw.execute("BEGIN IMMEDIATE")
            yield connection


def _set(raw: sqlite3.Connection, **pragmas: str | int) -> None:
    for name, value in pragmas.items():
        raw.execute(f"PRAGMA {name}={value}")


@contextmanager
def claiming(engine: Engine) -> Iterator[Connection]:
    """A transaction that takes rows with FOR UPDATE SKIP LOCKED, beside everybody who does the same.

    It waits for no writer and keeps none waiting but for its rows. SQLite, which locks whole files and leaves
    the clause out, is written as always.
    """
    if engine.dialect.name == "sqlite":
        with writing(engine) as connection:
            yield connection
        return
    with _mapped(engine), engine.begin() as connection:
        yield connection


@contextmanager
def _mapped(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as e:
        where = engine.url.render_as_string(hide_password=True)
        raise StoreUnavailable(
            f"the database {where} failed: {e.orig if isinstance(e, DBAPIError) else e}",
            hint="free disk space or start the database, then retry",
        ) from e
