"""The images that an analysis looks at, as batches of a model's input."""

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from trainers.data.splits import ImageSplit

BATCH_SIZE = 32


def image_batches(
    split: ImageSplit,
    positions: Sequence[int],
    normalize: Callable[[Tensor], Tensor],
    *,
    batch_size: int = BATCH_SIZE,
) -> Iterator[Tensor]:
    """[B, 3, S, S] for each `batch_size` positions of a split.

    Args:
        split: whose images are used.
        positions: which of them.
        normalize: makes the model's input of the split's images.
        batch_size: images at once.
    """
    for start in range(0, len(positions), batch_size):
        yield normalize(split.__getitems__(positions[start : start + batch_size]).images)
