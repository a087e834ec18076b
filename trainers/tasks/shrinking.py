"""Images and masks of any size, made as small as they are kept for pictures."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from trainers.data.objects import fitted_size
from trainers.tasks.shown_images import MAX_SIDE_PX


def kept_size(height_px: int, width_px: int) -> tuple[int, int]:
    """Height and width of a kept image, in its own ratio, never larger than it was."""
    side_px = min(MAX_SIDE_PX, max(height_px, width_px))
    return fitted_size(height_px, width_px, side_px, side_px)


def shrunk_image(image: Tensor, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Pixels [3, H, W], uint8 or from 0 to 1, as [h, w, 3] uint8."""
    pixels = image if image.dtype == torch.uint8 else (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    height, width = size
    whole = Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
    return np.asarray(whole.resize((width, height), Image.Resampling.BILINEAR))


def shrunk_mask(mask: Tensor, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Every pixel [h, w] has the value of [H, W] that lies at its middle."""
    rows, columns = (
        torch.div((2 * torch.arange(new) + 1) * old, 2 * new, rounding_mode="floor")
        for old, new in zip(mask.shape, size, strict=True)
    )
    chosen: npt.NDArray[np.uint8] = mask.cpu()[rows][:, columns].to(torch.uint8).numpy()
    return chosen
