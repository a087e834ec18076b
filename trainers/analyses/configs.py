"""What a trial may be asked beside its training. An analysis is one class here and one line in `AnalysisConfig`."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from trainers.analyses.questions import LearnedBiasConfig, ReceptiveFieldConfig


class ReceptiveFieldAnalysis(ReceptiveFieldConfig):
    """The effective receptive field before training, after it (with the weights that are scored), and in between."""

    kind: Literal["receptive_field"] = "receptive_field"
    num_images: int = Field(default=64, ge=1, le=100_000)
    """Validation images that it is taken over, the same in every arm."""
    images: Literal["spread", "by_seed"] = "spread"
    """Which of them: in every trial the same, spread evenly over the split (which may be in the order of its classes),
    or some that each seed draws for both trials of its pair. Intervals over seeds cover the choice of images only
    where it is drawn."""
    every_epochs: int | None = Field(default=None, ge=1)
    """Look again after every so many epochs (`null`: before and after training only)."""


class LearnedBiasAnalysis(LearnedBiasConfig):
    """The position bias of the scored weights, more closely than every trial looks at it anyway."""

    kind: Literal["learned_bias"] = "learned_bias"


AnalysisConfig = Annotated[ReceptiveFieldAnalysis | LearnedBiasAnalysis, Field(discriminator="kind")]


def receptive_field_in(analyses: Sequence[AnalysisConfig]) -> ReceptiveFieldAnalysis | None:
    """The one of its kind, if it is asked for."""
    return next((each for each in analyses if isinstance(each, ReceptiveFieldAnalysis)), None)


def learned_bias_in(analyses: Sequence[AnalysisConfig]) -> LearnedBiasAnalysis | None:
    """The one of its kind, if it is asked for."""
    return next((each for each in analyses if isinstance(each, LearnedBiasAnalysis)), None)


def one_of_each(analyses: tuple[AnalysisConfig, ...]) -> tuple[AnalysisConfig, ...]:
    """The analyses as they are: two of a kind would write under the same names.

    Raises:
        ValueError: there are.
    """
    kinds = [analysis.kind for analysis in analyses]
    for position, kind in enumerate(kinds):
        if kind in kinds[:position]:
            raise ValueError(f"the analysis `{kind}` is asked for twice; one of a kind is all")
    return analyses


Analyses = Annotated[tuple[AnalysisConfig, ...], AfterValidator(one_of_each)]
"""What a trial is asked beside its training."""
