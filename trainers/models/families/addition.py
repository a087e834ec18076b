"""Adding a Gaussian to what a layer already has: a bias of its own, or a mask."""

import torch

from trainers.errors import ConfigError
from trainers.models.attached_bias import AttachedBias


def add_gaussian(logits: torch.Tensor, gaussian: AttachedBias) -> torch.Tensor:
    """[..., heads, N, N] + the Gaussian, in the dtype of `logits` (a bias, or whole attention logits).

    Raises:
        ConfigError: the Gaussian was made for another number of tokens.
    """
    _check_length(logits.shape[-1], gaussian)
    gaussian_hNN: torch.Tensor = gaussian()
    # Under autocast the model's own bias may be bf16: the sum is taken in fp32 and cast last.
    return (logits + gaussian_hNN).to(logits.dtype)


def gaussian_mask(
    x: torch.Tensor, gaussian: AttachedBias, attn_mask: torch.Tensor | None = None, is_causal: bool = False
) -> torch.Tensor:
    """The Gaussian + `attn_mask` as an additive mask: [1, h, N, N], or wider where `attn_mask` is.

    Args:
        x: the layer's input, [B, N, C].
        gaussian: of this layer.
        attn_mask: additive, or boolean (`True` = may attend), or nothing.
        is_causal: what the layer was called with.

    Raises:
        ConfigError: the sequence is not the one that the Gaussian was made for, or attention is causal.
    """
    _check_length(x.shape[1], gaussian)
    if is_causal:
        raise ConfigError("a Gaussian attention bias can't be combined with causal attention")
    mask_1hNN: torch.Tensor = gaussian().unsqueeze(0).to(x.dtype)
    if attn_mask is None:
        return mask_1hNN
    if attn_mask.dtype == torch.bool:
        return torch.where(attn_mask, mask_1hNN, float("-inf"))
    return mask_1hNN + attn_mask


def _check_length(num_tokens: int, gaussian: AttachedBias) -> None:
    if num_tokens != gaussian.num_tokens:
        raise ConfigError(
            f"the attention bias was made for {gaussian.num_tokens} tokens ({gaussian.num_prefix_tokens} prefix tokens "
            f"and a grid of {gaussian.num_tokens - gaussian.num_prefix_tokens}), but the layer sees {num_tokens}; "
            "build the model for this image size before attaching the bias"
        )
