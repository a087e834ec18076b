"""Images that only one arm of a pair got right. Counts that describe the trials at hand; no verdict uses them.

No p stands beside them. McNemar's test (McNemar 1947, Psychometrika 12, 153-157) asks whether two sets of weights
differ, and two trials of the same arm do. Pooled over pairs it is worse still: the images of one test split are scored
by every seed's models, so they are not independent, and without any effect its p is below .05 in a third to half of
all tables.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainers.strict import StrictModel


class Scored(NamedTuple):
    """Which images one trial got right."""

    indices: npt.NDArray[np.int64]
    """[n] places in the data set, ascending."""
    is_correct: npt.NDArray[np.bool_]
    """[n]."""


class DiscordantImages(StrictModel):
    """Discordant images of one comparison, over its pairs."""

    num_pairs: int
    """Pairs whose predictions could be read."""
    num_images: int
    """Images that both trials scored, over these pairs."""
    only_treatment: int
    """Images that the treatment alone got right."""
    only_control: int
    """Images that the control alone got right."""


def discordant_images(pairs: Iterable[tuple[Scored, Scored]]) -> DiscordantImages | None:
    """Count the discordant images of (control, treatment) pairs; `None` without a pair.

    Images are matched by index; pairs whose trials scored different images count where both did.
    """
    num_pairs = num_images = only_treatment = only_control = 0
    for control, treatment in pairs:
        _, first, second = np.intersect1d(control.indices, treatment.indices, return_indices=True)
        by_control, by_treatment = control.is_correct[first], treatment.is_correct[second]
        num_pairs, num_images = num_pairs + 1, num_images + len(first)
        only_treatment += int((by_treatment & ~by_control).sum())
        only_control += int((by_control & ~by_treatment).sum())
    if not num_images:
        return None
    return DiscordantImages(
        num_pairs=num_pairs, num_images=num_images, only_treatment=only_treatment, only_control=only_control
    )
