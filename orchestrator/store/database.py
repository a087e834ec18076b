"""One database, SQLite or PostgreSQL: open it, read from it, write to it.

Life: `open_database` (creates the folder, migrates under a lock) or `open_as_it_is` -> any number of `read()` and
`write()` blocks from any number of threads -> `close()`.

    with database.write() as session:      # commits at the end of the block, rolls back on an error
        move(session, experiment_id, ExperimentStatus.QUEUED)
    with database.read() as session:       # one consistent snapshot
        row = get_experiment(session, experiment_id)

Rows stay readable after their block. Never nest two `write()` blocks in one thread.

SQLite: write-ahead log (readers never wait), `synchronous=FULL` (a commit survives a power cut), `BEGIN IMMEDIATE`
(a writer waits at its start, where waiting is possible, and not in its middle, where SQLite refuses), and one lock
per file and process, because waiting in a queue is far cheaper than SQLite's sleep and retry. The same file may be
written by several processes of one host.
"""

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from orchestrator.errors import StateLostError, StoreError
from orchestrator.store.schema import SILENCE_SECONDS, migrate, require_newest
from orchestrator.store.sqlite_writer import Writer, find_writer

_BUSY_TIMEOUT_SECONDS = 30.0
_MIGRATION_LOCK = 0x5167_6D61
"""Key of PostgreSQL's advisory lock ("sigma"); any constant number does."""

_write_locks: dict[str, threading.Lock] = {}
_write_locks_guard = threading.Lock()


class Database:
    """An open, migrated database. Make it with `open_database`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._file = _DatabaseFile(Path(engine.url.database or "")) if engine.dialect.name == "sqlite" else None
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._lock = _write_lock(engine.url) if self._is_sqlite else None
        read_options: dict[str, Any] = (
            {"sigmalab_begin": "BEGIN"}
            if self._is_sqlite
            # One snapshot for all statements of a block, as SQLite gives it.
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        self._reading = sessionmaker(engine.execution_options(**read_options), expire_on_commit=False)
        self._writing = sessionmaker(engine.execution_options(sigmalab_begin="BEGIN IMMEDIATE"), expire_on_commit=False)

    @property
    def name(self) -> str:
        """Where the database is, for people: without user and password."""
        return describe(self._engine.url)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session on one consistent snapshot; what is changed in it is thrown away.

        Raises:
            StoreError: the database does not answer.
        """
        with self._translated(), self._reading() as session:
            self._check_file()
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or changes nothing if the block raises.

        Raises:
            StoreError: the database does not answer, or is locked for too long.
        """
        with self._translated(), self._write_turn(), self._writing.begin() as session:
            self._check_file()
            yield session

    def ping(self) -> None:
        """Ask the database for something.

        Raises:
            StoreError: it does not answer.
        """
        with self.read() as session:
            session.execute(select(1))

    def find_writer(self) -> Writer | None:
        """Which process holds SQLite's write lock right now (`None`: nobody, or it can't be told)."""
        return find_writer(Path(self._engine.url.database or "")) if self._is_sqlite else None

    def close(self) -> None:
        """Close all idle connections; those in use close when their block ends."""
        self._engine.dispose()

    def _check_file(self) -> None:
        # Before the first statement: a new connection would make an empty file in the place of a removed one.
        if self._file is not None:
            self._file.check()

    @contextmanager
    def _write_turn(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        if not self._lock.acquire(timeout=_BUSY_TIMEOUT_SECONDS):
            raise StoreError(f"{self.name}: could not write within {_BUSY_TIMEOUT_SECONDS:.0f} s")
        try:
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, DataError, ProgrammingError):
            # The database works; the code that asked is wrong.
            raise
        except DBAPIError as error:
            raise StoreError(f"{self.name}: {_first_line(error)}") from error
        except PoolTimeoutError as error:
            raise StoreError(f"{self.name}: all connections are in use") from error


class _DatabaseFile:
    """SQLite's file. Removed, it lives on in open connections, and what is written to it is lost with them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = self._look()

    def check(self) -> None:
        """See whether the path still leads to it.

        Raises:
            StateLostError: it was removed or cut to nothing, or another file is in its place.
        """
        if self._look() != self._key:
            raise StateLostError(
                f"the database {self._path} was removed, replaced or emptied while this process uses it: nothing is "
                "read from it or written to it. Put it back, or stop the service and start it again"
            )

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        # A number of its own is not enough: a file system gives a removed file's to the next one, a folder too.
        return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) and found.st_size else None


def open_database(url: str, *, must_exist: bool = False, silence_seconds: float = SILENCE_SECONDS) -> Database:
    """Open a database and bring it to the newest schema.

    Args:
        url: `sqlite:///<file>`, `postgresql://...` or `postgresql+psycopg://...`.
        must_exist: whether somebody else has made it: a SQLite file that is missing is not made anew.
        silence_seconds: how long a driver that lives may be silent; under one that works no schema is changed.

    Raises:
        StoreError: bad URL, not reachable, newer schema, or another program's tables; it does not exist; or it has
            an older schema, and a driver works with it.
    """
    with _opening(url, must_exist=must_exist) as engine, _migration_lock(engine) as connection:
        migrate(connection, silence_seconds)
    return Database(engine)


def open_as_it_is(url: str) -> Database:
    """Open a database that is there, has the newest schema, and is to be left alone.

    Raises:
        OldSchemaError: it has an older schema, or no tables yet.
        StoreError: bad URL, not reachable, newer schema, or another program's tables; or it does not exist.
    """
    with (
        _opening(url, must_exist=True) as engine,
        engine.execution_options(sigmalab_begin="BEGIN").connect() as connection,
    ):
        require_newest(connection)
    return Database(engine)


@contextmanager
def _opening(url: str, *, must_exist: bool) -> Iterator[Engine]:
    """An engine, closed again if something is wrong with the database, and that in words."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        refuse_lost(Path(parsed.database or ""), must_exist=must_exist)
    engine = _sqlite_engine(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql_engine(parsed)
    try:
        yield engine
    except DBAPIError as error:
        engine.dispose()
        raise StoreError(f"can't open {describe(parsed)}: {_first_line(error)}") from error
    except BaseException:
        engine.dispose()
        raise


def refuse_lost(file: Path, *, must_exist: bool) -> None:
    """Refuse an SQLite file that is not what it was.

    Raises:
        StateLostError: it is cut to nothing, or missing where somebody else has made it.
    """
    if must_exist and not file.exists():
        raise StateLostError(f"the database {file} is gone; it was there when this work was handed in")
    if file.is_file() and file.stat().st_size == 0:
        # To SQLite that is a new database without tables.
        raise StateLostError(
            f"the database {file} was cut to 0 bytes, and its experiments are gone: put a copy back; or, to begin with "
            "an empty one, remove it"
        )


def describe(url: URL) -> str:
    """A URL for people: no user, no password, no query."""
    return URL.create(url.get_backend_name(), host=url.host, port=url.port, database=url.database).render_as_string()


def parse_url(url: str) -> URL:
    """A database's URL; raises StoreError if it is none of SQLite's or PostgreSQL's."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        # The URL itself may hold a password: it is not quoted.
        raise StoreError(
            "the database URL can't be read; write sqlite:////absolute/path.db or postgresql://user@host/name"
        ) from error
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(f"unknown database {parsed.drivername!r}; sqlite and postgresql are supported")
    if parsed.database in (None, "", ":memory:"):
        raise StoreError("an in-memory SQLite database can't be shared between processes; name a file")
    return parsed


def _sqlite_engine(url: URL) -> Engine:
    file = Path(url.database or "").absolute()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"can't make the folder of {file}: {error.strerror}") from error
    engine = create_engine(
        url.set(database=str(file)),
        # Our own BEGIN, below, instead of the one that sqlite3 sends whenever it sees fit.
        connect_args={"isolation_level": None, "timeout": _BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        pool_size=32,
        max_overflow=32,
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:  # noqa: ANN401 (a sqlite3.Connection, untyped in the event)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        statement: str | None = connection.get_execution_options()["sigmalab_begin"]
        if statement is not None:
            connection.exec_driver_sql(statement)

    return engine


def _postgresql_engine(url: URL) -> Engine:
    return create_engine(
        url,
        # A server that restarted left dead connections in the pool.
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=22,
        connect_args={"connect_timeout": 5, "application_name": "sigmalab"},
    )


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[Connection]:
    """A transaction in which no other process migrates this database."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            yield connection
        return
    file = Path(engine.url.database or "")
    with _file_lock(Path(f"{file}.lock")):
        if not file.exists():
            _make_file(file)
        # The switch to the write-ahead log is refused inside a transaction, and while another process makes it.
        with engine.execution_options(sigmalab_begin=None).connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        with engine.execution_options(sigmalab_begin="BEGIN IMMEDIATE").begin() as connection:
            yield connection


def _make_file(file: Path) -> None:
    """A new database with all its tables, for this user alone, whole or not at all: a file that is there is not empty.

    SQLite gives its write-ahead log the mode of the database. A log that a removed database has left is removed, too:
    it would be taken for the new one's.
    """
    # A link stays one.
    file = file.resolve()
    draft = file.with_name(f"{file.name}.new")
    try:
        for left in (draft, *_side_files(draft), *_side_files(file)):
            left.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        engine = _sqlite_engine(URL.create("sqlite", database=str(draft)))
        try:
            with engine.execution_options(sigmalab_begin=None).connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            with engine.execution_options(sigmalab_begin="BEGIN IMMEDIATE").begin() as connection:
                migrate(connection)
        finally:
            # The last connection brings all that is in the log into the file.
            engine.dispose()
        draft.replace(file)
    except OSError as error:
        raise StoreError(f"can't make {file}: {error.strerror}") from error


def _side_files(file: Path) -> tuple[Path, ...]:
    return tuple(file.with_name(f"{file.name}{ending}") for ending in ("-wal", "-shm"))


@contextmanager
def _file_lock(file: Path) -> Iterator[None]:
    try:
        handle = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "a")
    except OSError as error:
        raise StoreError(f"can't write {file}: {error.strerror}") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write_lock(url: URL) -> threading.Lock:
    """The one lock of a file in this process, however many `Database` objects are open on it."""
    with _write_locks_guard:
        return _write_locks.setdefault(str(Path(url.database or "").resolve()), threading.Lock())


def _first_line(error: DBAPIError) -> str:
    """The driver's own words, without the statement and its values."""
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error).__name__
