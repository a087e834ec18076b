"""What a report says, as data: every renderer reads this and nothing else.

Reading order: `Report` at the end of the file, then its parts above it.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field

from orchestrator.arm_labels import arm_labels, labelled
from orchestrator.report.bias_content import BiasViews
from orchestrator.report.field_content import ReceptiveFields
from orchestrator.report.search_content import SearchSummary
from orchestrator.search.space import Params
from orchestrator.spec import ExperimentSpec
from orchestrator.statistics.comparison import Basis, Cell, Comparison, PooledEffect
from orchestrator.statistics.discordant import DiscordantImages
from orchestrator.status import ExperimentStatus, Phase, TrialStatus
from trainers.config import TrialConfig
from trainers.result import BiasPart, TrialResult
from trainers.strict import StrictModel


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


class SeedCurve(StrictModel):
    """One seed's values over epochs."""

    seed: int
    """The replicate."""
    values: tuple[float, ...]
    """One value per epoch."""


class LearningCurve(StrictModel):
    """How one arm trained: a metric over epochs, in all seeds."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    metric: str
    """`train/loss`, or the compared metric's twin on validation."""
    seeds: tuple[SeedCurve, ...]
    """Every seed, in the metric's unit."""


class BiasSeries(StrictModel):
    """A learned sigma or amplitude of one layer (or head), over epochs and seeds."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    quantity: Literal["sigma", "amplitude"]
    """`sigma` in tokens; `amplitude` is A, whose square is the Gaussian's height on the logits."""
    layer: int
    """Layer, from 0."""
    head: int | None
    """Head, from 0 (`None`: one value for all heads of the layer)."""
    is_learned: bool
    """Whether training could change it."""
    initial: float
    """Mean value before training."""
    final_mean: float
    """Mean over seeds after the last epoch."""
    final_sd: float | None
    """Standard deviation (n - 1) over seeds (`None`: one seed)."""
    mean_by_epoch: tuple[float, ...]
    """Mean over seeds after each epoch."""
    seeds: tuple[SeedCurve, ...]
    """Every seed's own curve."""


class PositionFit(StrictModel):
    """The Gaussian fitted to what one layer learned about position, over seeds."""

    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    part: BiasPart
    """`own`: the layer's relative position embedding; `sum`: with our Gaussian added; `absolute`: similarity map."""
    layer: int | None
    """Layer, from 0 (`None`: the embedding is the whole model's)."""
    num_seeds: int
    """Trials that were looked at."""
    num_gaussian: int
    """Those in which it is a Gaussian: R^2 of 0.8 or more, a hill around displacement 0 that fits into the map."""
    num_not_fitted: int
    """Those in which there was nothing to fit: the same at every displacement, or broken."""
    sigma_mean: float | None
    """Mean width of the fits in tokens (`None`: none); only where all are Gaussian does it mean much."""
    sigma_sd: float | None
    """Standard deviation (n - 1) over seeds."""
    height_mean: float | None
    """Mean height of the fits, in logits (cosine for `absolute`); negative: a hollow."""
    r_squared_mean: float | None
    """Mean share of the map's variance that the Gaussian explains."""
    r_squared_sd: float | None
    """Standard deviation (n - 1) over seeds."""


class PlaceboContrast(StrictModel):
    """treatment - placebo over pairs of the same seed. Describes and claims nothing: it is outside Holm's family."""

    cell: Cell
    """Model and data set."""
    treatment: str
    """The arm with a Gaussian."""
    placebo: str
    """The arm with a Gaussian over permuted tokens."""
    other_differences: tuple[str, ...] = ()
    """Fields of the trial config in which the two differ beside that (empty: the placebo lacks locality only)."""
    num_pairs: int
    """Seeds that both arms completed."""
    effect: float
    """Mean paired difference, in the comparisons' unit."""
    ci_low: float | None
    """Lower end of the paired t interval (`None`: fewer than two pairs, or all differences are equal)."""
    ci_high: float | None
    """Upper end of the paired t interval."""


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
    placebo_contrasts: tuple[PlaceboContrast, ...] = ()
    """Every treatment against every placebo."""
    discordant: tuple[DiscordantImages | None, ...] = ()
    """Per comparison, in their order: images that only one arm got right (`None`: no predictions at hand)."""
    settings: tuple[Setting, ...] = ()
    """Hyper-parameters of the confirm trials."""
    spec: ExperimentSpec
    """The question as it was asked: `sigmalab run` with this file asks it again."""
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

    @property
    def is_over(self) -> bool:
        """Whether no further pair will come."""
        return self.experiment.status.is_final

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
