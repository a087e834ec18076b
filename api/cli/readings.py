"""The parts of a JSON report that the terminal shows, whichever version of the service wrote it.

`orchestrator.report.Report` is the whole, and reads its own version's reports alone: it refuses a field that a newer
service added, and a spec whose data set or model is of a kind that only the service has. Importing it takes a second,
too, in which the command line is to have answered.
"""

from pydantic import ConfigDict, Field

from api.views import View
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.status import ExperimentStatus


class LearnedBias(View):
    """Sigma or amplitude of one layer (or head), before and after training."""

    cell: Cell
    arm: str
    quantity: str
    layer: int
    head: int | None
    is_learned: bool
    initial: float
    final_mean: float
    final_sd: float | None


class Excluded(View):
    """A trial that enters no comparison, and why."""

    cell: Cell
    arm: str
    seed: int
    status: str
    reason: str


class LearnedPosition(View):
    """The Gaussian fitted to what one layer learned about position, over seeds."""

    cell: Cell
    arm: str
    part: str
    layer: int | None
    num_seeds: int
    num_gaussian: int
    num_not_fitted: int
    sigma_mean: float | None
    sigma_sd: float | None
    r_squared_mean: float | None
    r_squared_sd: float | None


class FieldLevel(View):
    """One metric of one arm's receptive fields, before and after training."""

    cell: Cell
    arm: str
    metric: str
    initial_mean: float | None
    final_mean: float | None
    final_sd: float | None


class ReceptiveFields(View):
    """What the arms' models see."""

    levels: tuple[FieldLevel, ...]
    unreadable: tuple[object, ...] = ()


class ExperimentReading(View):
    """Where the experiment stands."""

    status: ExperimentStatus
    data_found: dict[str, str] = Field(default_factory=dict)


class ArmReading(View):
    """What an arm is called."""

    name: str
    label: str | None = None


class RepeatReading(View):
    """Whether a training was repeated with the same metrics."""

    cell: Cell
    treatment: str
    num_pairs: int
    num_equal: int
    text: str


class ComparisonReading(Comparison):
    """A comparison; what a newer service adds to it is not shown."""

    model_config = ConfigDict(extra="ignore")


class ReportReading(View):
    """What a terminal shows of a report."""

    experiment: ExperimentReading
    metric: str
    unit: str
    decimals: int
    confidence: float
    answers: tuple[str, ...]
    remarks: tuple[str, ...]
    caveats: tuple[str, ...]
    comparisons: tuple[ComparisonReading, ...]
    bias: tuple[LearnedBias, ...]
    position: tuple[LearnedPosition, ...] = ()
    receptive_fields: ReceptiveFields | None = None
    num_pending: int = 0
    arms: tuple[ArmReading, ...] = ()
    exclusions: tuple[Excluded, ...]
    repeats: tuple[RepeatReading, ...] = ()

    def is_repeated(self, comparison: Comparison) -> bool | None:
        """Of a control that was trained once more, whether every pair is exactly equal (`None`: it was not)."""
        for check in self.repeats:
            if (check.cell.key, check.treatment) == (comparison.cell.key, comparison.treatment):
                return 0 < check.num_pairs == check.num_equal
        return None
