"""The question a user asks: request body, file format, stored JSON and driver's input in one type."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from orchestrator.search import EarlyStopping, NoEarlyStopping, RandomSearch, SearchAlgorithm, Space
from trainers.data import AugmentationConfig, DatasetConfig, NoAugmentation
from trainers.models import ModelConfig
from trainers.optimization import OptimizationConfig
from trainers.strict import StrictModel
from trainers.tasks import ClassificationConfig, TaskConfig

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Patch = dict[str, JsonValue]


class ArmSearch(StrictModel):
    """How an arm's params are chosen, on the validation split, for each cell by itself."""

    space: Space = Field(min_length=1)
    """Dotted path in the trial config -> what may vary there."""
    algorithm: Annotated[SearchAlgorithm, Field(discriminator="kind")] = RandomSearch()
    """Who proposes the params."""
    num_candidates: int = Field(default=8, ge=1, le=1000)
    """Points to try (a grid brings its own number)."""
    seeds: tuple[Seed, ...] = Field(default=(1000, 1001), min_length=1)
    """Seeds of every candidate; disjoint from the experiment's seeds."""
    early_stopping: Annotated[EarlyStopping, Field(discriminator="kind")] = NoEarlyStopping()
    """Whether poor candidates end early (never in the confirm phase)."""


class Arm(StrictModel):
    """One treatment, as a change to the base trial."""

    name: Name
    """How tables call it."""
    role: Literal["control", "treatment"] = "treatment"
    """Exactly one arm is the control."""
    patch: Patch = Field(default_factory=dict)
    """JSON merge patch on the trial config; a patch that carries `kind` replaces that object whole."""
    search: ArmSearch | None = None
    """Params to choose before the arm is confirmed (`null`: the patch says it all)."""


class CellPatch(StrictModel):
    """A change for some cells only, such as another learning rate for another size."""

    model: str | None = None
    """Label of the model (`null`: every model)."""
    dataset: str | None = None
    """Label of the data set (`null`: every data set)."""
    patch: Patch
    """JSON merge patch, applied before the arm's."""


class Resources(StrictModel):
    """What one trial takes from the cluster."""

    num_workers: int = Field(default=1, ge=1, le=1024)
    """Training processes of one trial; one runs as a plain Tune function, more as a Ray Train group."""
    cpus_per_worker: float = Field(default=1.0, gt=0, le=1024)
    """CPU cores per training process."""
    gpus_per_worker: float = Field(default=0.0, ge=0, le=64)
    """GPUs per training process (a fraction shares one)."""
    max_concurrent_trials: int | None = Field(default=None, ge=1)
    """Upper bound on trials at once (`null`: as many as the cluster holds)."""
    loader_workers: int = Field(default=0, ge=0, le=256)
    """Data loading processes per training process."""


class ExperimentSpec(StrictModel):
    """One question, whole: what is compared, on what, how often, and how it is judged."""

    name: Name
    """Name of the experiment (and of the MLflow experiment)."""
    question: str = Field(default="", max_length=2000)
    """The question in words."""
    task: Annotated[TaskConfig, Field(discriminator="kind")] = ClassificationConfig()
    """What is learned and how it is scored."""
    models: tuple[Annotated[ModelConfig, Field(discriminator="kind")], ...] = Field(min_length=1, max_length=100)
    """Networks; every model meets every data set."""
    datasets: tuple[Annotated[DatasetConfig, Field(discriminator="kind")], ...] = Field(min_length=1, max_length=100)
    """Data sets; every data set meets every model."""
    augmentation: Annotated[AugmentationConfig, Field(discriminator="kind")] = NoAugmentation()
    """Random changes to the training images."""
    optimization: OptimizationConfig = OptimizationConfig()
    """Optimizer, schedule, epochs, batch size, precision."""
    cell_patches: tuple[CellPatch, ...] = ()
    """Changes for some cells, applied in order."""
    arms: tuple[Arm, ...] = Field(min_length=2, max_length=64)
    """The control and its treatments."""
    seeds: tuple[Seed, ...] = Field(default=(0, 1, 2, 3, 4, 5), min_length=1, max_length=10_000)
    """Replicates: every cell and arm is trained once per seed."""
    primary_metric: str = "test/top1"
    """The metric that carries the claim."""
    equivalence_margin: float = Field(default=0.0, ge=0)
    """Smallest effect that matters, in percentage points; an interval inside it is `equivalent` (0: never)."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence of every interval."""
    resources: Resources = Resources()
    """What one trial takes from the cluster."""
    max_trial_attempts: int = Field(default=3, ge=1, le=20)
    """How often a trial that was lost to a fault of the machine is tried (a NaN loss is not retried)."""
    reuse: Literal["identical", "never"] = "identical"
    """Whether a finished trial with the same identity stands in for a new one."""
    analyses: tuple[JsonValue, ...] = Field(default=(), max_length=0)
    """Questions to the trained models (none yet)."""
