"""The database's clock: hosts may disagree about the time, rows must not."""

from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import select

from orchestrator.store.tables import UtcDateTime


class DatabaseNow(ColumnElement[datetime]):
    """SQL expression: the database's clock at execution, plus some seconds.

    Attributes:
        offset_seconds: added to the clock; negative for the past.
    """

    type = UtcDateTime()
    inherit_cache = False

    def __init__(self, offset_seconds: float = 0.0) -> None:
        self.offset_seconds = float(offset_seconds)


@compiles(DatabaseNow, "sqlite")
def _compile_sqlite(element: DatabaseNow, compiler: SQLCompiler, **_: object) -> str:
    # Six digits after the point, as SQLAlchemy writes datetimes: they are compared as text.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{element.offset_seconds:+.3f} seconds')"


@compiles(DatabaseNow, "postgresql")
def _compile_postgresql(element: DatabaseNow, compiler: SQLCompiler, **_: object) -> str:
    # Not now(), which stands still within a transaction.
    return f"(clock_timestamp() + make_interval(secs => {element.offset_seconds:.3f}))"


def database_now(session: Session) -> datetime:
    """The database's time, aware, UTC."""
    return session.execute(select(DatabaseNow())).scalar_one()
