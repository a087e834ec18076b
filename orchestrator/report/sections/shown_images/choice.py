"""Which images are shown: by a rule that does not know which arm is better."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from orchestrator.report.content.shown_images import (
    KeptImages,
    KeptPair,
    ShownImages,
    ShownPicture,
    ToldImage,
)
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from trainers.metrics import Metric
from trainers.tasks.shown_images import Told

NUM_DIFFERING, NUM_TYPICAL = 4, 2
"""Images of a cell."""
MAX_CELLS = 4
"""Of an experiment, the first ones."""


_DIGITS = 9
"""What differs less is equal: rounding must choose no image."""


class Choice(NamedTuple):
    """One image."""

    place: int
    """In the data set."""
    reason: Literal["arms differ", "typical"]


def choose(scores: Mapping[str, Mapping[int, float]], control: str) -> list[Choice]:
    """Those on which a treatment is farthest from the control, in either direction, then typical ones.

    Typical is an image whose mean score over arms is nearest to the median of all; of equal ones the first counts.

    Args:
        scores: arm -> place of an image -> its score.
        control: name of the control.
    """
    common = sorted(set.intersection(*(set(of_arm) for of_arm in scores.values())))
    gaps = {
        place: max(round(abs(of_arm[place] - scores[control][place]), _DIGITS) for of_arm in scores.values())
        for place in common
    }
    differing = [place for place in sorted(common, key=lambda place: (-gaps[place], place)) if gaps[place] > 0]
    chosen = [Choice(place, "arms differ") for place in differing[:NUM_DIFFERING]]
    means = {place: float(np.mean([of_arm[place] for of_arm in scores.values()])) for place in common}
    middle = float(np.median(list(means.values()))) if means else 0.0
    rest = [place for place in common if place not in {each.place for each in chosen}]
    nearest = sorted(rest, key=lambda place: (round(abs(means[place] - middle), _DIGITS), place))
    return chosen + [Choice(place, "typical") for place in nearest[:NUM_TYPICAL]]


def shown_images_of(
    spec: ExperimentSpec, cells: Iterable[Cell], kept: Mapping[str, KeptPair]
) -> tuple[ShownImages, ...]:
    """The chosen images of each cell that has kept any.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec.
        kept: cell key -> what its arms have kept.
    """
    metric = image_metric(spec.task.measured)
    if metric is None:
        return ()
    return tuple(_shown(cell, kept[cell.key], metric, spec.control.name) for cell in cells if cell.key in kept)


def image_metric(metrics: Sequence[Metric]) -> Metric | None:
    """The metric whose image scores choose: the first that has any."""
    return next((metric for metric in metrics if metric.per_image), None)


def _shown(cell: Cell, kept: KeptPair, metric: Metric, control: str) -> ShownImages:
    scores = {arm: _scores(images) for arm, images in kept.by_arm.items()}
    images = {arm: {image.place: image for image in kept_of.shown.images} for arm, kept_of in kept.by_arm.items()}
    arms = sorted(kept.by_arm, key=lambda arm: arm != control)
    pictures = []
    for place, reason in choose(scores, control):
        first = images[control][place]
        told = [_told("", None, first.true)]
        told += [_told(arm, metric.scale * scores[arm][place], images[arm][place].said) for arm in arms]
        pictures.append(
            ShownPicture(
                place=place,
                reason=reason,
                shape_px=(first.pixels.shape[0], first.pixels.shape[1]),
                pixels=first.pixels.tobytes(),
                told=tuple(told),
            )
        )
    return ShownImages(
        cell=cell,
        seed=kept.seed,
        metric=metric.name,
        num_kept=len(set.intersection(*(set(of_arm) for of_arm in scores.values()))),
        class_names=kept.by_arm[control].shown.class_names,
        pictures=tuple(pictures),
    )


def _scores(kept: KeptImages) -> dict[int, float]:
    """Score of each kept image that has one."""
    by_place = dict(zip(kept.scores.indices.tolist(), kept.scores.scores.tolist(), strict=True))
    return {
        image.place: float(by_place[image.place])
        for image in kept.shown.images
        if image.place in by_place and np.isfinite(by_place[image.place])
    }


def _told(arm: str, score: float | None, told: Told) -> ToldImage:
    return ToldImage(
        arm=arm,
        score=score,
        regions=np.ascontiguousarray(told.regions).tobytes(),
        classes=tuple(told.classes.tolist()),
        boxes=tuple(
            (left, top, right, bottom) if np.isfinite(left) else None
            for left, top, right, bottom in told.boxes.tolist()
        ),
        sureness=tuple(score if np.isfinite(score) else None for score in told.scores.tolist()),
    )
