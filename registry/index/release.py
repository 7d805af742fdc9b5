"""Which shape the projection has. It is never migrated: what an older release wrote is dropped and rebuilt.

Raise `PROJECTION` with every change of a table or of what is written into one:
tests/conformance/test_migrations.py knows the tables of each number.
"""

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, inspect, select

from registry.database import reading, writing
from registry.errors import Conflict
from registry.index.schema import metadata

PROJECTION = 2
release = Table("release", MetaData(), Column("projection", Integer, primary_key=True, autoincrement=False))


def prepare(engine: Engine) -> None:
    """Make the tables, empty where another shape was; Conflict when a newer release projects into them."""
    with reading(engine) as connection:
        if _found(connection) == PROJECTION:
            return
    with writing(engine) as connection:
        found = _found(connection)
        if found is not None and found > PROJECTION:
            where = engine.url.render_as_string(hide_password=True)
            raise Conflict(
                f"the projection in {where} has shape {found}, and {PROJECTION} is the newest known here",
                hint="upgrade this gateway too, or give it an index of its own: postgresql.index_schema",
            )
        if found != PROJECTION:
            metadata.drop_all(connection)
            release.drop(connection, checkfirst=True)
            metadata.create_all(connection)
            release.create(connection)
            connection.execute(release.insert(), {"projection": PROJECTION})


def _found(connection: Connection) -> int | None:
    if not inspect(connection).has_table(release.name):
        return None
    return connection.execute(select(release.c.projection)).scalar_one_or_none()
