"""The effect on every class by itself: where a gain or a loss comes from."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.inference import Inference
from orchestrator.statistics.interval import spread
from trainers.metrics import Metric
from trainers.strict import StrictModel

ClassScores = Mapping[str, float]
"""Class -> its score in one trial, as recorded; NaN where the split has nothing to say of it."""


class ClassRow(NamedTuple):
    """What pairs are asked of every class."""

    cell: Cell
    treatment: str
    metric: str
    """Its name, such as `iou`."""


class ClassEffect(StrictModel):
    """Effect of a treatment on one class of a cell, over pairs."""

    cell: Cell
    """Model and data set."""
    treatment: str
    """Name of the arm."""
    metric: str
    """Name of what is scored of every class, such as `iou`."""
    class_name: str
    """Which class."""
    num_pairs: int
    """Pairs both of whose trials have a score of it."""
    control_mean: float
    """Mean score of the control over these pairs, in the metric's unit."""
    treatment_mean: float
    """Mean score of the treatment."""
    effect: float
    """Mean difference."""
    ci_low: float | None
    """Lower end of this class's own interval (`None`: too few pairs)."""
    ci_high: float | None
    """Upper end."""
    simultaneous_low: float | None
    """Lower end of an interval that holds for all classes of all rows at once."""
    simultaneous_high: float | None
    """Upper end."""


def class_effects(
    pairs: Mapping[ClassRow, Sequence[tuple[ClassScores, ClassScores]]],
    *,
    metrics: Sequence[Metric],
    confidence: float,
    inference: Inference,
) -> tuple[ClassEffect, ...]:
    """The effects, row by row, in the order of the classes.

    The simultaneous intervals are Bonferroni's over all classes of all rows and metrics (Dunn 1961): with few pairs and
    many classes they are wide, and say so.

    Args:
        pairs: row -> (control, treatment) scores of each complete pair that can be read.
        metrics: what the scores are.
        confidence: of every interval.
        inference: what makes them.

    Returns:
        Nothing of a class that no pair has a score of.
    """
    scales = {metric.name: metric.scale for metric in metrics}
    differences = {
        (row, name): [
            (scales[row.metric] * control[name], scales[row.metric] * treated[name])
            for control, treated in found
            if math.isfinite(control.get(name, math.nan)) and math.isfinite(treated.get(name, math.nan))
        ]
        for row, found in pairs.items()
        for name in _classes(found)
    }
    told = {key: values for key, values in differences.items() if values}
    return tuple(
        _effect(key, values, inference=inference, confidence=confidence, num_told=len(told))
        for key, values in told.items()
    )


def _classes(pairs: Sequence[tuple[ClassScores, ClassScores]]) -> list[str]:
    return list(dict.fromkeys(name for control, _ in pairs for name in control))


def _effect(
    key: tuple[ClassRow, str],
    values: Sequence[tuple[float, float]],
    *,
    inference: Inference,
    confidence: float,
    num_told: int,
) -> ClassEffect:
    row, name = key
    control, treated = (spread(arm).mean or 0.0 for arm in zip(*values, strict=True))
    gains = [after - before for before, after in values]
    own = inference.interval(gains, confidence)
    corrected = inference.interval(gains, 1 - (1 - confidence) / num_told)
    return ClassEffect(
        cell=row.cell,
        treatment=row.treatment,
        metric=row.metric,
        class_name=name,
        num_pairs=len(values),
        control_mean=control,
        treatment_mean=treated,
        effect=spread(gains).mean or 0.0,
        ci_low=own[0] if own else None,
        ci_high=own[1] if own else None,
        simultaneous_low=corrected[0] if corrected else None,
        simultaneous_high=corrected[1] if corrected else None,
    )
