"""Activations that a forward pass forgets and the backward pass computes again: memory for time."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainers.errors import ConfigError
from trainers.optimization.recipe import OptimizationConfig


@contextmanager
def activation_checkpointing(backbone: nn.Module, config: OptimizationConfig) -> Iterator[None]:
    """Around the steps of descent, by timm's `set_grad_checkpointing`; scoring and analyses never compute twice.

    Dropout and stochastic depth draw the same again (torch restores its generators).

    Raises:
        ConfigError: it is asked for, and the model can't, or has batch norms: their running statistics would take in
            every batch twice.
    """
    if not config.activation_checkpointing:
        yield
        return
    if any(isinstance(module, _BatchNorm) and module.track_running_stats for module in backbone.modules()):
        raise ConfigError(
            f"optimization.activation_checkpointing: {type(backbone).__name__} has batch norms, whose running "
            "statistics would take in every batch twice; set it to false, or take a model with layer norms"
        )
    try:
        backbone.set_grad_checkpointing(True)  # type: ignore[operator]
    # timm's own way to say so, and that of models which have no such method.
    except (AssertionError, AttributeError) as error:
        raise ConfigError(
            f"optimization.activation_checkpointing: {type(backbone).__name__} can't compute its activations "
            "again (it has no `set_grad_checkpointing` that works); set it to false, or take another model"
        ) from error
    try:
        yield
    finally:
        backbone.set_grad_checkpointing(False)  # type: ignore[operator]
