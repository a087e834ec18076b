"""What a database is, without changing it: for those who want to know before anything is opened."""

from pathlib import Path
from typing import NamedTuple

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from orchestrator.errors import StoreError
from orchestrator.store.database import describe, parse_url, refuse_lost
from orchestrator.store.schema import VERSION_TABLE, alembic_config


class Inspected(NamedTuple):
    """A database, as it was found."""

    name: str
    """Where it is, without user and password."""
    version: str | None
    """Its schema's version (`None`: it has none, or is not there yet)."""
    newest: str | None
    """The version that this code makes."""
    is_known: bool
    """Whether this code can bring it to the newest one."""


def inspect_database(url: str) -> Inspected:
    """Look; no file is made, no table changed.

    Raises:
        StoreError: bad URL, or not reachable.
    """
    parsed = parse_url(url)
    arguments: dict[str, object] = {"connect_timeout": 5}
    if parsed.get_backend_name() == "sqlite":
        file = Path(parsed.database or "").absolute()
        if not file.exists():
            return Inspected(f"{describe(parsed)}, not there yet", None, None, is_known=True)
        refuse_lost(file, must_exist=True)
        parsed, arguments = parsed.set(database=f"file:{file}", query={"mode": "ro", "uri": "true"}), {}
    engine = create_engine(parsed, connect_args=arguments)
    try:
        with engine.connect() as connection:
            scripts = ScriptDirectory.from_config(alembic_config(connection))
            current = MigrationContext.configure(
                connection, opts={"version_table": VERSION_TABLE}
            ).get_current_revision()
    except DBAPIError as error:
        raise StoreError(f"{describe(parse_url(url))}: {str(error.orig).strip().partition(chr(10))[0]}") from error
    finally:
        engine.dispose()
    known = {script.revision for script in scripts.walk_revisions()}
    return Inspected(describe(parse_url(url)), current, scripts.get_current_head(), is_known=current in known)
