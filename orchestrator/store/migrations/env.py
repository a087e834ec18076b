"""Alembic runs this file: migrate over the connection that `orchestrator.store.schema` hands in."""

from alembic import context

from orchestrator.store.schema import VERSION_TABLE
from orchestrator.store.tables import Table

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
    # SQLite can't alter a table; Alembic copies it instead.
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
