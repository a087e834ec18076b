"""A segmented image as it is kept for pictures."""

import numpy as np
from torch import Tensor

from trainers.tasks.segmentation.windows import resized
from trainers.tasks.shown_images import ShownImage, Told
from trainers.tasks.shrinking import kept_size, shrunk_image, shrunk_mask


def shown_masks(image: Tensor, logits: Tensor, mask: Tensor, index: int) -> ShownImage:
    """Its true mask and the one that is scored; every class is a region.

    Args:
        image: [3, H, W], as the model sees it.
        logits: [K, H, W].
        mask: [H0, W0], as stored; 255 is not scored, and no region.
        index: the image's place in the data set.
    """
    height, width = mask.shape
    size, num_classes = kept_size(height, width), len(logits)
    said = resized(logits[None], (height, width))[0].argmax(dim=0)
    told = [
        Told(
            regions=shrunk_mask(each, size),
            classes=np.arange(num_classes),
            boxes=np.full((num_classes, 4), np.nan, dtype=np.float32),
            scores=np.full(num_classes, np.nan, dtype=np.float32),
        )
        for each in (mask, said)
    ]
    return ShownImage(index, shrunk_image(image, size), *told)
