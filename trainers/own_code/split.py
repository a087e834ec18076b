"""A split of a data set of the user's own, as the training loop sees it."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from trainers.data.image_file import CenterCrop
from trainers.data.scored_view import ScoredView, usual_view
from trainers.data.seeded_transform import SeededTransform
from trainers.data.splits import Batch, ImageSplit
from trainers.errors import DataError
from trainers.own_code.images import OwnShare, drawn_seed, scored_seed
from trainers.own_code.items import ImageOrTensor


class OwnSplit(ImageSplit):
    """Images that the user's code gives when a batch needs them, cut to size where they are not of the model's."""

    def __init__(
        self,
        share: OwnShare,
        num_classes: int,
        input_size_px: int,
        view: ScoredView | None,
        augment: SeededTransform | None,
        *,
        seed: int | None,
    ) -> None:
        """Keep what gives them.

        Args:
            share: the split.
            num_classes: labels are below.
            input_size_px: side S of the model's input.
            view: of images of another size, where there is no augmentation (`None`: the usual one).
            augment: random changes after those of the user's code.
            seed: of the training split, the trial's (`None`: a split that is scored).
        """
        super().__init__(torch.from_numpy(share.rows + share.start), augment)
        self._share, self._num_classes, self._seed, self._epoch = share, num_classes, seed, 0
        self._size_px, self._view = input_size_px, view or usual_view(input_size_px)
        self._crop = CenterCrop(input_size_px, view)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose numbers the user's code and the augmentation draw."""
        super().set_epoch(epoch)
        self._epoch = epoch

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The images at these positions.

        Raises:
            DataError: the user's code raises, gives something else, or has become longer or shorter.
        """
        self._share.items.require_length()
        chosen = torch.as_tensor(positions, dtype=torch.int64)
        indices = self.indices[chosen]
        pixels, labels = [], []
        for position, index in zip(positions, indices.tolist(), strict=True):
            row = int(self._share.rows[position])
            drawn = scored_seed(row) if self._seed is None else drawn_seed(self._seed, epoch=self._epoch, index=index)
            image, label = self._share.items.item(row, seed=drawn)
            if label >= self._num_classes:
                raise DataError(f"image {row} has the label {label} by now, and there are {self._num_classes} classes")
            pixels.append(self._pixels(image, index))
            labels.append(label)
        if len({each.dtype for each in pixels}) > 1:
            pixels = [each if each.is_floating_point() else each.float() / 255 for each in pixels]
        return Batch(torch.stack(pixels), torch.tensor(labels, dtype=torch.int64), indices)

    def _pixels(self, image: ImageOrTensor, index: int) -> Tensor:
        """[3, S, S] uint8 of a PIL image, float32 of a tensor."""
        if self.augment is not None:
            image = self.augment(image, index=index)
        elif _size_of(image) != (self._size_px, self._size_px):
            image = self._crop(image) if isinstance(image, Image.Image) else self._middle_of(image)
        pixels: Tensor = v2.functional.pil_to_tensor(image) if isinstance(image, Image.Image) else image
        return pixels.contiguous()

    def _middle_of(self, image: Tensor) -> Tensor:
        interpolation = v2.InterpolationMode(self._view.interpolation)
        resized = v2.functional.resize(image, [self._view.short_side_px], interpolation, antialias=True)
        middle: Tensor = v2.functional.center_crop(resized, [self._size_px, self._size_px])
        # Bicubic weights overshoot.
        return middle.clamp(0, 1)


def _size_of(image: ImageOrTensor) -> tuple[int, int]:
    return image.size if isinstance(image, Image.Image) else (image.shape[-1], image.shape[-2])
