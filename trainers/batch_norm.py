"""Batch norms: what they need of a micro-batch (or torch refuses to train), and what they remember of all."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainers.errors import ConfigError


def require_batch_norm_to_train(
    model: nn.Module,
    forward: Callable[[torch.Tensor], object],
    *,
    image_size_px: int,
    micro_batch_size: int,
    label: str,
) -> None:
    """Refuse micro-batches of one image where a batch norm would see a single value of each channel.

    Of a map with several places it sees several values of one image, and trains. Draws no random number and leaves the
    model as it is.

    Args:
        model: on the device that it will be trained on, not compiled.
        forward: asks it for [1, 3, S, S].
        image_size_px: side of its input.
        micro_batch_size: images that it sees at once.
        label: the model's name in the message.

    Raises:
        ConfigError: says which layer, and what would be right.
    """
    if micro_batch_size > 1:
        return
    single: list[str] = []

    def watch(name: str, norm: _BatchNorm) -> torch.utils.hooks.RemovableHandle:
        def look(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            values, channels = inputs[0].numel(), inputs[0].shape[1]
            if values == channels:
                single.append(name)

        return norm.register_forward_pre_hook(look)

    hooks = [watch(name, module) for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    if not hooks:
        return
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()
            forward(torch.zeros(1, 3, image_size_px, image_size_px, device=next(model.parameters()).device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    if single:
        raise ConfigError(
            f"{label} can't be trained on micro-batches of 1 image: its batch norm {single[0]} sees a single value of "
            f"each channel, and needs at least 2; take a larger optimization.global_batch_size, or fewer "
            f"optimization.accumulation_steps or workers"
        )


def running_statistics(model: nn.Module) -> dict[str, object]:
    """Running means and variances, by name: what `timm.utils.distributed.distribute_bn` makes equal over ranks."""
    return {
        name: buffer.to("cpu", copy=True)
        for name, buffer in model.named_buffers()
        if "running_mean" in name or "running_var" in name
    }
