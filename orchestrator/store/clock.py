"""The database's clock: hosts may disagree about the time, rows must not."""

from datetime import datetime

from sqlalchemy import literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from orchestrator.store.tables import UtcDateTime


class DatabaseNow(FunctionElement[datetime]):
    """SQL expression: the database's clock when the statement runs, plus some seconds (negative: the past)."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, offset_seconds: float = 0.0) -> None:
        super().__init__(literal(float(offset_seconds)))


@compiles(DatabaseNow, "sqlite")
def _compile_sqlite(element: DatabaseNow, compiler: SQLCompiler, **keywords: object) -> str:
    offset = compiler.process(element.clauses, **keywords)
    # Six digits after the point, as SQLAlchemy writes datetimes: they are compared as text.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', {offset}))"


@compiles(DatabaseNow, "postgresql")
def _compile_postgresql(element: DatabaseNow, compiler: SQLCompiler, **keywords: object) -> str:
    offset = compiler.process(element.clauses, **keywords)
    # Not now(), which stands still within a transaction.
    return f"(clock_timestamp() + make_interval(secs => CAST({offset} AS DOUBLE PRECISION)))"


def database_now(session: Session) -> datetime:
    """The database's time, aware, UTC."""
    return session.execute(select(DatabaseNow())).scalar_one()
