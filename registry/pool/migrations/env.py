"""What alembic runs: the revisions, on the connection and within the transaction of `prepare`."""

from alembic import context

from registry.pool.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
