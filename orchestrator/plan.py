"""What an experiment will do, before anything runs: cells x arms x seeds."""

from pydantic import JsonValue

from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase
from trainers.config import TrialConfig
from trainers.strict import StrictModel

Params = dict[str, JsonValue]
"""A sampled point: dotted path in the trial config -> value."""


class PlannedTrial(StrictModel):
    """One training of the plan."""

    identity: str
    """Digest over config, code and data (see `trainers.config.trial_identity`)."""
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
    """All that the trial needs."""


class PlannedSearch(StrictModel):
    """One search of the plan: choose an arm's params for a cell."""

    cell: Cell
    """Model and data set."""
    arm: str
    """The arm whose params are chosen."""
    num_candidates: int
    """Points to try."""
    seeds: tuple[int, ...]
    """Seeds of every point."""


class PowerForecast(StrictModel):
    """What so many pairs can show, for an assumed sd of the paired difference."""

    num_pairs: int
    """Pairs per cell and treatment."""
    p_floor: float
    """Smallest sign-flip p that so many pairs can give: 2 / 2^n."""
    assumed_sd: float
    """Assumed sd of the paired difference, in the metric's unit (pp)."""
    half_width: float | None
    """Half-width of the paired t interval at that sd (`None`: one pair has no interval)."""
    detectable_effect: float | None
    """Smallest true effect that a paired t test finds in 80 % of all repetitions."""


class Cost(StrictModel):
    """What the plan will take, and how that was guessed."""

    num_trials: int
    """Trainings that remain to be done."""
    cpu_hours: float | None
    """CPU core hours (`None`: no trial like it has run yet)."""
    gpu_hours: float | None
    """GPU hours."""
    basis: str
    """Where the seconds per trial come from, in words."""


class Plan(StrictModel):
    """Deterministic: the same spec, code and data give the same plan."""

    digest: str
    """Digest of the canonical spec, code version and data fingerprints: names the result."""
    spec_name: str
    """The experiment's name."""
    control: str
    """Name of the control arm."""
    treatments: tuple[str, ...]
    """Names of the other arms, in the order of the spec."""
    cells: tuple[Cell, ...]
    """Models x data sets."""
    seeds: tuple[int, ...]
    """Seeds of the confirm phase."""
    searches: tuple[PlannedSearch, ...]
    """What has to be chosen first."""
    trials: tuple[PlannedTrial, ...]
    """Confirm trials whose params are known, in pair order; a searched arm's follow after its search."""
    num_confirm_trials: int
    """All confirm trials, those of searched arms included."""
    num_search_trials: int
    """All search trials (at most, with early stopping)."""
    reusable: tuple[str, ...]
    """Identities of planned trials that already succeeded."""
    cost: Cost
    """What it will take."""
    power: tuple[PowerForecast, ...]
    """What it can show, for a small, a middle and a large sd."""
    warnings: tuple[str, ...]
    """What a careful reader should know before it runs (unequal search budgets, too few seeds, ...)."""
