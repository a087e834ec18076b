"""What a model's forward pass costs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def count_forward_flops(model: "nn.Module", input_size_px: int | tuple[int, int]) -> float:
    """Floating-point operations (2 per multiply-add) of one image's forward pass through a model on `meta`.

    Counts convolutions and matrix products; norms, softmax and the attention bias are a few per cent more.

    Args:
        model: on `meta`.
        input_size_px: side of a square image, or height and width.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    height, width = (input_size_px, input_size_px) if isinstance(input_size_px, int) else input_size_px
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.eval()(torch.empty(1, 3, height, width, device="meta"))
    return float(counter.get_total_flops())
