"""The images that an analysis looks at, as batches of a model's input."""

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from trainers.data.splits import ImageSplit

BATCH_SIZE = 32


def spread_positions(num_images: int, num_in_split: int) -> list[int]:
    """Positions of `num_images` images spread evenly over a split, all of them if it has no more.

    Not its first ones: a `val/` folder and a manifest are in the order of their classes, and the first 64 images of
    ImageNet's validation set show two classes of a thousand.

    Args:
        num_images: how many are wanted.
        num_in_split: images of the split.
    """
    num_images = min(num_images, num_in_split)
    return [(2 * i + 1) * num_in_split // (2 * num_images) for i in range(num_images)]


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
