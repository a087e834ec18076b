"""timm's RandAugment and random erasing, as steps of a transform."""

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from timm.data.constants import IMAGENET_DEFAULT_MEAN
from timm.data.random_erasing import RandomErasing
from torch import Tensor, nn
from torchvision.transforms import v2

FILL_COLOR = tuple(round(255 * mean) for mean in IMAGENET_DEFAULT_MEAN)
"""What geometric changes uncover, and what is erased: ImageNet's mean."""


def rand_augment(policy: str, input_size_px: int) -> nn.Module:
    """RandAugment by timm's text for it.

    Args:
        policy: timm's text.
        input_size_px: side of the images.
    """
    # As timm's own recipes set them; it adds to the dictionary, so each call gets a new one.
    facts = {
        "translate_const": int(0.45 * input_size_px),
        "img_mean": FILL_COLOR,
        "interpolation": Image.Resampling.BICUBIC,
    }
    return _OnImages(rand_augment_transform(policy, facts))


def random_erasing(probability: float) -> nn.Module:
    """A rectangle of the image takes `FILL_COLOR`, with some probability."""
    return _OnImages(_Erasing(probability))


class _OnImages(nn.Module):
    """A change to PIL images, also for float tensors in [0, 1] (they come back in steps of 1/255)."""

    def __init__(self, change: object) -> None:
        super().__init__()
        self._change = change

    def forward(self, image: Image.Image | Tensor) -> Image.Image | Tensor:
        assert callable(self._change)
        if isinstance(image, Image.Image):
            changed: Image.Image = self._change(image)
            return changed
        changed = self._change(v2.functional.to_pil_image(image))
        tensor: Tensor = v2.functional.pil_to_tensor(changed)
        return tensor.to(torch.float32) / 255


class _Erasing:
    """timm's random erasing, in bytes: it writes zeros, so the image is moved by the fill colour and back."""

    def __init__(self, probability: float) -> None:
        self._erase = RandomErasing(probability, mode="const", device="cpu")  # type: ignore[no-untyped-call]
        self._fill = torch.tensor(FILL_COLOR, dtype=torch.int16).view(3, 1, 1)

    def __call__(self, image: Image.Image) -> Image.Image:
        pixels = v2.functional.pil_to_tensor(image).to(torch.int16) - self._fill
        erased: Tensor = self._erase(pixels) + self._fill
        return Image.fromarray(np.ascontiguousarray(erased.to(torch.uint8).permute(1, 2, 0).numpy()))
