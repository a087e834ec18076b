"""What HTTP answers with, where the orchestrator's own types do not fit as they are."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from orchestrator.statistics.allocation_plan import Allocation
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.look_plan import LooksForecast
from orchestrator.status import Phase


class View(BaseModel):
    """Base of all views. Readers ignore fields that a newer service may add."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ReceptiveFieldView(View):
    """The mean over seeds of one arm's receptive field: where its array and picture are, and what it measures."""

    key: str
    """Its name: `<model>/<data set>/<arm>/<moment>/<row>_<column>`."""
    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    moment: Literal["initial", "final"]
    """Before training, or with the weights that are scored."""
    target: tuple[int, int]
    """Row and column of the token that is looked at, from 0."""
    grid: tuple[int, int]
    """Height and width of the token grid."""
    shape_px: tuple[int, int]
    """Height and width of the map."""
    num_seeds: int
    """Trials that it is the mean of."""
    seeds: tuple[int, ...]
    """Their seeds."""
    metrics: dict[str, float] | None
    """What the mean map measures: `rms_radius_tokens`, `sigma_x_tokens`, `sigma_y_tokens`, `r_squared`, ... (`null`:
    nothing could be fitted)."""
    remark: str
    """What a reader must know before using the numbers; empty if nothing."""
    links: dict[str, str]
    """`npy` (the array, float64) and `png` (a picture): addresses on this service."""


class BiasFitView(View):
    """The Gaussian in one map of a position bias, over seeds."""

    head: int | None
    """Head, from 0 (`null`: mean over heads)."""
    num_seeds: int
    """Trials behind it."""
    num_gaussian: int
    """Those in which the map is a Gaussian around the query."""
    num_not_fitted: int
    """Those in which there was nothing to fit."""
    sigma_x: float | None
    """Mean width along a row in tokens (`null`: nothing could be fitted)."""
    sigma_y: float | None
    """Mean width along a column in tokens."""
    r_squared: float | None
    """Mean share of the map's variance that it explains (`null`: nothing was fitted, or it is the Gaussian itself)."""


class BiasViewView(View):
    """What one query token sees of one part of a layer's position bias, mean over seeds: its fits, and where it is."""

    key: str
    """Its name: `<model>/<data set>/<arm>/<part>/<layer>/<row>_<column>`."""
    cell: Cell
    """Model and data set."""
    arm: str
    """Name of the arm."""
    part: Literal["own", "gaussian", "sum", "absolute"]
    """The layer's own embedding, the Gaussian alone, both, or the similarity of an absolute embedding."""
    layer: int | None
    """Layer, from 0 (`null`: the embedding is the whole model's; `all` in its key)."""
    query: tuple[int, int]
    """Row and column of the token that looks, from 0."""
    shape: tuple[int, int, int]
    """Heads (1: all alike), height and width of the grid of tokens."""
    seeds: tuple[int, ...]
    """Seeds whose maps it is the mean of."""
    fits: tuple[BiasFitView, ...]
    """Of the mean over heads, then of each head if the spec asks for that."""
    links: dict[str, str]
    """`npy` (the array, float64) and `png` (a picture): addresses on this service."""


class ProblemItem(View):
    """One thing that is wrong with a request."""

    detail: str
    """What was wrong and what would be right."""
    pointer: str = ""
    """JSON pointer into the body (RFC 6901; empty: the body as a whole, or not in the body)."""
    parameter: str | None = None
    """Name of the query parameter, path parameter or header."""


class ProblemView(View):
    """An error (RFC 9457, `application/problem+json`)."""

    type: str
    """Stable name of the kind of problem, as a relative URI: `/problems/<code>`."""
    title: str
    """The HTTP status in words."""
    status: int
    """The HTTP status code."""
    detail: str
    """What was wrong, where, and what would be right."""
    code: str
    """Stable name of the kind of problem, for programs."""
    instance: str = ""
    """Path of the request."""
    errors: tuple[ProblemItem, ...] = ()
    """Every single complaint, where there are several or where it has a place in the request."""


class PlannedTrialView(View):
    """One training of a plan, without its config."""

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
    params: dict[str, JsonValue]
    """The arm's params (empty without a search)."""
    is_reusable: bool
    """Whether an identical trial has already succeeded and will stand in."""


class PlannedSearchView(View):
    """One search of a plan: choose an arm's params for a cell."""

    cell: Cell
    """Model and data set."""
    arm: str
    """The arm whose params are chosen."""
    num_candidates: int
    """Points to try."""
    seeds: tuple[int, ...]
    """Seeds of every point."""


class PowerView(View):
    """What so many pairs can show, for an assumed sd of the paired difference."""

    num_pairs: int
    """Pairs per cell and treatment."""
    num_comparisons: int
    """Rows of the table, which p is corrected for."""
    p_floor: float
    """Smallest sign-flip p that so many pairs can give."""
    assumed_sd: float
    """Assumed sd of the paired difference, in the metric's unit."""
    half_width: float | None
    """Half-width of the paired t interval at that sd."""
    detectable_effect: float | None
    """Smallest true effect whose interval excludes 0 in 80 % of all repetitions."""
    confirmable_effect: float | None
    """Smallest true effect that is confirmed in 80 % of all repetitions, after correction for all rows (`null`: with so
    few pairs, none is)."""
    pairs_needed: tuple[int | None, ...] = ()
    """Pairs whose interval excludes 0 in 80 % of all repetitions, for each of the plan's expected effects."""
    pairs_to_confirm: tuple[int | None, ...] = ()
    """Pairs that confirm each of them in 80 % of all repetitions, after correction for all rows."""


class CostView(View):
    """What a plan will take, and how that was guessed."""

    num_trials: int
    """Trainings that remain to be done."""
    cpu_hours: float
    """CPU core hours."""
    gpu_hours: float
    """GPU hours."""
    basis: str
    """Where the seconds per trial come from, in words."""


class PlanView(View):
    """What an experiment would do; nothing has been stored or started."""

    digest: str
    """Digest of the canonical spec, code version and data fingerprints: names the result."""
    spec_name: str
    """The experiment's name."""
    control: str
    """Name of the control arm."""
    treatments: tuple[str, ...]
    """Names of the other arms."""
    arm_labels: dict[str, str] = {}
    """Name of an arm -> what people read in its place, of the arms that have a label."""
    cells: tuple[Cell, ...]
    """Models x data sets."""
    seeds: tuple[int, ...]
    """Seeds of the confirm phase."""
    num_pairs: int
    """Pairs of all rows together (with planned looks, at most)."""
    data_found: dict[str, str] = {}
    """Data set -> what was found where it lies, in one line: classes, images of each split, what is not read, what
    looks otherwise than it is read (`<cell>/<arm>`: what an arm gets instead). Nothing of sets that are made."""
    searches: tuple[PlannedSearchView, ...]
    """What has to be chosen first."""
    num_confirm_trials: int
    """All confirm trials, those of searched arms included."""
    num_search_trials: int
    """All search trials (at most, with early stopping)."""
    num_reusable: int
    """Planned trials that already succeeded and will stand in."""
    trials: tuple[PlannedTrialView, ...]
    """Confirm trials whose params are known, in pair order."""
    cost: CostView
    """What it will take."""
    unit: str = ""
    """Unit of sds, intervals and effects (`pp`: percentage points; empty: a pure number)."""
    power: tuple[PowerView, ...]
    """What it can show, for a small, a middle and a large sd."""
    power_of_equal_pairs: tuple[PowerView, ...] = ()
    """The same if every row had an equal share of pairs, fixed beforehand (empty: none are shared out by variance)."""
    looks: LooksForecast | None = None
    """What planned looks ask for, and how many pairs they take (`null`: none are planned)."""
    allocation: Allocation | None = None
    """How pairs are shared out among the rows (`null`: every row has all seeds)."""
    expected_effects: tuple[float, ...] = ()
    """Effects that the spec's author hopes to find."""
    warnings: tuple[str, ...]
    """What a careful reader should know before it runs."""


class ExtendRequest(BaseModel):
    """More seeds for an experiment."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    seeds: tuple[int, ...] = Field(min_length=1, max_length=10_000)
    """Seeds to add; none of them may be in the experiment already."""


class Check(View):
    """Whether one thing that the service needs is there."""

    ok: bool
    """Whether it is."""
    reason: str
    """Why not, or what was found."""


class WelcomeView(View):
    """What `GET /` says."""

    name: str
    """`sigmalab`."""
    version: str
    """Version of the service."""
    links: dict[str, str]
    """Where to go from here, by name."""


class ReadinessView(View):
    """Whether experiments can run to their end right now."""

    status: Literal["ready", "not_ready"]
    """`ready` only if every check that experiments need is well."""
    checks: dict[str, Check]
    """By name: `database`, `ray`, `mlflow`."""


class MetricCurve(View):
    """One metric of a trial over epochs."""

    epochs: tuple[int, ...]
    """Epochs that it was told for, from 0, ascending."""
    values: tuple[float, ...]
    """Its value after each, as it was recorded."""
