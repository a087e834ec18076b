"""What a report says about the search phase, as data."""

from typing import Literal

from orchestrator.search.space import Params, Space
from orchestrator.statistics.comparison import Cell
from orchestrator.status import TrialStatus
from trainers.strict import StrictModel


class CandidateSeed(StrictModel):
    """One training of a candidate."""

    seed: int
    """The replicate; never one of the confirm phase's."""
    status: TrialStatus
    """Where it stands."""
    value: float | None
    """The search metric, in its own unit (`None`: it has not succeeded)."""
    error: str
    """Why it failed, or when it was stopped early."""
    reused_from: str | None
    """Experiment whose identical trial stands in for this one."""


class Candidate(StrictModel):
    """One point that a search tried."""

    number: int
    """Place in the order of proposal, from 0."""
    params: Params
    """Dotted path in the trial config -> value."""
    score: float | None
    """Mean of the search metric over the point's seeds, in the metric's own unit (`None`: none succeeded)."""
    score_sd: float | None
    """Standard deviation (n - 1) over the seeds (`None`: fewer than two succeeded)."""
    num_seeds: int
    """Trials behind the score."""
    num_failed: int
    """Trials that failed, were stopped early or cancelled."""
    is_chosen: bool
    """Whether the confirm phase uses it."""
    seeds: tuple[CandidateSeed, ...]
    """Every training of it."""


class ControlLevel(StrictModel):
    """How the control does by the metric that a search is judged by: what a picture of the search is held against."""

    source: Literal["search", "confirm"]
    """`search`: the trials of the candidate that its own search chose (or that leads); `confirm`: it has no search,
    so these are its confirm trials, whose seeds are others than the search's."""
    mean: float
    """Mean over seeds, in the metric's own unit."""
    sd: float | None
    """Standard deviation (n - 1) over seeds (`None`: one seed)."""
    num_seeds: int
    """Trials behind the mean."""


class SearchSummary(StrictModel):
    """What one search tried and chose. Never the claim: the best of many is too good by chance."""

    cell: Cell
    """Model and data set."""
    arm: str
    """The arm whose params were chosen."""
    algorithm: str
    """Who proposed the params."""
    early_stopping: str
    """Whether poor candidates ended early, and by which rule."""
    space: Space
    """What could vary, and where."""
    num_planned: int
    """Candidates that the search may try."""
    seeds: tuple[int, ...]
    """Seeds of every candidate."""
    metric: str
    """What the candidates were judged by (always on the validation split)."""
    candidates: tuple[Candidate, ...]
    """Every point, best first; those that did not train all their seeds behind those that did."""
    chosen: Params | None
    """The chosen point (`None`: not chosen yet)."""
    control: ControlLevel | None
    """The control's level in this cell (`None`: the arm is the control, or nothing of it is known yet)."""
    importance: dict[str, float]
    """Path -> share of the scores' variance that it explains; empty with one path or too few candidates."""
