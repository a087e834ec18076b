"""The question a user asks: request body, file format, stored JSON and driver's input in one type."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema, JsonSchemaMode
from pydantic_core import PydanticCustomError

from orchestrator.allocated_seeds import LOOKS_EXCLUDED, with_seeds
from orchestrator.errors import Problem, SpecError
from orchestrator.labels import LABEL_SCHEMA, LABEL_TEXT, LABELLED, with_labels
from orchestrator.search.acceptance import is_accepted
from orchestrator.search.early_stopping import NoEarlyStopping
from orchestrator.search.kinds import AlgorithmConfig, EarlyStoppingConfig
from orchestrator.search.random_draws import RandomSearch
from orchestrator.search.space import Choice, Distribution, Space, is_below
from orchestrator.spec.code import ArmCode, Code
from orchestrator.spec.complaints import Path, complaints_of, json_pointer, refuse, suggestion
from orchestrator.spec.patch_schema import TRIAL_PATCH, patch_definitions
from orchestrator.spec.recipes import RecipeName, recipe_of, with_recipe
from orchestrator.statistics.allocation_plan import AllocatedSeeds, Allocation, unshareable
from orchestrator.statistics.look_plan import Looks
from orchestrator.statistics.metric import CLAIMED_ON, claimable, ever_claimable
from trainers.counted import counted
from trainers.data.augmentation import NoAugmentation
from trainers.data.normalization import NormalizationName
from trainers.errors import DocumentError
from trainers.kinds import (
    Analyses,
    AugmentationConfig,
    DatasetConfig,
    MixingConfig,
    ModelConfig,
    NoMixing,
    TaskConfig,
)
from trainers.optimization.recipe import OptimizationConfig
from trainers.strict import StrictModel
from trainers.strict_json import JsonObject, decode_json
from trainers.tasks.classification.task import ClassificationConfig

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Patch = JsonObject


def _known_metric(name: str, info: ValidationInfo) -> str:
    task = info.data.get("task")
    known = (*ever_claimable(), *(() if task is None else task.claims))
    if name not in known:
        listed = task.claims if task is not None and task.runs_itself else known
        raise ValueError(f'"{name}" is not valid{suggestion(name, listed)}')
    return name


_DECLARED_METRIC = f"^({'|'.join(CLAIMED_ON)})/[a-z][a-z0-9_]*$"
"""A metric of a command, which a user has declared."""
PrimaryMetric = Annotated[
    str,
    AfterValidator(_known_metric),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(ever_claimable())},
                {"type": "string", "pattern": _DECLARED_METRIC},
            ]
        }
    ),
]


def _what_the_task_claims(data: dict[str, Any]) -> str:
    # Without a task that is valid, there is a complaint about that one already.
    return str(data.get("task", ClassificationConfig()).default_claim)


MAX_TRIALS = 100_000
"""Largest plan that is accepted, all phases together."""


def _refuse_repeated_seeds(seeds: tuple[Seed, ...]) -> tuple[Seed, ...]:
    refuse("seeds", [((i,), f"the seed {seeds[i]} is listed twice") for i in _repeated(seeds)])
    return seeds


def _repeated(values: Sequence[object]) -> list[int]:
    """Indices of all values that stand further ahead already."""
    first: dict[object, int] = {}
    return [i for i, value in enumerate(values) if first.setdefault(value, i) != i]


Seeds = Annotated[tuple[Seed, ...], AfterValidator(_refuse_repeated_seeds)]


def _collisions(path: str, outer: str, distribution: Distribution) -> list[tuple[Path, str]]:
    """Values of a path that leave nothing to be chosen at another path inside it."""
    if not isinstance(distribution, Choice):
        message = f"`{outer}` is searched too, as a number, which has no fields; leave one of the two out"
        return [(("space", path), message)]
    names = path.removeprefix(f"{outer}.").split(".")
    advice = f"list whole values under `{outer}` alone, or search `{path}` alone"
    complaints: list[tuple[Path, str]] = []
    for i, value in enumerate(distribution.values):
        place: Path = ("space", outer, "values", i)
        inner = value
        for name in names:
            if not isinstance(inner, dict):
                complaints.append((place, f"`{path}` is searched too, and this value has no field for it; {advice}"))
                break
            if name not in inner:
                break
            inner = inner[name]
        else:
            complaints.append((place, f"this value says what `{path}` is, which is searched too; {advice}"))
    return complaints


class ArmSearch(StrictModel):
    """How an arm's params are chosen, on the validation split, for each cell by itself."""

    space: Space = Field(min_length=1, max_length=64)
    """Dotted path in the trial config -> what may vary there. A path may lie in another one
    (`optimization.optimizer.lr` in `optimization.optimizer`) where it exists in every value of that."""
    algorithm: Annotated[AlgorithmConfig, Field(discriminator="kind")] = RandomSearch()
    """Who proposes the params."""
    num_candidates: int = Field(default=8, ge=1, le=1000)
    """Points to try (a grid brings its own number)."""
    seeds: Seeds = Field(default=(1000, 1001), min_length=1, max_length=1000)
    """Seeds of every candidate; disjoint from the experiment's seeds."""
    early_stopping: Annotated[EarlyStoppingConfig, Field(discriminator="kind")] = NoEarlyStopping()
    """Whether poor candidates end early (never in the confirm phase)."""

    @property
    def num_points(self) -> int:
        """Points that will be tried: `num_candidates`, or all combinations of a grid."""
        return self.algorithm.num_points(self.space, num_candidates=self.num_candidates)

    @property
    def num_values(self) -> int:
        """Values that the space names: both ends of a range, all entries of a choice."""
        return sum(len(values.values) if isinstance(values, Choice) else 2 for values in self.space.values())

    @property
    def num_trials(self) -> int:
        """Trainings of one cell's search."""
        return self.num_points * len(self.seeds)

    @model_validator(mode="after")
    def _paths_leave_each_other_alone(self, info: ValidationInfo) -> Self:
        """A path may lie in another one only if no value of the outer one says what stands there."""
        if is_accepted(info):
            return self
        complaints: list[tuple[Path, str]] = []
        for path in self.space:
            for outer in (other for other in self.space if is_below(path, other)):
                complaints += _collisions(path, outer, self.space[outer])
        refuse("search", complaints)
        return self

    @model_validator(mode="after")
    def _algorithm_takes_the_space(self) -> Self:
        complaints = self.algorithm.complaints(self.space)
        refuse("search", [(("space", path, "kind"), message) for path, message in complaints.items()])
        return self


def _refuse_odd_label(label: str) -> str:
    if not _LABEL.fullmatch(label):
        raise ValueError(
            f"{json.dumps(label)} is not a label: up to 64 letters (of any alphabet), digits, spaces and "
            ". _ - + , ( ), beginning with a letter or a digit"
        )
    return label


_LABEL = re.compile(r"[^\W_][\w .+,()-]{0,63}")
Label = Annotated[str, AfterValidator(_refuse_odd_label), WithJsonSchema(LABEL_TEXT)]
Labels = Annotated[tuple[Label | None, ...], Field(max_length=100)]


class Arm(StrictModel):
    """One treatment, as a change to the base trial."""

    name: Name
    """Its key in trials, files, addresses and MLflow's tags; tables call it so where it has no label."""
    label: Label | None = None
    """How tables, figures, sentences and MLflow's runs call it (`null`: by its name). It changes no trial."""
    role: Literal["control", "treatment"] = "treatment"
    """Exactly one arm is the control."""
    patch: Patch = Field(default_factory=dict)
    """JSON merge patch on the trial config; a patch that carries `kind` replaces that object whole."""
    code: ArmCode | None = Field(default=None, exclude_if=lambda code: code is None)
    """A commit, a patch or a folder that this arm alone runs (`null`: the spec's `code`)."""
    search: ArmSearch | None = None
    """Params to choose before the arm is confirmed (`null`: there are none to choose)."""


def _refuse_ambiguous_arms(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    names = [arm.name for arm in arms]
    complaints: list[tuple[Path, str]] = [
        ((i, "name"), f"another arm is called `{names[i]}` already; every arm needs its own name")
        for i in _repeated(names)
    ]
    shown = [arm.label or arm.name for arm in arms]
    for i, arm in enumerate(arms):
        # Not only what others show: a name is asked for even where a label stands in tables.
        others = [j for j in range(len(arms)) if j != i and arm.label in (shown[j], names[j])]
        if arm.label is not None and others:
            message = f"the arm `{names[others[0]]}` is called `{arm.label}` too; readers could not tell them apart"
            complaints.append(((i, "label"), message))
    controls = [i for i, arm in enumerate(arms) if arm.role == "control"]
    if not controls:
        complaints.append(((), 'no arm is the control; exactly one needs `"role": "control"`'))
    complaints += [
        ((i, "role"), f"`{names[controls[0]]}` is the control already; exactly one arm may be") for i in controls[1:]
    ]
    refuse("arms", complaints)
    return arms


Arms = Annotated[tuple[Arm, ...], AfterValidator(_refuse_ambiguous_arms)]


class CellPatch(StrictModel):
    """A change for some cells only, such as another learning rate for another size."""

    model: str | None = None
    """Label of the model (`null`: every model)."""
    dataset: str | None = None
    """Label of the data set (`null`: every data set)."""
    patch: Patch
    """JSON merge patch, applied before the arm's."""


_DAY_MINUTES = 24.0 * 60
_RAY_COUNTS = 0.0001
_MAX_CONFIDENCE = 0.999999
_MAX_CONFIDENCE_OF_LOOKS = 0.9999
"""What floating-point numbers allow for a few pairs."""


class Resources(StrictModel):
    """What one trial takes from the cluster."""

    num_workers: int = Field(default=1, ge=1, le=1024)
    """Training processes of one trial; one runs as a plain Tune function, more as a Ray Train group."""
    cpus_per_worker: float = Field(default=1.0, gt=0, le=1024)
    """CPU cores per training process."""
    gpus_per_worker: float = Field(default=0.0, ge=0, le=64, json_schema_extra={"maximum": 1})
    """GPUs per training process: 0, 1, or a fraction, by which several trials of one process share a GPU."""
    accelerator_type: str | None = Field(
        default=None, min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$", exclude_if=lambda value: value is None
    )
    """Model of these GPUs as Ray names it, such as `H100` or `A100` (`null`: any). The halves of a pair belong on one
    model: others draw dropout and add up otherwise, and the report names pairs that are mixed."""
    max_trial_minutes: float | None = Field(
        default=None, gt=0, le=60 * 24 * 100, allow_inf_nan=False, exclude_if=lambda value: value is None
    )
    """How long a command (a training script of your own) may run before it is ended as one that hangs (`null`: a day).
    sigmalab's own trainings end by their epochs and have no limit."""
    max_concurrent_trials: int | None = Field(default=None, ge=1)
    """Upper bound on trials at once (`null`: as many as the cluster has room for)."""
    loader_workers: int = Field(default=0, ge=0, le=256)
    """Data loading processes per training process; no more are started than its machine or container has cores for."""
    image_cache_gib: float = Field(default=0.0, ge=0, le=100_000)
    """RAM for decoded images of a data set, on each node (0: none); worth it where the whole set fits."""

    @property
    def limit_minutes(self) -> float:
        """How long a command may run."""
        return self.max_trial_minutes or _DAY_MINUTES

    @field_validator("gpus_per_worker", mode="before")
    @classmethod
    def _a_process_uses_one_gpu(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, (int, float)) and value > 1 and not is_accepted(info):
            raise PydanticCustomError(
                "rule",
                "{message}",
                {
                    "message": f"a training process uses one GPU, so {value - 1:g} more would be idle: for several "
                    "GPUs "
                    'take as many workers, `"num_workers": ..., "gpus_per_worker": 1`'
                },
            )
        return value

    @model_validator(mode="after")
    def _more_than_ray_counts(self, info: ValidationInfo) -> Self:
        small = [
            ((name,), f"must be at least {_RAY_COUNTS:g}, the smallest share that Ray counts")
            for name in ("cpus_per_worker", "gpus_per_worker")
            if 0 < getattr(self, name) < _RAY_COUNTS
        ]
        if small and not is_accepted(info):
            refuse("resources", small)
        return self

    @model_validator(mode="after")
    def _a_model_of_some_gpu(self) -> Self:
        if self.accelerator_type is not None and self.gpus_per_worker == 0:
            message = f"{self.accelerator_type} is a model of GPUs, and a trial takes none: set `gpus_per_worker`"
            refuse("resources", [(("accelerator_type",), message)])
        return self

    @model_validator(mode="after")
    def _workers_share_no_gpu(self, info: ValidationInfo) -> Self:
        if self.num_workers > 1 and 0 < self.gpus_per_worker < 1 and not is_accepted(info):
            message = (
                f"{self.num_workers} workers of one trial can't share a GPU (NCCL refuses two ranks on one): take 1 "
                'GPU for each, or `"num_workers": 1`'
            )
            refuse("resources", [(("gpus_per_worker",), message)])
        return self


class ExperimentSpec(StrictModel):
    """One question, whole: what is compared, on what, how often, and how it is judged."""

    name: Name
    """Name of the experiment (and of the MLflow experiment)."""
    question: str = Field(default="", max_length=2000)
    """The question in words."""
    code: Code = Field(default=None, exclude_if=lambda code: code is None)
    """The folder that holds your own packages and modules, such as `"."`: what a kind `python` names is sought there
    first. A snapshot of those that are used is kept with the trials (`null`: what is installed)."""
    recipe: RecipeName | None = None
    """A named way to train (`sigmalab recipes` lists them), below everything written here: it sets task, augmentation,
    mixing, normalization and optimization as far as these are left open (`null`: the defaults)."""
    task: Annotated[TaskConfig, Field(discriminator="kind")] = ClassificationConfig()
    """What is learned and how it is scored."""
    models: tuple[Annotated[ModelConfig, Field(discriminator="kind")], ...] = Field(min_length=1, max_length=100)
    """Networks; every model meets every data set."""
    datasets: tuple[Annotated[DatasetConfig, Field(discriminator="kind")], ...] = Field(min_length=1, max_length=100)
    """Data sets; every data set meets every model."""
    model_labels: Labels = ()
    """How tables, figures, MLflow and `cell_patches` call the models, in their order (`null`: by what differs from the
    defaults). Usually written as `label` in the model itself; it changes no trial."""
    dataset_labels: Labels = ()
    """The same for data sets."""
    augmentation: Annotated[AugmentationConfig, Field(discriminator="kind")] = NoAugmentation()
    """Random changes to the training images."""
    mixing: Annotated[MixingConfig, Field(discriminator="kind")] = NoMixing()
    """Whether images of a batch are mixed with each other."""
    normalization: NormalizationName = "model"
    """Mean and standard deviation that images are normalised with: `model` (what its weights expect), or `imagenet`."""
    optimization: OptimizationConfig = OptimizationConfig()
    """Optimizer, schedule, epochs, batch size, precision."""
    cell_patches: tuple[CellPatch, ...] = Field(default=(), max_length=1000)
    """Changes for some cells, applied in order."""
    arms: Arms = Field(min_length=2, max_length=64)
    """The control and its treatments."""
    seeds: Seeds = Field(default=(0, 1, 2, 3, 4, 5), min_length=1, max_length=10_000)
    """Replicates: every cell and arm is trained once per seed. In place of a list, `{"total": 60, "allocate":
    "by_variance"}` shares 60 pairs out, more where they vary most."""
    primary_metric: PrimaryMetric = Field(default_factory=_what_the_task_claims)
    """The metric that carries the claim; unless you say otherwise `test/top1` of a classification, `test/miou` of a
    segmentation. The epoch that is scored has the best `val/top1` (`val/miou`), whatever this is, so
    `best_val/...` flatters every arm. `balanced_accuracy` and `macro_f1` weigh all classes alike, `ece` is the expected
    calibration error (15 equal bins of confidence; less is better). `receptive_field/...` needs that analysis, and
    knows no better or worse: its verdicts are `larger` or `smaller`."""
    equivalence_margin: float = Field(default=0.0, ge=0)
    """Smallest effect that matters, in percentage points (a loss, a width: in its own unit); an interval inside plus
    or minus so much is `equivalent` (0: never)."""
    looks: Looks | None = Field(default=None, exclude_if=lambda looks: looks is None)
    """Looks at the results that are planned beforehand, each of which may end a comparison (`null`: one look, at the
    end). The number of `seeds` is one of them: `extend` may go on to the next."""
    allocation: Allocation | None = Field(default=None, exclude_if=lambda allocation: allocation is None)
    """How pairs are shared out among the rows (`null`: every row has all seeds). Written as
    `"seeds": {"total": 60, "allocate": "by_variance"}`."""
    expected_effects: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(), max_length=10)
    """Effects that others have published or that you hope for, in the metric's unit: the plan tells how many pairs
    would show each of them."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1, json_schema_extra={"maximum": _MAX_CONFIDENCE})
    """Confidence of every interval."""
    resources: Resources = Resources()
    """What one trial takes from the cluster."""
    max_trial_attempts: int = Field(default=3, ge=1, le=20)
    """How often a trial that was lost to a fault of the machine is tried (a NaN loss is not retried)."""
    reuse: Literal["identical", "never"] = "identical"
    """Whether a finished trial with the same identity stands in for a new one."""
    analyses: Analyses = ()
    """What every confirm trial is asked beside its training, such as its receptive field."""

    @property
    def of_other_code(self) -> frozenset[str]:
        """Names of the treatments that run other code than the control, as far as that is known before it is kept."""
        control = self._code_of(self.control)
        return frozenset(arm.name for arm in self.treatments if self._code_of(arm) != control)

    def _code_of(self, arm: Arm) -> object:
        code = self.code if arm.code is None else arm.code
        return None if code is None else code.kept or code

    @classmethod
    def model_json_schema(
        cls,
        by_alias: bool | None = True,
        ref_template: str = DEFAULT_REF_TEMPLATE,
        schema_generator: type[GenerateJsonSchema] = GenerateJsonSchema,
        mode: JsonSchemaMode = "validation",
        *,
        union_format: Literal["any_of", "primitive_type_array"] = "any_of",
    ) -> dict[str, Any]:
        """As pydantic makes it, with patches typed: they are validated as part of the trials that they make."""
        schema = super().model_json_schema(by_alias, ref_template, schema_generator, mode, union_format=union_format)
        patch = {"$ref": ref_template.format(model=TRIAL_PATCH)}
        for name in ("Arm", "CellPatch"):
            properties = schema["$defs"][name]["properties"]
            properties["patch"] = {**patch, "description": properties["patch"]["description"]}
        for field in LABELLED:
            for ref in schema["properties"][field]["items"]["discriminator"]["mapping"].values():
                name = next(name for name in schema["$defs"] if ref_template.format(model=name) == ref)
                schema["$defs"][name]["properties"]["label"] = LABEL_SCHEMA
        schema["$defs"]["AllocatedSeeds"] = AllocatedSeeds.model_json_schema(ref_template=ref_template)
        seeds = schema["properties"]["seeds"]
        listed = {key: seeds.pop(key) for key in ("items", "maxItems", "minItems", "type") if key in seeds}
        seeds["anyOf"] = [listed, {"$ref": ref_template.format(model="AllocatedSeeds")}]
        schema["$defs"] = patch_definitions(ref_template) | schema["$defs"]
        return schema

    @property
    def control(self) -> Arm:
        """The arm that all others are compared with."""
        return next(arm for arm in self.arms if arm.role == "control")

    @property
    def treatments(self) -> tuple[Arm, ...]:
        """All other arms, in their order."""
        return tuple(arm for arm in self.arms if arm.role == "treatment")

    @property
    def search_metric(self) -> str:
        """What searches choose by: the validation twin of the primary metric, or what chooses the task's epoch."""
        group, _, name = self.primary_metric.partition("/")
        return f"best_val/{name if group in CLAIMED_ON else self.task.selects_by}"

    @property
    def planned_looks(self) -> Looks | None:
        """Looks that end comparisons (`None`: none was planned, or the plan was left)."""
        return None if self.looks is None or self.looks.abandoned else self.looks

    @property
    def has_stages(self) -> bool:
        """Whether rows may differ in their number of seeds, by plan."""
        return self.planned_looks is not None or self.allocation is not None

    @property
    def num_rows(self) -> int:
        """Comparisons: cells x treatments."""
        return self.num_cells * len(self.treatments)

    @property
    def num_pairs(self) -> int:
        """Pairs of the confirm phase (with planned looks, at most)."""
        return self.num_rows * len(self.seeds) if self.allocation is None else self.allocation.total

    @property
    def num_cells(self) -> int:
        """Models x data sets."""
        return len(self.models) * len(self.datasets)

    @property
    def num_confirm_trials(self) -> int:
        """Trainings of the confirm phase: cells x arms x seeds (where looks or variances decide, at most)."""
        if self.allocation is None:
            return self.num_cells * len(self.arms) * len(self.seeds)
        # Treatments of a cell share its control: of each seed, one training serves them all.
        return 2 * self.num_pairs - self.num_cells * (len(self.treatments) - 1) * self.allocation.first

    @property
    def num_search_trials(self) -> int:
        """Trainings of the search phase."""
        return self.num_cells * sum(arm.search.num_trials for arm in self.arms if arm.search)

    @model_validator(mode="after")
    def _confidence_makes_finite_intervals(self, info: ValidationInfo) -> Self:
        most = _MAX_CONFIDENCE if self.planned_looks is None else _MAX_CONFIDENCE_OF_LOOKS
        if self.confidence > most and not is_accepted(info):
            what = "an interval has no end" if self.planned_looks is None else "looks have no boundary"
            message = f"must be at most {most}: beyond it {what} that can be computed"
            refuse("experiment", [(("confidence",), message)])
        return self

    @model_validator(mode="after")
    def _allocation_is_one_that_seeds_ask_for(self, info: ValidationInfo) -> Self:
        allocation = self.allocation
        if allocation is None or is_accepted(info):
            return self
        complaints: list[tuple[Path, str]] = []
        wrong = unshareable(allocation, self.num_rows)
        if wrong:
            complaints.append((("allocation",), wrong))
        elif self.seeds != (seeds := allocation.seeds(self.num_rows)):
            message = (
                f"with this `allocation` they are 0 to {seeds[-1]}, as many as one row could get; "
                f'`"seeds": {{"total": {allocation.total}, "allocate": "by_variance"}}` in place of both says it'
            )
            complaints.append((("seeds",), message))
        if self.looks is not None:
            complaints.append((("looks",), LOOKS_EXCLUDED))
        refuse("experiment", complaints)
        return self

    @model_validator(mode="after")
    def _last_seed_is_a_look(self) -> Self:
        looks = self.planned_looks
        if looks is not None and len(self.seeds) not in looks.at:
            message = (
                f"no look is planned after {counted(len(self.seeds), 'pair')}, which is what these seeds make; list "
                f"{_some_words(looks.at)} seeds"
            )
            refuse("experiment", [(("seeds",), message)])
        return self

    @model_validator(mode="after")
    def _time_limits_are_for_commands(self) -> Self:
        if self.resources.max_trial_minutes is not None and not self.task.runs_itself:
            message = "only a command has a time limit; a training of sigmalab's own ends by its epochs: leave it out"
            refuse("experiment", [(("resources", "max_trial_minutes"), message)])
        return self

    @model_validator(mode="after")
    def _primary_metric_is_measured(self) -> Self:
        measured = list(claimable(self.task, self.analyses))
        if not measured:
            # Of a command alone: every other task measures something on `test/`.
            message = (
                "none of these can carry the claim: call what chose nothing `test/...`; or let the best row by a "
                '`val/...` count (`"row": "best"`), and `best_val/...` is claimed'
            )
            refuse("experiment", [(("task", "results", "metrics"), message)])
        if self.primary_metric not in measured:
            kind = self.primary_metric.partition("/")[0]
            message = f'`{self.primary_metric}` is never measured: ask for it with `"analyses": [{{"kind": "{kind}"}}]`'
            if kind in CLAIMED_ON:
                known = suggestion(self.primary_metric, measured)
                message = f"the task {self.task.kind} does not measure `{self.primary_metric}`{known}"
            refuse("experiment", [(("primary_metric",), message)])
        return self

    @model_validator(mode="after")
    def _searches_see_other_seeds(self) -> Self:
        confirm_seeds = set(self.seeds)
        complaints: list[tuple[Path, str]] = [
            (
                ("arms", i, "search", "seeds", j),
                f"the seed {seed} is among the experiment's `seeds` too: seeds that choose params can't judge them",
            )
            for i, arm in enumerate(self.arms)
            if arm.search
            for j, seed in enumerate(arm.search.seeds)
            if seed in confirm_seeds
        ]
        refuse("experiment", complaints + self._size_complaints())
        return self

    def _size_complaints(self) -> list[tuple[Path, str]]:
        complaints: list[tuple[Path, str]] = []
        num_trials = self.num_confirm_trials + self.num_search_trials
        if num_trials > MAX_TRIALS:
            message = (
                f"the experiment asks for {num_trials:,} trials ({self.num_cells:,} cells x {len(self.arms)} arms x "
                f"{len(self.seeds):,} seeds = {self.num_confirm_trials:,}, searches {self.num_search_trials:,}); "
                f"at most {MAX_TRIALS:,} are accepted: split it"
            )
            complaints.append(((), message))
        num_values = self.num_cells * sum(arm.search.num_values for arm in self.arms if arm.search)
        if num_values > MAX_TRIALS:
            message = (
                f"the search spaces list {num_values:,} values, each counted once per cell; "
                f"at most {MAX_TRIALS:,} are accepted"
            )
            complaints.append(((), message))
        return complaints


def _some_words(numbers: Sequence[int]) -> str:
    """`6, 9 or 12`."""
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}" if others else last


def parse_spec(data: bytes | JsonValue) -> ExperimentSpec:
    """Read a spec that a user wrote, and put its recipe below it.

    Types are taken at their word: the text `"20"` is not a number and `true` is not 1.

    Args:
        data: JSON text in UTF-8, or the value that it stands for.

    Raises:
        SpecError: the text is not JSON, or the object not a spec; it carries all problems that can be told without
            looking at single trials (`orchestrator.planning.expansion` does that).
    """
    try:
        document = decode_json(data) if isinstance(data, bytes) else data
    except DocumentError as error:
        raise SpecError([Problem("", str(error))]) from None
    # Not in a validator: pydantic would then take the lists of strict JSON for Python's, and refuse them as tuples.
    effective = with_seeds(with_labels(with_recipe(document))) if isinstance(document, dict) else document
    try:
        return ExperimentSpec.model_validate_json(json.dumps(effective), strict=True)
    except ValidationError as error:
        complaints = complaints_of(error, ExperimentSpec)
        problems = [Problem(_pointer(path, document, effective), message) for path, message in complaints]
        raise SpecError(problems) from None


def _pointer(path: Path, written: JsonValue, effective: JsonValue) -> str:
    """JSON pointer into what the user wrote: to the recipe's name if only the recipe has a value there."""
    for entries, labels in LABELLED.items():
        if path[:1] == (labels,) and not _stands(path[:1], written):
            return json_pointer((entries, *path[1:2], "label"))
    recipe = recipe_of(effective) if isinstance(effective, dict) else None
    if recipe is None or _stands(path, written) or not recipe.decides(path, effective):
        return json_pointer(path)
    return "/recipe"


def _stands(path: Path, written: JsonValue) -> bool:
    """Whether there is something at this place."""
    for key in path:
        if not isinstance(written, dict) or key not in written:
            return False
        written = written[str(key)]
    return True
