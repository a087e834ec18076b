"""What a model's forward pass costs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def count_forward_flops(model: "nn.Module", input_size_px: int) -> float:
    """Floating-point operations (2 per multiply-add) of one image's forward pass through a model on `meta`.

    Counts convolutions and matrix products; norms, softmax and the attention bias are a few per cent more.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model.eval()(torch.empty(1, 3, input_size_px, input_size_px, device="meta"))
    return float(counter.get_total_flops())
