"""The grid of patch tokens of a model without windows."""

from timm.layers.patch_embed import PatchEmbed
from torch import nn

from trainers.errors import ConfigError
from trainers.models.grid import TokenGrid


def patch_embedding(model: nn.Module) -> PatchEmbed:
    """The layer of a timm model that cuts the image into patches.

    Raises:
        ConfigError: it is none that lays plain patches on a grid (a convolutional stem, say).
    """
    if not isinstance(model.patch_embed, PatchEmbed):
        raise ConfigError(
            f"{type(model).__name__} makes its tokens with {type(model.patch_embed).__name__}; an attention bias "
            "needs timm's PatchEmbed"
        )
    return model.patch_embed


def patch_grid(model: nn.Module, num_prefix_tokens: int) -> TokenGrid:
    """The tokens of every layer of a model that attends over the whole image.

    Raises:
        ConfigError: the model takes images of any size, or has no plain patches.
    """
    if getattr(model, "dynamic_img_size", False):
        raise ConfigError(
            f"{type(model).__name__} with dynamic_img_size has no fixed grid of tokens, so no attention bias can be "
            "added; build it with dynamic_img_size=False"
        )
    grid_size = patch_embedding(model).grid_size
    if grid_size is None:
        raise ConfigError(f"{type(model).__name__} has no fixed image size, so no attention bias can be added")
    height, width = grid_size
    return TokenGrid(height, width, num_prefix_tokens)
