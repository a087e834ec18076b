"""Images that only one arm of a pair got right. Counts that describe the trials at hand; no verdict uses them.

No p stands beside them. McNemar's test (McNemar 1947, Psychometrika 12, 153-157) asks whether two sets of weights
differ, and two trials of the same arm do. Pooled over pairs it is worse still: the images of one test split are scored
by every seed's models, so they are not independent, and without any effect its p is below .05 in a third to half of
all tables.
"""

from collections.abc import Iterable

import numpy as np

from trainers.strict import StrictModel
from trainers.tasks.evidence import ImageScores


class DiscordantImages(StrictModel):
    """Discordant images of one comparison, over its pairs."""

    num_pairs: int
    """Pairs whose predictions could be read."""
    num_images: int
    """Images that both trials scored, over these pairs."""
    only_treatment: int
    """Images that the treatment alone got right (of scores between 0 and 1: where its score is the better one)."""
    only_control: int
    """Images that the control alone got right, likewise."""


def discordant_images(
    pairs: Iterable[tuple[ImageScores, ImageScores]], *, higher_is_better: bool = True
) -> DiscordantImages | None:
    """Count the discordant images of (control, treatment) pairs; `None` without a pair.

    Images are matched by index; pairs whose trials scored different images count where both did. Of images with one
    score in both trials, or none (NaN), nobody is the better one.
    """
    num_pairs = num_images = only_treatment = only_control = 0
    for control, treatment in pairs:
        _, first, second = np.intersect1d(control.indices, treatment.indices, return_indices=True)
        by_control, by_treatment = control.scores[first], treatment.scores[second]
        better, worse = by_treatment > by_control, by_treatment < by_control
        num_pairs, num_images = num_pairs + 1, num_images + len(first)
        only_treatment += int((better if higher_is_better else worse).sum())
        only_control += int((worse if higher_is_better else better).sum())
    if not num_images:
        return None
    return DiscordantImages(
        num_pairs=num_pairs, num_images=num_images, only_treatment=only_treatment, only_control=only_control
    )
