"""The schema's version: bring a database to the newest one, or say why that can't be done."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, func, inspect, select, table

from orchestrator.errors import OldSchemaError, StoreError
from orchestrator.store.clock import DatabaseNow
from orchestrator.store.tables import DriverAttemptRow, Table

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "sigmalab_schema"
"""Not Alembic's default name: MLflow uses that one, and a database may be shared by mistake."""

SILENCE_SECONDS = 180.0
"""A driver that was not heard of for longer is dead, unless `Settings.heartbeat_timeout_seconds` says otherwise."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_TOLERANCE_SECONDS = 1.0
"""What was heard of further in the future was written before the database's clock was set back."""


def migrate(connection: Connection, silence_seconds: float = SILENCE_SECONDS) -> None:
    """Upgrade to the newest schema, within the caller's transaction and lock.

    Args:
        connection: of the caller's transaction.
        silence_seconds: how long a driver that lives may be silent.

    Raises:
        StoreError: the schema is newer than this code, the tables are another program's, or drivers of an earlier
            version are at work, whose columns would go under their feet.
    """
    current = _known_revision(connection)
    if current == revisions()[-1]:
        return
    if current is not None:
        _refuse_while_drivers_work(connection, current, silence_seconds)
    # Half a second that nobody pays whose database is up to date: every `sigmalab plan`, for one.
    from alembic import command  # noqa: PLC0415

    command.upgrade(alembic_config(connection), "head")


def require_newest(connection: Connection) -> None:
    """Let only those go on who find the tables that this code reads; nothing is changed.

    Raises:
        OldSchemaError: they are an earlier version's, or not there yet.
        StoreError: the schema is newer than this code, or the tables are another program's.
    """
    current, newest = _known_revision(connection), revisions()[-1]
    if current != newest:
        raise OldSchemaError(current, newest)


def revisions() -> list[str]:
    """The schema's versions, oldest first: the numbers that the files of migrations begin with."""
    return sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _known_revision(connection: Connection) -> str | None:
    """The database's (`None`: it has no tables of ours, nor another program's).

    Raises:
        StoreError: it is newer than this code, or the tables are another program's.
    """
    current, known = None, revisions()
    if inspect(connection).has_table(VERSION_TABLE):
        current = connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    if current is None:
        _refuse_foreign_tables(connection)
    elif current not in known:
        raise StoreError(
            f"the database has schema version {current}, which this version of sigmalab does not know "
            f"(its newest is {known[-1]}); upgrade sigmalab or use another database"
        )
    return current


def _refuse_while_drivers_work(connection: Connection, current: str, silence_seconds: float) -> None:
    """One that has not spoken yet counts from its start. Only columns that every schema has are read."""
    heard_at = func.coalesce(DriverAttemptRow.heartbeat_at, DriverAttemptRow.started_at)
    open_attempts = connection.execute(
        select(DriverAttemptRow.experiment_id, DriverAttemptRow.number, heard_at)
        .where(DriverAttemptRow.ended_at.is_(None))
        .order_by(DriverAttemptRow.experiment_id)
    ).all()
    now = connection.execute(select(DatabaseNow())).scalar_one()
    working = {
        (experiment_id, number): age
        for experiment_id, number, at in open_attempts
        if -_TOLERANCE_SECONDS <= (age := (now - at).total_seconds()) <= silence_seconds
    }
    if not working:
        return
    told = ", ".join(f"{id_} (attempt {number}, {max(age, 0):.0f} s ago)" for (id_, number), age in working.items())
    wait = silence_seconds - min(working.values())
    raise StoreError(
        f"the database has schema {current}, with which an earlier version of sigmalab is running experiments right "
        "now; "
        f"drivers were heard of: {told}. To bring it to schema {revisions()[-1]} would break them: nothing was "
        "changed. Let them end with the earlier version, or `sigmalab cancel` them, then start again; drivers that "
        f"were killed are forgotten in {wait:.0f} s"
    )


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
