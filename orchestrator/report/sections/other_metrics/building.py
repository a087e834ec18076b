"""From trials to the comparisons of all other metrics."""

from collections.abc import Sequence

from orchestrator.report.beside import compared_beside
from orchestrator.report.content.report import TrialRecord
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.inference import Inference
from orchestrator.statistics.metric import CLAIMED_ON
from orchestrator.status import Phase


def other_metrics_of(
    spec: ExperimentSpec, cells: Sequence[Cell], trials: Sequence[TrialRecord], *, inference: Inference
) -> tuple[Comparison, ...]:
    """Every metric of the task but the compared one, on its split (`test` beside what is of none), in the task's order.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec.
        trials: every trial.
        inference: what makes the intervals.
    """
    split = next((split for split in CLAIMED_ON if spec.primary_metric.startswith(f"{split}/")), CLAIMED_ON[0])
    confirmed = [trial for trial in trials if trial.phase is Phase.CONFIRM]
    return tuple(
        comparison
        for metric in spec.task.measured
        for comparison in compared_beside(spec, cells, confirmed, f"{split}/{metric.name}", inference=inference)
    )
