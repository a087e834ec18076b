"""The learned position bias as a trial's analysis; `learned_bias` computes it."""

from typing import ClassVar, Literal

from trainers.analyses.analysis import Analysis
from trainers.analyses.questions import LearnedBiasConfig, check_query
from trainers.errors import AnalysisError
from trainers.metrics import Metric
from trainers.models.model import Model


class LearnedBiasAnalysis(Analysis, LearnedBiasConfig):
    """The position bias of the scored weights, more closely than every trial looks at it anyway."""

    metrics: ClassVar[tuple[Metric, ...]] = ()
    """It makes pictures and fits for every layer: no single number that a claim may rest on."""

    kind: Literal["learned_bias"] = "learned_bias"

    @property
    def bias_question(self) -> LearnedBiasConfig:
        """This."""
        return self

    def complaint(self, model: Model) -> str | None:
        """It has no attention that takes a bias, or no layer has the query's tokens."""
        if model.no_bias is not None:
            return f"{model.label} has no attention whose position bias could be shown"
        try:
            check_query(self, model.grids().attention)
        except AnalysisError as error:
            return str(error)
        return None
