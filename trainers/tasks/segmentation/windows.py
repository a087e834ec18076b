"""Logits of a whole image, from a network that sees it whole or in squares of one size."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_COARSEST_STRIDE_PX = 32
"""Of the last map of a backbone."""
_AT_ONCE = 8
"""Windows of one forward pass."""


def starts(length: int, size: int, stride: int) -> list[int]:
    """Where windows begin along one side: every `stride`, and one that ends with the image.

    Args:
        length: of the side, at least `size`.
        size: of a window.
        stride: between two windows, at most `size`.
    """
    if length <= size:
        return [0]
    num_windows = -(-(length - size) // stride) + 1
    return [min(number * stride, length - size) for number in range(num_windows)]


def sliding_logits(network: Callable[[Tensor], Tensor], image: Tensor, *, size_px: int, stride_px: int) -> Tensor:
    """Mean over windows of a network's logits at every pixel.

    Args:
        network: [B, 3, S, S] -> logits [B, K, h, w], which are resized to S x S.
        image: [3, H, W], no side below S.
        size_px: S.
        stride_px: between two windows.

    Returns:
        [K, H, W] float32.
    """
    _, height, width = image.shape
    places = [(y, x) for y in starts(height, size_px, stride_px) for x in starts(width, size_px, stride_px)]
    total: Tensor | None = None
    count = image.new_zeros((1, height, width), dtype=torch.float32)
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        windows = torch.stack([image[:, y : y + size_px, x : x + size_px] for y, x in some])
        logits = resized(network(windows), (size_px, size_px))
        if total is None:
            total = logits.new_zeros((logits.shape[1], height, width))
        for (y, x), found in zip(some, logits, strict=True):
            total[:, y : y + size_px, x : x + size_px] += found
            count[:, y : y + size_px, x : x + size_px] += 1
    assert total is not None
    return total / count


def whole_logits(network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """A network's logits [K, H, W] float32 at every pixel of an image that it sees whole.

    The image is filled up at the right and at the bottom, with the mean colour, to the network's coarsest stride.

    Args:
        network: [1, 3, H', W'] -> logits [1, K, h, w], for sides that are multiples of 32.
        image: [3, H, W], normalised.
    """
    height, width = image.shape[-2:]
    filled = F.pad(image, (0, -width % _COARSEST_STRIDE_PX, 0, -height % _COARSEST_STRIDE_PX))
    logits = resized(network(filled[None]), (filled.shape[-2], filled.shape[-1]))
    return logits[0, :, :height, :width]


def resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits [B, K, h, w] at another size, in fp32."""
    return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)
