"""A split held in memory as one tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.data.seeded_transform import SeededTransform
from trainers.data.splits import Batch, ImageSplit


class TensorSplit(ImageSplit):
    """A split held in memory as one tensor."""

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        indices: Tensor,
        augment: SeededTransform | None,
    ) -> None:
        """Keep the images as [n, 1, S, S] float32 in [0, 1]."""
        super().__init__(indices, augment)
        self._pixels, self.labels = pixels, labels

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The images at these positions."""
        chosen = torch.as_tensor(positions, dtype=torch.int64)
        labels, indices = self.labels[chosen], self.indices[chosen]
        # Contiguous, because memory that several elements share can't be page-locked.
        pixels = self._pixels[chosen].expand(-1, 3, -1, -1).contiguous()
        if self.augment is not None:
            pixels = torch.stack(
                [self.augment(image, index=index) for image, index in zip(pixels, indices.tolist(), strict=True)]
            )
        return Batch(pixels, labels, indices)
