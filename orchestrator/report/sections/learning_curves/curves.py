"""Training over epochs by arm: the loss that is descended, and the compared metric on the validation split."""

from collections.abc import Iterable

from orchestrator.report.content.curves import LearningCurve, SeedCurve
from orchestrator.report.content.report import TrialRecord
from orchestrator.statistics.metric import metric_named
from orchestrator.status import Phase, TrialStatus

TRAINING_LOSS = "train/loss"


def learning_curves(trials: Iterable[TrialRecord], primary_metric: str) -> tuple[LearningCurve, ...]:
    """One curve for each cell, metric and arm of the succeeded confirm trials that trained at all.

    Args:
        trials: all trials.
        primary_metric: the compared metric; one without a twin that every epoch reports (the width of a receptive
            field, say) has the training loss alone.
    """
    wanted = (f"val/{primary_metric.rpartition('/')[2]}", TRAINING_LOSS)
    found: dict[tuple[str, str, str], LearningCurve] = {}
    for trial in trials:
        if trial.phase is not Phase.CONFIRM or trial.status is not TrialStatus.SUCCEEDED or trial.result is None:
            continue
        for metric in wanted:
            values = [report.metrics[metric] for report in trial.result.epochs if metric in report.metrics]
            if not values or len(values) < len(trial.result.epochs):
                continue
            scale = metric_named(metric, trial.config.task).scale
            seed = SeedCurve(seed=trial.seed, values=tuple(scale * value for value in values))
            key = (trial.cell.key, metric, trial.arm)
            before = found[key].seeds if key in found else ()
            found[key] = LearningCurve(cell=trial.cell, arm=trial.arm, metric=metric, seeds=(*before, seed))
    return tuple(found.values())
