"""Random changes to training images, drawn from one generator per (seed, epoch, image)."""

from typing import Literal, TypeVar

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor
from torchvision.transforms import v2

from trainers.seeding import Stream, derive_seed
from trainers.strict import StrictModel

ImageT = TypeVar("ImageT", Image.Image, Tensor)


class NoAugmentation(StrictModel):
    """Training images are resized and normalised, nothing else."""

    kind: Literal["none"] = "none"

    def build(self, *, input_size_px: int, seed: int) -> None:
        """No transform."""


class CropFlipAugmentation(StrictModel):
    """Random resized crop, flip, rotation and colour jitter."""

    kind: Literal["crop_flip"] = "crop_flip"
    min_scale_fraction: float = Field(default=0.8, gt=0, le=1)
    """Smallest share of the image's area that a crop keeps."""
    flip_probability: float = Field(default=0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    rotation_degrees: float = Field(default=0.0, ge=0, le=180)
    """Rotation is drawn from plus or minus this angle."""
    color_jitter: float = Field(default=0.0, ge=0, le=1)
    """Strength of brightness, contrast and saturation jitter."""

    def build(self, *, input_size_px: int, seed: int) -> "SeededTransform":
        """The transform, for PIL images and for float tensors in [0, 1], to S x S pixels.

        Args:
            input_size_px: side S of the model's input.
            seed: the trial's seed.
        """
        steps: list[torch.nn.Module] = []
        if self.rotation_degrees > 0:
            steps.append(v2.RandomRotation(self.rotation_degrees, v2.InterpolationMode.BILINEAR))
        steps.append(
            v2.RandomResizedCrop(
                input_size_px,
                scale=(self.min_scale_fraction, 1.0),
                interpolation=v2.InterpolationMode.BICUBIC,
                antialias=True,
            )
        )
        steps.append(v2.RandomHorizontalFlip(self.flip_probability))
        if self.color_jitter > 0:
            steps.append(v2.ColorJitter(self.color_jitter, self.color_jitter, self.color_jitter))
        return SeededTransform(v2.Compose(steps), seed=seed)


class SeededTransform:
    """A random transform whose numbers depend on (seed, epoch, image) and on nothing else.

    Not on the arm, the rank, the number of loader workers, the order of images, or whether the run was resumed.
    """

    def __init__(self, transform: torch.nn.Module, *, seed: int) -> None:
        """Wrap a transform that draws from torch's global CPU generator, as torchvision's do."""
        self._transform = transform
        self._seed = seed
        # In shared memory: loader workers live through all epochs and hold a copy of this object.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose numbers come next."""
        self._epoch.fill_(epoch)

    def __call__(self, image: ImageT, *, index: int) -> ImageT:
        """The changed image.

        Args:
            image: a PIL image, or a float tensor [3, H, W] in [0, 1].
            index: the image's fixed place in the data set.
        """
        seed = derive_seed(self._seed, Stream.AUGMENTATION, int(self._epoch), index)
        with torch.random.fork_rng(devices=()):
            # Not torch.manual_seed: that one resets the CUDA generators too, which dropout uses.
            torch.default_generator.manual_seed(seed)
            changed: ImageT = self._transform(image)
        return changed


AugmentationConfig = NoAugmentation | CropFlipAugmentation
