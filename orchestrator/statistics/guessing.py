"""What an answer that never looks at the image scores: whether a control has learned anything is asked of it."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_NUM_STANDARD_ERRORS = 2.0


class Guess(NamedTuple):
    """Naming the largest class of a split for every image of it."""

    share: float
    """Share of the images that it is right of, from 0 to 1."""
    num_images: int
    """Images of the split."""

    def is_hardly_beaten_by(self, score: float) -> bool:
        """Whether a share of right images lies no more than two (binomial) standard errors above."""
        standard_error = math.sqrt(self.share * (1 - self.share) / self.num_images)
        return score <= self.share + _NUM_STANDARD_ERRORS * standard_error


def guess(classes: npt.NDArray[np.generic]) -> Guess | None:
    """The best constant answer (`None`: there are no images).

    Args:
        classes: [n] the class of each image.
    """
    _, counts = np.unique(classes, return_counts=True)
    return Guess(int(counts.max()) / len(classes), len(classes)) if len(classes) else None
