"""A database as an earlier version left it: real experiments, run by `sigmalab serve` with a real Ray and MLflow.

`kept/schema_0008.sql` is SQLite's own dump. In it are one experiment with a search that has succeeded and of which
MLflow has everything, and one that was caught in the middle: two trials train (of one, MLflow knows nothing yet), one
has just ended, one has not begun, and ten values wait. Its service is `lab`; nothing else was changed.
"""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from sqlalchemy import JSON, Boolean, Column, DateTime, MetaData, create_engine, insert, text

from orchestrator.store.schema import VERSION_TABLE, alembic_config

SUCCEEDED = "1m8dtx2p4znzpee"
INTERRUPTED = "1m8dv4fxbgzt8mh"
_DUMP = Path(__file__).parent / "kept" / "schema_0008.sql"


def restore(url: str) -> None:
    """Put it into an empty database of either kind, as it was: nothing is migrated yet."""
    if url.startswith("sqlite:///"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        file.executescript(_DUMP.read_text())
        file.close()
        return
    kept = sqlite3.connect(":memory:")
    kept.row_factory = sqlite3.Row
    kept.executescript(_DUMP.read_text())
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0008")
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if table.name == VERSION_TABLE:
                continue
            rows = [
                {column.name: _value_of(column, row[column.name]) for column in table.columns}
                for row in kept.execute(f"SELECT * FROM {table.name}")
            ]
            connection.execute(insert(table), rows)
            if "id" in table.columns and not isinstance(rows[0]["id"], str):
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                connection.execute(text(f"SELECT setval({sequence}, (SELECT max(id) FROM {table.name}))"))
    engine.dispose()
    kept.close()


def _value_of(column: Column[object], stored: object) -> object:
    if stored is None:
        return None
    if isinstance(column.type, Boolean):
        return bool(stored)
    if isinstance(column.type, DateTime):
        return datetime.fromisoformat(str(stored)).replace(tzinfo=UTC)
    return json.loads(str(stored)) if isinstance(column.type, JSON) else stored
