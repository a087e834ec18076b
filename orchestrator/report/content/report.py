"""What a report says, as data: every renderer reads this and nothing else.

Reading order: `Report` at the end of the file, then its parts above it.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from orchestrator.arm_labels import arm_labels, labelled
from orchestrator.report.content.code_diff import CodeDiff
from orchestrator.report.content.curves import BiasSeries, LearningCurve
from orchestrator.report.content.origin import Origin
from orchestrator.report.content.pairs import PlaceboContrast, RepeatCheck
from orchestrator.report.content.position_bias import BiasViews, PositionFit
from orchestrator.report.content.receptive_fields import ReceptiveFields
from orchestrator.report.content.search import SearchSummary
from orchestrator.report.content.shown_images import ShownImages
from orchestrator.search.space import Params
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.by_class import ClassEffect
from orchestrator.statistics.by_image import ImageEffect
from orchestrator.statistics.comparison import Basis, Cell, Comparison, PooledEffect
from orchestrator.statistics.discordant import DiscordantImages
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from trainers.config import TrialConfig
from trainers.result import TrialResult
from trainers.strict import StrictModel

SPEC_FILE = "spec.json"
"""The spec's name in a report's folder."""

_ASK_AGAIN = f"sigmalab run {SPEC_FILE}"


class ExperimentFacts(StrictModel):
    """Which experiment is reported, and where it stands."""

    id: str
    """The experiment's id."""
    name: str
    """Name of the experiment (and of the MLflow experiment)."""
    status: ExperimentStatus
    """Where it stands; a report of a running experiment is a preview."""
    reason: str = ""
    """Why the status is what it is, for people."""
    created_at: datetime
    """When it was submitted (UTC)."""
    ended_at: datetime | None = None
    """When it ended (UTC; `None`: not yet)."""
    mlflow_url: str | None = None
    """Link to the experiment in MLflow (`None`: no MLflow server is set)."""
    num_extensions: int = 0
    """How often seeds were added after it had ended."""
    data_found: dict[str, str] = Field(default_factory=dict)
    """Data set -> what was found where it lies, in one line."""

    @property
    def data_lines(self) -> list[str]:
        """What was found of each data set that lies somewhere."""
        return [f"{name}: {line}" for name, line in self.data_found.items()]


class TrialRecord(StrictModel):
    """One trial of the experiment with all that is known of it (input of `build_report`)."""

    identity: str
    """Digest over config, code and data."""
    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    seed: int
    """The replicate."""
    phase: Phase
    """`search` or `confirm`."""
    params: Params
    """The arm's chosen or proposed params (empty without a search)."""
    config: TrialConfig
    """All that the trial was given."""
    status: TrialStatus
    """Where it stands."""
    error: str = ""
    """Why it failed."""
    attempt: int = 0
    """Executions so far."""
    reused_from: str | None = None
    """Experiment whose identical trial stands in for this one."""
    result: TrialResult | None = None
    """What it left behind (`None`: nothing yet)."""
    mlflow_run_id: str | None = None
    """Its run in MLflow (`None`: none yet)."""


class TrialSummary(StrictModel):
    """One trial in the report: without its curves."""

    identity: str
    """Digest over config, code and data."""
    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    seed: int
    """The replicate."""
    phase: Phase
    """`search` or `confirm`."""
    params: Params
    """The arm's chosen or proposed params (empty without a search)."""
    status: TrialStatus
    """Where it stands."""
    error: str
    """Why it failed."""
    attempt: int
    """Executions so far."""
    reused_from: str | None
    """Experiment whose identical trial stands in for this one."""
    best_epoch: int | None
    """Epoch (from 0) chosen on validation, at which test was scored."""
    metrics: dict[str, float]
    """Final metrics: `best_val/...`, `test/...` (accuracies are fractions)."""
    training_seconds: float | None
    """Wall time of all epochs."""
    mlflow_run_id: str | None
    """Its run in MLflow (`None`: none yet)."""


class ArmSummary(StrictModel):
    """One arm, as the spec wrote it."""

    name: str
    """Its key: what `arm`, `treatment` and `control` say elsewhere in this report."""
    label: str | None = None
    """How sentences, tables and pictures call it (`None`: by its name)."""
    role: Literal["control", "treatment"]
    """Exactly one arm is the control."""
    description: str
    """What it changes, in words; its attention bias only where arms differ in that."""
    is_placebo: bool
    """Whether it has the same numbers without locality (a permuted Gaussian)."""


class Setting(StrictModel):
    """One hyper-parameter of the confirm trials, for an appendix."""

    path: str
    """Dotted path in the trial config."""
    values: dict[str, tuple[str, ...]]
    """Value -> the `<model>/<data set>/<arm>` that have it; one entry: all share it."""


class Exclusion(StrictModel):
    """A trial that enters no comparison, and why. Nothing is dropped in silence."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    seed: int
    """The replicate."""
    status: TrialStatus
    """Where it stands."""
    reason: str
    """Why, for people."""


class Provenance(StrictModel):
    """Which code, data and machines made the numbers."""

    digest: str
    """Digest of the canonical spec, code version and data fingerprints: names the result."""
    facts: dict[str, tuple[str, ...]]
    """Device, versions, data fingerprints, ...: each with the distinct values found over all trials."""
    num_trials: int
    """Trials of the experiment, both phases."""
    num_succeeded: int
    """Those that succeeded, stand-ins included."""
    num_reused: int
    """Those that an identical, earlier trial stands in for."""
    training_seconds: float
    """Training time of the succeeded trials, stand-ins included."""


class Report(StrictModel):
    """Comparisons, what was learned, what was left out, and where it all comes from."""

    experiment: ExperimentFacts
    """Which experiment, and where it stands."""
    question: str
    """The question in words."""
    answers: tuple[str, ...]
    """One plain sentence per comparison, in their order, then one per pooled effect."""
    remarks: tuple[str, ...]
    """What the arms say together (placebo against treatment), and what pairing gained."""
    caveats: tuple[str, ...]
    """What a careful reader must know before repeating the answers."""
    metric: str
    """The compared metric."""
    unit: str
    """Unit of effects: `pp` (percentage points) for accuracies, else the metric's own."""
    confidence: float
    """Confidence of every interval."""
    decimals: int
    """Digits after the point that the intervals' width justifies (at least one, at most six)."""
    arms: tuple[ArmSummary, ...]
    """The control and its treatments."""
    cells: tuple[Cell, ...]
    """Models x data sets."""
    seeds: tuple[int, ...]
    """Replicates of the confirm phase."""
    comparisons: tuple[Comparison, ...]
    """Effect, interval, p and verdict for every cell and treatment, with every pair."""
    pooled: tuple[PooledEffect, ...]
    """One effect per treatment over all cells (only with several cells); outside Holm's family."""
    curves: tuple[LearningCurve, ...] = ()
    """Training loss and the compared metric on validation over epochs, by cell and arm."""
    bias: tuple[BiasSeries, ...]
    """Learned sigma and amplitude, by cell, arm, layer."""
    position: tuple[PositionFit, ...] = ()
    """Gaussians fitted to the learned position embeddings themselves, by cell, arm, part and layer."""
    bias_views: BiasViews | None = None
    """What a query token sees of these embeddings and of the Gaussian (`None`: no trial has a position bias)."""
    receptive_fields: ReceptiveFields | None = None
    """What the model sees, before and after training (`None`: the spec does not ask for it)."""
    repeats: tuple[RepeatCheck, ...] = ()
    """Of treatments that only repeat their control: whether the machine gave the same numbers again."""
    code_diffs: tuple[CodeDiff, ...] = ()
    """What differs in the code, for every treatment that runs other code than the control."""
    placebo_contrasts: tuple[PlaceboContrast, ...] = ()
    """Every treatment against every placebo."""
    other_metrics: tuple[Comparison, ...] = ()
    """Every other metric of the compared one's split: one per metric, cell and treatment; outside the correction of the
    comparisons, and `p_value` is not adjusted for their number."""
    image_effects: tuple[ImageEffect, ...] = ()
    """Effects on the scores of single images, of tasks that score each image; outside that correction, too."""
    shown_images: tuple[ShownImages, ...] = ()
    """A few images of each cell with what the arms say of them."""
    class_effects: tuple[ClassEffect, ...] = ()
    """Effects on every class by itself, of tasks that score classes; outside the correction of the comparisons."""
    discordant: tuple[DiscordantImages | None, ...] = ()
    """Per comparison, in their order: images that only one arm got right (`None`: no predictions at hand)."""
    settings: tuple[Setting, ...] = ()
    """Hyper-parameters of the confirm trials."""
    spec: ExperimentSpec | None
    """The question as it was asked: `sigmalab run` with this file asks it again (`None`: sigmalab trained nothing)."""
    searches: tuple[SearchSummary, ...]
    """What the search phase tried and chose."""
    num_pending: int = 0
    """Confirm trials that have not ended yet."""
    exclusions: tuple[Exclusion, ...]
    """Trials that ended without a result and enter no comparison."""
    trials: tuple[TrialSummary, ...]
    """Every trial."""
    provenance: Provenance
    """Which code, data and machines."""
    origin: Origin | None = None
    """Where results come from that sigmalab did not train (`None`: it trained them)."""

    @property
    def is_over(self) -> bool:
        """Whether no further pair will come."""
        return self.experiment.status.is_final

    def is_repeated(self, comparison: Comparison) -> bool | None:
        """Of a control that was trained once more, whether every pair is exactly equal (`None`: it was not)."""
        places = {(check.cell.key, check.treatment): check.is_exact for check in self.repeats}
        return places.get((comparison.cell.key, comparison.treatment))

    @property
    def standing(self) -> str:
        """Where the experiment stands, in words; of what sigmalab did not train, that."""
        return self.experiment.status.value if self.origin is None else "not trained by sigmalab"

    @property
    def ask_again(self) -> str:
        """The command that asks the same question again, beside the files of the report."""
        return _ASK_AGAIN if self.origin is None else self.origin.ask_again

    @property
    def basis(self) -> Basis:
        """How it was decided that there are so many pairs: one decision for all comparisons."""
        return self.comparisons[0].basis

    @property
    def control(self) -> str:
        """Name of the control arm."""
        return next(arm.name for arm in self.arms if arm.role == "control")

    def for_people(self) -> "Report":
        """The same report with the arms' labels in place of their names: what all formats take that people read."""
        return labelled(self, arm_labels(self.arms))
