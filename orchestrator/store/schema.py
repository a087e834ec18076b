"""The schema's version: bring a database to the newest one, or say why that can't be done."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from orchestrator.errors import StoreError
from orchestrator.store.tables import Table

VERSION_TABLE = "sigmalab_schema"
"""Not Alembic's default name: MLflow uses that one, and a database may be shared by mistake."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Upgrade to the newest schema, within the caller's transaction and lock.

    Raises:
        StoreError: the schema is newer than this code, or the tables are another program's.
    """
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is None:
        _refuse_foreign_tables(connection)
    elif current not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(
            f"the database has schema version {current}, which this version of sigmalab does not know "
            f"(its newest is {scripts.get_current_head()}); upgrade sigmalab or use another database"
        )
    command.upgrade(config, "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration without an ini file, bound to an open connection."""
    config = Config()
    # `%` would start an interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _refuse_foreign_tables(connection: Connection) -> None:
    """MLflow, too, has tables named `experiments` and `metrics`."""
    taken = sorted(set(Table.metadata.tables) & set(inspect(connection).get_table_names()))
    if taken:
        raise StoreError(
            f"the database already holds tables of another program ({', '.join(taken)}); "
            "give sigmalab a database of its own"
        )
