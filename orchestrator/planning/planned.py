"""The entries of a plan: trials and searches, before anything runs."""

from orchestrator.search.space import Params
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase
from trainers.config import TrialConfig
from trainers.strict import StrictModel


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
