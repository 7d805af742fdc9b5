"""Which shape the projection has. It is never migrated: what an older release wrote is dropped and rebuilt.

Raise `PROJECTION` with every change of a table or of what is written into one:
tests/conformance/test_migrations.py knows the tables of each number.
"""

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, inspect, select

from registry.database import reading, writing
from registry.errors import Conflict
from registry.index.schema import metadata

PROJECTION = 4
release = Table("release", MetaData(), Column("projection", Integer, primary_key=True, autoincrement=False))


def prepare(engine: Engine) -> None:
    """Make the tables, empty where another shape was; Conflict when a newer release projects into them."""
    with reading(engine) as connection:
        if _found(connection) == PROJECTION:
            return
    with writing(engine) as connection:
        found = _found(connection)
        if found is not None and found > PROJECTION:
            raise _newer(engine, found)
        if found != PROJECTION:
            metadata.drop_all(connection)
            release.drop(connection, checkfirst=True)
            metadata.create_all(connection)
            release.create(connection)
            connection.execute(release.insert(), {"projection": PROJECTION})


def due(engine: Engine) -> str | None:
    """What `prepare` would do, in words; None when nothing. Changes nothing."""
    with reading(engine) as connection:
        found = _found(connection)
        has_tables = bool(inspect(connection).get_table_names())
    if found == PROJECTION:
        return None
    if found is not None and found > PROJECTION:
        return _newer(engine, found).message
    if not has_tables:
        return "is empty, and is built at the next start"
    return f"has shape {found or 'of release 0.1.0'}: the next start builds it anew in shape {PROJECTION}"


def _newer(engine: Engine, found: int) -> Conflict:
    where = engine.url.render_as_string(hide_password=True)
    return Conflict(
        f"the projection in {where} has shape {found}, and {PROJECTION} is the newest known here",
        hint="upgrade this gateway too, or give it an index of its own: postgresql.index_schema",
    )


def _found(connection: Connection) -> int | None:
    if not inspect(connection).has_table(release.name):
        return None
    return connection.execute(select(release.c.projection)).scalar_one_or_none()
