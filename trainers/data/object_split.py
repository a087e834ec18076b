"""A split of images with objects: boxes, classes and masks."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from trainers.data.instance_masks import InstanceMasks
from trainers.data.objects import Objects, fitted_size, objects_of_masks
from trainers.data.scored_view import ScoredView
from trainers.data.seeded_transform import SeededTransform
from trainers.data.splits import Batch, ImageSplit

PixelsT = TypeVar("PixelsT", Image.Image, InstanceMasks)


class ObjectSplit(ImageSplit):
    """Images in their own ratio, and the objects in them.

    A batch holds a list of images [3, H, W] uint8 and a list of `Objects`: those in the image as it is seen where it is
    trained on, those of the stored image, at its size, where it is scored. Without an augmentation, and where it is
    scored, an image is as large as its view allows.

    Objects that an augmentation moves keep what is seen of them: boxes are drawn anew around the moved masks, and an
    object of which no pixel is left is gone.
    """

    def __init__(
        self,
        indices: Tensor,
        augment: SeededTransform | None,
        *,
        input_size_px: int,
        is_scored: bool,
        view: ScoredView | None = None,
    ) -> None:
        """Keep how images are shown.

        Args:
            indices: [n] int64, place in the whole data set.
            augment: random changes to image and objects (training only).
            input_size_px: side S of the model's input.
            is_scored: whether objects are given at the size of the stored image.
            view: how large images are (`None`: the longer side is S).
        """
        super().__init__(indices, augment)
        self._view = ScoredView(input_size_px, max_long_side_px=input_size_px) if view is None else view
        self._is_scored = is_scored

    @abstractmethod
    def image(self, position: int) -> Image.Image:
        """The whole image at this position of the split, in RGB.

        Raises:
            DataError: it can't be read.
        """

    @abstractmethod
    def objects(self, position: int) -> Objects:
        """Its objects, at the image's size.

        Raises:
            DataError: they are none of this image.
        """

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The images at these positions, with their objects.

        Raises:
            DataError: see `image` and `objects`.
        """
        indices = self.indices[torch.as_tensor(positions, dtype=torch.int64)]
        shown = [self._shown(position, index) for position, index in zip(positions, indices.tolist(), strict=True)]
        return Batch(
            [F.pil_to_tensor(image).contiguous() for image, _ in shown], [objects for _, objects in shown], indices
        )

    def _fitted(self, pixels: PixelsT) -> PixelsT:
        """An image or masks, resized as the view says."""
        height, width = F.get_size(pixels)
        size = fitted_size(height, width, self._view.short_side_px, self._view.max_long_side_px)
        resized: PixelsT = F.resize(pixels, list(size), v2.InterpolationMode.BILINEAR)
        return resized

    def _shown(self, position: int, index: int) -> tuple[Image.Image, Objects]:
        image, objects = self.image(position), self.objects(position)
        if self._is_scored:
            return self._fitted(image), objects
        masks = InstanceMasks(objects.masks)
        if self.augment is not None:
            image, moved = self.augment(image, index=index, mask=masks)
        else:
            image, moved = self._fitted(image), self._fitted(masks)
        return image, objects_of_masks(objects.classes, moved.as_subclass(Tensor), objects.is_crowd)
