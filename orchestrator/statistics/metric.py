"""A metric by its name, and which names a claim may rest on: all of it declared by tasks and analyses."""

from collections.abc import Iterable, Iterator

from trainers.kinds import ANALYSES, TASKS, AnalysisConfig, TaskConfig
from trainers.metrics import Metric
from trainers.strict import kind_of
from trainers.tasks.task import Task

CLAIMED_ON = ("test", "best_val")
"""Splits whose scores may carry a claim: `best_val` is validation at the epoch that it has chosen."""


def metric_named(name: str, task: Task | None = None) -> Metric:
    """Unit, scale and direction of a metric such as `test/top1`.

    Args:
        name: the metric's.
        task: that of the trials which have it; users may have declared its metrics (`None`: it is one of ours).

    Raises:
        ValueError: no task and no analysis has such a metric.
    """
    group, _, last_name = name.rpartition("/")
    # An analysis has groups of its own, such as `receptive_field` and `receptive_field_epoch`.
    owners = [analysis for analysis in ANALYSES if group.startswith(kind_of(analysis))]
    known = {metric.name: metric for owner in owners or TASKS for metric in owner.metrics}
    if task is not None and not owners:
        known |= {metric.name: metric for metric in task.measured}
    if last_name not in known:
        raise ValueError(f"unknown metric `{name}`; known are names that end in {', '.join(known)}")
    return known[last_name]


def claimable(task: TaskConfig, analyses: Iterable[AnalysisConfig]) -> Iterator[str]:
    """Names of the metrics that an experiment with this task and these analyses measures, and may rest on."""
    yield from task.claims
    yield from _names((), [type(analysis) for analysis in analyses])


def ever_claimable() -> Iterator[str]:
    """Names of all metrics that some experiment may rest on; tasks may share some."""
    return iter(dict.fromkeys(_names(TASKS, ANALYSES)))


def _names(tasks: Iterable[type[TaskConfig]], analyses: Iterable[type[AnalysisConfig]]) -> Iterator[str]:
    for task in tasks:
        yield from (f"{split}/{metric.name}" for split in CLAIMED_ON for metric in task.metrics)
    for analysis in analyses:
        yield from (f"{kind_of(analysis)}/{metric.name}" for metric in analysis.metrics)
