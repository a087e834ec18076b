"""A tracker in memory that keeps all that it is sent: what comes twice, at another time or in a second run, shows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar

from orchestrator.status import ExperimentStatus, TrialStatus
from orchestrator.tracking.tracker import NewRun, Point, Tracker, TrackerUnavailableError

if TYPE_CHECKING:
    from tests.simulation.world import World

ResultT = TypeVar("ResultT")


@dataclass
class Run:
    experiment_id: str
    key: str
    points: set[Point] = field(default_factory=set)
    status: str = ""


class TrackingServer:
    """What it has."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.away_until = 0.0
        self._num_runs = 0

    def create(self, run: NewRun) -> str:
        self._num_runs += 1
        self.runs[f"r{self._num_runs}"] = Run(run.experiment_id, run.key)
        return f"r{self._num_runs}"

    def found(self, key: str) -> str | None:
        return next((run_id for run_id, run in self.runs.items() if run.key == key), None)


class SimulatedTracker(Tracker):
    """A client of it; any request and any answer may be lost."""

    name, title = "mlflow", "MLflow"

    def __init__(self, world: "World") -> None:
        self._world, self._server = world, world.tracking

    def _ask(self, what: str, answer: Callable[[], ResultT]) -> ResultT:
        world = self._world
        world.before(f"Tracker.{what}")
        if self._server.away_until > world.scheduler.now or world.chance.happens("mlflow"):
            raise TrackerUnavailableError("nobody answers")
        found = answer()
        if world.chance.happens("mlflow"):
            answer()
        if world.chance.happens("mlflow"):
            raise TrackerUnavailableError("the answer was lost")
        world.after(f"Tracker.{what}")
        return found

    def ensure_group(self, experiment_id: str, name: str, known: str | None) -> str:
        return known or f"group-{experiment_id}"

    def ensure_run(self, group: str, run: NewRun) -> str:
        # MLflow has no "make unless it is there": two may search at once, and both make one.
        found = self._ask("search", lambda: self._server.found(run.key))
        return found or self._ask("create", lambda: self._server.create(run))

    def known_runs(self, group: str, experiment_id: str) -> Iterable[tuple[str, str]]:
        runs = self._server.runs.items()
        return self._ask("list", lambda: [(run.key, name) for name, run in runs if run.experiment_id == experiment_id])

    def discard(self, run: str) -> None:
        self._world.coverage.sometimes("a tracker's run was made twice and one discarded")
        self._ask("discard", lambda: self._server.runs.pop(run, None))

    def reopen(self, run: str) -> None:
        self._ask("reopen", lambda: setattr(self._server.runs[run], "status", ""))

    def params(self, run: str, params: Mapping[str, bool | float | str], at: datetime) -> None: ...

    def log(self, run: str, points: Sequence[Point]) -> None:
        if self._server.runs[run].points & set(points):
            self._world.coverage.sometimes("a point was sent twice")
        self._ask("log", lambda: self._server.runs[run].points.update(points))

    def describe(self, run: str, note: str, tags: Mapping[str, str], at: datetime) -> None: ...

    def attach(self, run: str, folder: Path, at: datetime, tables: Sequence[str] = ()) -> None: ...

    def close(self, run: str, status: TrialStatus | ExperimentStatus, at: datetime) -> None:
        self._ask("close", lambda: setattr(self._server.runs[run], "status", str(status)))


def kind_of(world: "World") -> SimpleNamespace:
    """A `TrackerKind`, as far as it is asked."""
    return SimpleNamespace(name="mlflow", title="MLflow", open=lambda settings: SimulatedTracker(world))
