"""What arms did over epochs, as data: how they trained, and what sigma and A became."""

from typing import Literal

from orchestrator.statistics.comparison import Cell
from trainers.strict import StrictModel


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
    token_px: int | None = None
    """Side of the layer's tokens in pixels (`None`: not known)."""
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
