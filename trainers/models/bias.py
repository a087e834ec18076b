"""The attention bias of a model: none, a Gaussian over token distance, or the Gaussian's placebo."""

from typing import TYPE_CHECKING, Literal

from trainers.models.gaussian import GaussianBias, PermutedGaussianBias
from trainers.strict import StrictModel

if TYPE_CHECKING:
    from torch import nn

    from trainers.models.gaussian_attention import GaussianAttentionBias

__all__ = [
    "AttentionBiasConfig",
    "GaussianBias",
    "NoBias",
    "PermutedGaussianBias",
    "attach_bias",
    "attached_biases",
    "bias_metrics",
    "bias_parameters",
]


class NoBias(StrictModel):
    """The model as it is."""

    kind: Literal["none"] = "none"


AttentionBiasConfig = NoBias | GaussianBias | PermutedGaussianBias


def attach_bias(model: "nn.Module", config: AttentionBiasConfig) -> None:
    """Add the bias to the attention logits of every layer, in place; draws no random number.

    Args:
        model: a model that is, or contains, one of a family in `trainers.models.families`.
        config: the bias; `NoBias` leaves the model untouched.

    Raises:
        ConfigError: the model can't take the bias (nothing has been changed then).
    """
    if isinstance(config, NoBias):
        return
    from trainers.models.attachment import find_sites

    for site in find_sites(model):
        site.attach(config)


def attached_biases(model: "nn.Module") -> "list[GaussianAttentionBias]":
    """The Gaussians of a model (wrapped by DDP or `torch.compile` or not), in layer order."""
    from trainers.models.gaussian_attention import GaussianAttentionBias

    return [module for module in model.modules() if isinstance(module, GaussianAttentionBias)]


def bias_parameters(model: "nn.Module") -> "list[nn.Parameter]":
    """Sigma and A of every layer, frozen ones too: they get no weight decay, and lr * the config's `lr_multiplier`."""
    return [parameter for bias in attached_biases(model) for parameter in bias.parameters()]


def bias_metrics(model: "nn.Module") -> dict[str, float]:
    """Sigma (in tokens) and A of every layer: `sigma/00`, `amplitude/00`; per head `sigma/00_head0`."""
    import torch

    biases = attached_biases(model)
    if not biases:
        return {}
    names = [f"{layer:02d}{head}" for layer, bias in enumerate(biases) for head in _head_marks(bias)]
    # One transfer from the device for all layers.
    with torch.no_grad():
        values = torch.cat([bias.sigma() for bias in biases] + [bias.amplitude() for bias in biases]).tolist()
    keys = [f"sigma/{name}" for name in names] + [f"amplitude/{name}" for name in names]
    return dict(zip(keys, values, strict=True))


def _head_marks(bias: "GaussianAttentionBias") -> list[str]:
    if not bias.config.per_head:
        return [""]
    num_heads = len(bias.sigma_param)
    digits = len(str(num_heads - 1))
    return [f"_head{head:0{digits}d}" for head in range(num_heads)]
