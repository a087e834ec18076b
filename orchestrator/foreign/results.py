"""Results of somebody else's trainings, and the question that is asked of them."""

from typing import NamedTuple

from orchestrator.errors import OrchestratorError
from orchestrator.statistics.comparison import Cell
from trainers.metrics import Metric


class ForeignResultsError(OrchestratorError):
    """Results that can't be compared; it carries everything that is wrong with them, each with its place.

    Attributes:
        problems: one sentence each.
    """

    code = "results_unusable"

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by the problems, not by the message."""
        return ForeignResultsError, (self.problems,)


class Row(NamedTuple):
    """One training, as a source tells of it."""

    place: str
    """Where it stands, for people: `line 7`, `run 3f2a`."""
    values: dict[str, str | float | None]
    """Column -> what stands there."""


class Table(NamedTuple):
    """All that a source tells."""

    source: str
    """How messages and the report call it."""
    digest: str
    """SHA-256 over what was read."""
    columns: tuple[str, ...]
    """All columns that any row has, in their order."""
    rows: tuple[Row, ...]
    """The trainings."""
    num_passed_over: int = 0
    """Further ones that were not asked for."""


class ForeignResult(NamedTuple):
    """One training."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    seed: int
    """The replicate."""
    value: float | None
    """Its metric as it was recorded (`None`: there is none)."""
    missing_because: str = ""
    """Why there is no value, for people."""


class ForeignResults(NamedTuple):
    """The trainings that are compared."""

    table: Table
    """Where they were read."""
    columns: dict[str, str]
    """`arm`, `seed`, `metric`, ... -> the column that it was taken from."""
    num_passed_over: int
    """Trainings that were not asked for (`--where`, `--pattern`)."""
    results: tuple[ForeignResult, ...]
    """At most one for each cell, arm and seed."""


class ForeignQuestion(NamedTuple):
    """What is asked of foreign results."""

    control: str
    """Name of the control arm."""
    metric: str
    """Name of the compared metric."""
    measure: Metric
    """Its unit and direction."""
    question: str = ""
    """In words."""
    confidence: float = 0.95
    """Of every interval."""
    equivalence_margin: float = 0.0
    """Smallest effect that matters, in the unit of the effects (0: equivalence is never claimed)."""
    is_any_time: bool = False
    """Whether results were looked at before it was settled how many seeds there are."""
