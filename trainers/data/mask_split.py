"""A split of images with masks: the class of each pixel."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from trainers.data.class_mask import ClassMask, moved_ids
from trainers.data.seeded_transform import SeededTransform
from trainers.data.splits import Batch, ImageSplit


class MaskSplit(ImageSplit):
    """Images and masks: squares where they are trained on, whole where they are scored.

    For a model's input of S pixels a batch holds

    | split | images | targets |
    |---|---|---|
    | training | [B, 3, S, S] uint8 | [B, S, S] int64 |
    | scored | list of [3, H, W] uint8, the shorter side S, in their own ratio | list of [H0, W0] int64, as stored |

    so predictions are compared at the size of the stored mask. `UNSCORED` (255) in a target is no class.
    """

    def __init__(
        self, indices: Tensor, augment: SeededTransform | None, *, input_size_px: int, is_scored: bool
    ) -> None:
        """Keep how images are shown.

        Args:
            indices: [n] int64, place in the whole data set.
            augment: random changes to image and mask (training only; `None`: the middle square is seen).
            input_size_px: side S of the model's input.
            is_scored: whether images are given whole.
        """
        super().__init__(indices, augment)
        self._size_px, self._is_scored = input_size_px, is_scored

    @abstractmethod
    def image(self, position: int) -> Image.Image:
        """The whole image at this position of the split, in RGB.

        Raises:
            DataError: it can't be read.
        """

    @abstractmethod
    def mask(self, position: int) -> ClassMask:
        """Its mask, of the same size.

        Raises:
            DataError: it can't be read, is of another size, or holds what is no class.
        """

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The images at these positions, with their masks.

        Raises:
            DataError: see `image` and `mask`.
        """
        indices = self.indices[torch.as_tensor(positions, dtype=torch.int64)]
        shown = [self._shown(position, index) for position, index in zip(positions, indices.tolist(), strict=True)]
        images, masks = [F.pil_to_tensor(image) for image, _ in shown], [moved_ids(mask) for _, mask in shown]
        if self._is_scored:
            # Else they could not be page-locked for a GPU.
            return Batch([each.contiguous() for each in images], [each.contiguous() for each in masks], indices)
        return Batch(torch.stack(images), torch.stack(masks), indices)

    def _shown(self, position: int, index: int) -> tuple[Image.Image, ClassMask]:
        return self._show(self.image(position), self.mask(position), index)

    def _show(self, image: Image.Image, mask: ClassMask, index: int) -> tuple[Image.Image, ClassMask]:
        """How an image of this place in the data set is given, with its mask."""
        if self.augment is not None:
            return self.augment(image, index=index, mask=mask)
        resized: Image.Image = F.resize(image, [self._size_px], v2.InterpolationMode.BILINEAR)
        if self._is_scored:
            return resized, mask
        square = [self._size_px, self._size_px]
        return F.center_crop(resized, square), F.center_crop(F.resize(mask, [self._size_px]), square)
