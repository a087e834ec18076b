"""The real store on a real SQLite file, with a clock that the schedule moves, answers that get lost, and a look at who
writes what."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, event, text
from sqlalchemy.orm import Session

from orchestrator.errors import StaleAttemptError, StoreError
from orchestrator.store.database import Database, _sqlite_engine
from tests.simulation.threads import wall

if TYPE_CHECKING:
    from tests.simulation.world import World

_WRITES = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_FENCED = frozenset({"experiments", "driver_attempts", "trials", "metrics", "events"})
"""Tables of which a driver that was replaced changes nothing."""
_HELPERS = frozenset({"Recorder._writing", "Watch.__enter__"})


def open_engine(file: Path, world: "World") -> Engine:
    """An engine whose SQL asks for the schedule's time."""
    engine = _sqlite_engine(URL.create("sqlite", database=str(file)))

    def strftime(form: str, moment: str, offset: str) -> str:
        assert (form, moment) == ("%Y-%m-%d %H:%M:%f000", "now"), (form, moment)
        at = wall(world.database_seconds() + float(offset.removesuffix(" seconds")))
        return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}000"

    @event.listens_for(engine, "connect")
    def set_clock(connection: Any, _: object) -> None:
        connection.create_function("strftime", 3, strftime)
        # Its file lies in memory.
        connection.execute("PRAGMA synchronous=OFF")

    @event.listens_for(engine, "before_cursor_execute")
    def note(*arguments: Any) -> None:
        if (found := _WRITES.match(arguments[2])) is not None:
            world.written.add(found[1])

    return engine


class QuietDatabase(Database):
    """The database of the one who looks: nothing goes wrong with it."""

    def _check_file(self) -> None:
        """Nobody removes it."""


class SimulatedDatabase(QuietDatabase):
    """What one process has of the database."""

    def __init__(self, engine: Engine, world: "World") -> None:
        super().__init__(engine)
        self._world = world

    @contextmanager
    def read(self) -> Iterator[Session]:
        world = self._world
        world.before(f"read {caller()}", may_crash=False)
        if world.chance.happens("database", 0.1):
            raise StoreError("the database does not answer")
        with super().read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        world, place = self._world, caller()
        process = world.scheduler.current.process if world.scheduler.current else None
        world.before(place)
        if world.chance.happens("database", 0.3):
            raise StoreError("the database does not answer")
        world.written = set()
        is_stale = False
        try:
            with super().write() as session:
                attempt = None if process is None else world.attempts.get(process)
                if attempt is not None:
                    is_stale = _is_stale(session, *attempt)
                yield session
        except StaleAttemptError:
            world.coverage.sometimes("a stale attempt's write was refused")
            raise
        if is_stale and world.written & _FENCED:
            world.complain(f"{process} was replaced, and has written {sorted(world.written & _FENCED)} in {place}")
        if process is None:
            return
        if "leases" in world.written:
            world.look_at_leases()
        if world.chance.happens("database", 0.2):
            world.coverage.sometimes("a commit's answer was lost")
            raise StoreError("the connection was lost after the commit")
        world.after(place)


def _is_stale(session: Session, experiment_id: str, attempt: int) -> bool:
    newest = session.execute(
        text(
            "SELECT experiments.attempt, driver_attempts.ended_at FROM experiments JOIN driver_attempts "
            "ON experiment_id = id AND number = :attempt WHERE id = :id"
        ),
        {"id": experiment_id, "attempt": attempt},
    ).one()
    return newest[0] != attempt or newest[1] is not None


def caller() -> str:
    """Which of our functions touches the world: `Recorder.on_trial_start`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_qualname
        if "/orchestrator/" in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename:
            if name not in _HELPERS and not name.startswith("Database."):
                return name
        elif "/tests/simulation/scene" in frame.f_code.co_filename:
            return f"scene {name}"
        frame = frame.f_back
    return "scene"
