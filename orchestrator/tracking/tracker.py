"""A tracker: where telemetry goes, so that people can look at curves. The store is the truth and never asks one.

TrackerKind     what `SIGMALAB_TRACKERS` names; light, says where it stands and opens a Tracker
Tracker         takes runs: made, logged to, described, closed
TrackerError
  TrackerUnavailableError     nobody answers: everything waits
  TrackerRefusedError         this one request is refused
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from orchestrator.errors import OrchestratorError
from orchestrator.status import ExperimentStatus, TrialStatus

if TYPE_CHECKING:
    from orchestrator.settings import Settings


class TrackerError(OrchestratorError):
    """A tracker did not take what it was given."""


class TrackerUnavailableError(TrackerError):
    """The tracker does not answer, or is itself in trouble; everything waits."""

    code = "tracker_unavailable"


class TrackerRefusedError(TrackerError):
    """The tracker refused one request; the next one may pass.

    Attributes:
        is_missing: whether it says that it does not have the run, or what holds the runs: it is new, or lost its data.
    """

    code = "tracker_refused"

    def __init__(self, message: str, *, is_missing: bool) -> None:
        self.is_missing = is_missing
        super().__init__(message)


class Point(NamedTuple):
    """One value of one metric."""

    key: str
    """What is measured; its text before the first slash is a section."""
    value: float
    """Finite."""
    at: datetime
    """When it was measured, not when it is sent; aware."""
    step: int
    """Epoch, from 0 (of a comparison: number of pairs)."""


class NewRun(NamedTuple):
    """What is known of a run before it starts."""

    experiment_id: str
    """Its experiment."""
    key: str
    """Names the run for good: `<experiment>/<trial>`, `<experiment>/summary`."""
    name: str
    """For people; may change."""
    tags: Mapping[str, str]
    """What people group, filter and colour by, and (`sigmalab.*`) what machines search by."""
    started_at: datetime
    """Aware."""
    color: str | None = None
    """`#rrggbb`, equal for all runs of an arm (`None`: as it comes)."""


class Tracker(ABC):
    """Takes the runs of experiments: one for each trial, and one for the summary.

    Life of a run: `ensure_run` -> `params`, `log` (often) -> `attach`, `describe` -> `close`; a trial that starts again
    is `reopen`ed. Whoever calls may die between any two calls and calls again: each call has the same effect twice as
    once, and all that it is given is a function of the store's rows, times too.

    Every method raises `TrackerUnavailableError` where nobody answers and `TrackerRefusedError` where this request is
    refused.
    """

    name: ClassVar[str]
    """In `SIGMALAB_TRACKERS` and in the store's notes; never changes."""
    title: ClassVar[str]
    """For people."""

    @abstractmethod
    def ensure_group(self, experiment_id: str, name: str, known: str | None) -> str:
        """Make what holds the runs of an experiment unless it is there; gives its id.

        Args:
            experiment_id: the experiment.
            name: of its spec; several experiments may have it in common.
            known: the id that was given before (`None`: never).

        Raises:
            TrackerRefusedError: `known` is not there any more (`is_missing`); all of the experiment is sent again.
        """

    @abstractmethod
    def ensure_run(self, group: str, run: NewRun) -> str:
        """The id of the run with this key; made unless it is there."""

    @abstractmethod
    def known_runs(self, group: str, experiment_id: str) -> Iterable[tuple[str, str]]:
        """(key, run) of every run of an experiment."""

    @abstractmethod
    def discard(self, run: str) -> None:
        """Remove a run that was made twice: by two shippers at once."""

    @abstractmethod
    def reopen(self, run: str) -> None:
        """It goes on, though it may have been closed."""

    @abstractmethod
    def params(self, run: str, params: Mapping[str, bool | float | str], at: datetime) -> None:
        """What the trial was made of: `attention_bias.sigma` -> 2.0. Given again, they are the same.

        Args:
            run: the run.
            params: flat.
            at: when the run started.
        """

    @abstractmethod
    def log(self, run: str, points: Sequence[Point]) -> None:
        """Keep values; one with the same key, step and time as before is the same value."""

    @abstractmethod
    def describe(self, run: str, note: str, tags: Mapping[str, str], at: datetime) -> None:
        """Say in words what came out.

        Args:
            run: the run.
            note: Markdown.
            tags: further ones.
            at: when that was known.
        """

    @abstractmethod
    def attach(self, run: str, folder: Path, at: datetime, tables: Sequence[str] = ()) -> None:
        """Keep files for people.

        Args:
            run: the run.
            folder: holds them; files in folders below it keep their path.
            at: when what they show was known.
            tables: those among them that are tables: JSON, `{"columns": [...], "data": [[...], ...]}`.
        """

    @abstractmethod
    def close(self, run: str, status: TrialStatus | ExperimentStatus, at: datetime) -> None:
        """The run has ended so, then."""

    def link(self, group: str, experiment_id: str) -> str | None:
        """A page that shows an experiment's runs (`None`: there is none)."""
        return None


class Sight(NamedTuple):
    """Where a tracker stands."""

    is_well: bool
    reason: str
    """One line, for people; without a password."""
    advice: str = ""
    """What to do (empty: nothing)."""


class TrackerKind(ABC):
    """What `SIGMALAB_TRACKERS` names. Importing and asking it loads nothing of the tracker's own library."""

    name: ClassVar[str]
    """As its `Tracker` has it."""
    title: ClassVar[str]
    """As its `Tracker` has it."""

    @abstractmethod
    def is_on(self, settings: "Settings") -> bool:
        """Whether it has what it needs to be used at all, such as an address."""

    @abstractmethod
    def look(self, settings: "Settings") -> Sight:
        """Where it stands now; takes two seconds at most."""

    @abstractmethod
    def open(self, settings: "Settings") -> Tracker:
        """Ready for use; called only if it `is_on`."""
