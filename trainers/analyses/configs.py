"""What a trial may be asked beside its training. An analysis is one class here and one line in `AnalysisConfig`."""

from typing import Literal

from pydantic import Field

from trainers.analyses.receptive_field import ReceptiveFieldConfig


class ReceptiveFieldAnalysis(ReceptiveFieldConfig):
    """The effective receptive field before training, after it (with the weights that are scored), and in between."""

    kind: Literal["receptive_field"] = "receptive_field"
    num_images: int = Field(default=64, ge=1, le=100_000)
    """Validation images that it is taken over, the same in every arm."""
    images: Literal["first", "by_seed"] = "first"
    """Which of them: the first ones in every trial, or some that each seed draws for both trials of its pair. Intervals
    over seeds cover the choice of images only where it is drawn."""
    every_epochs: int | None = Field(default=None, ge=1)
    """Look again after every so many epochs (`null`: before and after training only)."""


AnalysisConfig = ReceptiveFieldAnalysis
