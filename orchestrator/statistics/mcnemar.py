"""McNemar's exact test on images that only one arm got right. Describes the trials at hand; no verdict uses it.

The images of one test split are scored by every seed's models, so pooled over pairs they are not independent, and
two trials of the *same* arm differ in such images too: a small p says that two sets of weights differ, not two methods.
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


class McNemar(StrictModel):
    """Discordant images of one comparison, pooled over its pairs."""

    num_pairs: int
    """Pairs whose predictions could be read."""
    num_images: int
    """Images that both trials scored, over these pairs."""
    only_treatment: int
    """Images that the treatment alone got right."""
    only_control: int
    """Images that the control alone got right."""
    p_value: float
    """Two-sided exact binomial p of this split under 1 : 1."""


def mcnemar(pairs: Iterable[tuple[Scored, Scored]]) -> McNemar | None:
    """Pool the discordant images of (control, treatment) pairs; `None` without a pair.

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
    # Not at the top: scipy.stats takes two seconds, which whoever has no images to count should not wait for.
    from scipy import stats  # noqa: PLC0415

    num_discordant = only_treatment + only_control
    p_value = float(stats.binomtest(only_treatment, num_discordant).pvalue) if num_discordant else 1.0
    return McNemar(
        num_pairs=num_pairs,
        num_images=num_images,
        only_treatment=only_treatment,
        only_control=only_control,
        p_value=p_value,
    )
