"""The effect on the scores of single images, and whether any image's score is moved at all.

The pairs are what was drawn, not the images: all pairs are scored on the same ones, so pairs are what the tests here
turn over. To turn over the images instead would ask whether these very weights differ, which those of two seeds of one
arm do.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from orchestrator.statistics.comparison import Basis, Cell
from orchestrator.statistics.inference import Inference
from orchestrator.statistics.permutation import any_image_p
from trainers.metrics import Metric
from trainers.strict import StrictModel
from trainers.tasks.evidence import ImageScores

Scores = npt.NDArray[np.float64]


class ImageRow(NamedTuple):
    """What pairs are asked of every image."""

    cell: Cell
    treatment: str
    metric: str
    """Its name, such as `image_miou`: the mean over images of what is asked."""


class ImageEffect(StrictModel):
    """Effect of a treatment on the scores of single images of a cell's split."""

    cell: Cell
    """Model and data set."""
    treatment: str
    """Name of the arm."""
    metric: str
    """Name of the metric that is the mean of these scores, such as `image_miou`."""
    num_pairs: int
    """Pairs whose predictions could be read."""
    num_images: int
    """Images that every trial of these pairs has scored."""
    num_left_out: int
    """Images that some trial has not scored, or has no score for."""
    num_better: int
    """Images whose mean difference over pairs is in the treatment's favour."""
    num_worse: int
    """Images whose mean difference is in the control's."""
    effect: float
    """Mean difference over images and pairs, in the metric's unit."""
    ci_low: float | None
    """Lower end of its interval over pairs (`None`: too few)."""
    ci_high: float | None
    """Upper end."""
    p_mean: float | None
    """Of no difference in the mean over images, over pairs: by sign-flip where their number was fixed beforehand, an
    any-time p else (`None`: no pair)."""
    p_any: float | None
    """Of no difference in any image's score: sign-flip over pairs of the sum over images of the squared mean difference
    (`None`: the number of pairs was not fixed beforehand, for which it is not valid)."""


def image_effects(
    pairs: Mapping[ImageRow, Sequence[tuple[ImageScores, ImageScores]]],
    *,
    metrics: Sequence[Metric],
    confidence: float,
    inference: Inference,
) -> tuple[ImageEffect, ...]:
    """The effects, row by row.

    Args:
        pairs: row -> (control, treatment) scores of each complete pair that can be read.
        metrics: what the scores are.
        confidence: of the intervals.
        inference: what makes them.

    Returns:
        Nothing of a row without a pair, or without an image that all its trials have scored.
    """
    by_name = {metric.name: metric for metric in metrics}
    found = (
        _effect(row, scored, metric=by_name[row.metric], confidence=confidence, inference=inference)
        for row, scored in pairs.items()
        if scored
    )
    return tuple(effect for effect in found if effect is not None)


def _effect(
    row: ImageRow,
    pairs: Sequence[tuple[ImageScores, ImageScores]],
    *,
    metric: Metric,
    confidence: float,
    inference: Inference,
) -> ImageEffect | None:
    scored = [each for pair in pairs for each in pair]
    num_seen = len(set().union(*(each.indices.tolist() for each in scored)))
    differences = metric.scale * _differences(pairs)
    num_images = differences.shape[1]
    if not num_images:
        return None
    by_image, by_pair = differences.mean(axis=0), differences.mean(axis=1).tolist()
    gains = by_image if metric.higher_is_better is not False else -by_image
    bounds = inference.interval(by_pair, confidence)
    return ImageEffect(
        cell=row.cell,
        treatment=row.treatment,
        metric=row.metric,
        num_pairs=len(pairs),
        num_images=num_images,
        num_left_out=num_seen - num_images,
        num_better=int((gains > _NO_DIFFERENCE).sum()),
        num_worse=int((gains < -_NO_DIFFERENCE).sum()),
        effect=float(differences.mean()),
        ci_low=bounds[0] if bounds else None,
        ci_high=bounds[1] if bounds else None,
        p_mean=inference.p_value(by_pair),
        p_any=any_image_p(differences) if inference.basis is Basis.FIXED else None,
    )


_NO_DIFFERENCE = 1e-9
"""Means over pairs that are equal on paper may differ by rounding."""


def _differences(pairs: Sequence[tuple[ImageScores, ImageScores]]) -> Scores:
    """[pairs, images] treatment - control of the images that all have a score of."""
    common: npt.NDArray[np.int64] | None = None
    for scored in (each for pair in pairs for each in pair):
        told = scored.indices[np.isfinite(scored.scores.astype(np.float64))]
        common = told if common is None else np.intersect1d(common, told)
    assert common is not None
    return np.stack([_of(treated, common) - _of(control, common) for control, treated in pairs])


def _of(scored: ImageScores, indices: npt.NDArray[np.int64]) -> Scores:
    found: Scores = scored.scores[np.searchsorted(scored.indices, indices)].astype(np.float64)
    return found
