"""What an experiment will do, before anything runs: cells x arms x seeds."""

from orchestrator.planned import Params, PlannedSearch, PlannedTrial
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.power import PowerForecast
from trainers.strict import StrictModel

__all__ = ["Cost", "Params", "Plan", "PlannedSearch", "PlannedTrial", "PowerForecast"]


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
