"""INSERT ... ON CONFLICT, which both databases have and SQLAlchemy keeps in two places."""

from collections.abc import Mapping, Sequence

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from orchestrator.store.tables import Table


def insert_or(
    session: Session, table: type[Table], rows: Sequence[Mapping[str, object]] | None = None
) -> sqlite.Insert | postgresql.Insert:
    """An insert that takes `.on_conflict_do_nothing(...)` or `.on_conflict_do_update(...)`.

    Args:
        session: tells which database it is for.
        table: where to insert.
        rows: the values (`None`: they are passed when the statement is executed, in bulk).
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    return statement if rows is None else statement.values(list(rows))
