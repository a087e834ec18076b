"""The schema's version: bring a database to the newest one, or say why that can't be done."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

from orchestrator.errors import StoreError
from orchestrator.store.tables import Table

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "sigmalab_schema"
"""Not Alembic's default name: MLflow uses that one, and a database may be shared by mistake."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Upgrade to the newest schema, within the caller's transaction and lock.

    Raises:
        StoreError: the schema is newer than this code, or the tables are another program's.
    """
    current, known = _current_revision(connection), revisions()
    if current == known[-1]:
        return
    if current is None:
        _refuse_foreign_tables(connection)
    elif current not in known:
        raise StoreError(
            f"the database has schema version {current}, which this version of sigmalab does not know "
            f"(its newest is {known[-1]}); upgrade sigmalab or use another database"
        )
    # Half a second that nobody pays whose database is up to date: every `sigmalab plan`, for one.
    from alembic import command  # noqa: PLC0415

    command.upgrade(alembic_config(connection), "head")


def revisions() -> list[str]:
    """The schema's versions, oldest first: the numbers that the files of migrations begin with."""
    return sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))


def alembic_config(connection: Connection) -> "Config":
    """Alembic's configuration without an ini file, bound to an open connection."""
    from alembic.config import Config  # noqa: PLC0415

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
