"""Brings the primary data to the schema of this code: alembic revisions, the same for SQLite and PostgreSQL.

The projection needs none: it is rebuilt (`registry.index.release`). A pool without a revision is of release
0.1.0, which is the first one; an empty database gets the newest schema at once.
tests/conformance/test_migrations.py holds both ways to the same schema, and every row of 0.1.0 to its place.
"""

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    inspect,
    select,
)

from registry.database import reading, writing
from registry.errors import Conflict
from registry.pool.schema import metadata

HEAD = "0005"
# Alembic's own table, so that its command line finds what we wrote, and we what it wrote.
revisions = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def prepare(engine: Engine) -> None:
    """Make or upgrade the tables in one transaction; Conflict when a newer release wrote them."""
    with reading(engine) as connection:
        if _revision(connection) == HEAD:
            return
    # Gateways that start at once wait here for the first one.
    with writing(engine) as connection:
        found = _revision(connection)
        if found is None and not inspect(connection).get_table_names():
            metadata.create_all(connection)
            revisions.create(connection)
            connection.execute(revisions.insert(), {"version_num": HEAD})
        elif found is None or found < HEAD:
            _upgrade(connection)
        elif found > HEAD:
            raise _newer(engine, found)


def due(engine: Engine) -> str | None:
    """What `prepare` would do, in words; None when nothing. Changes nothing."""
    with reading(engine) as connection:
        found = _revision(connection)
        has_tables = bool(inspect(connection).get_table_names())
    if found is None and not has_tables:
        return "has no tables yet: the next start makes them"
    if found == HEAD:
        return None
    if found is not None and found > HEAD:
        return _newer(engine, found).message
    return f"has schema {found or 'of 0.1.0'}: the next start upgrades it to {HEAD}; make a backup before"


def _newer(engine: Engine, found: str) -> Conflict:
    where = engine.url.render_as_string(hide_password=True)
    return Conflict(
        f"the pool in {where} has schema {found}, and this release knows {HEAD} as the newest",
        hint="install the release that wrote it, or restore the backup taken before the upgrade",
    )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(revisions.name):
        return None
    return connection.execute(select(revisions.c.version_num)).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "registry.pool:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
