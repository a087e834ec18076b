"""A classifier's backbone as a source of feature maps, for tasks that say something of every place of an image."""

from collections.abc import Sequence
from typing import Any

import torch
from timm.models._features import FeatureGetterNet
from torch import Tensor, nn

from trainers.errors import ConfigError
from trainers.models.reference_windows import see_any_size

MAX_MAPS = 4
_ANOTHER_SIZE_PX = (160, 288)
"""Height and width of an image that nobody has published a model for."""


class FeatureMaps(nn.Module):
    """[B, 3, H, W] -> maps [B, C, h, w] of a model of timm, the finest first.

    The model stays in one piece, its head taken off: whatever knows it as a classifier's (attention biases, layer
    decay, analyses) knows it here. Swins see images of any size (`reference_windows`), other models those of timm.
    """

    backbone: nn.Module
    channels: tuple[int, ...]
    """Of each map."""
    strides_px: tuple[int, ...]
    """Side of the square of pixels that one place of each map stands for."""

    def __init__(self, model: nn.Module) -> None:
        """Take a model's head off, in place.

        Hierarchical models give the map of every stage, the last four at most; of a ViT, whose maps are all of one
        size, four blocks give theirs: the last one, and three evenly spaced before it.

        Args:
            model: of timm.

        Raises:
            ConfigError: it gives no maps of its layers.
        """
        super().__init__()
        if not hasattr(model, "forward_intermediates"):
            raise ConfigError(
                f"timm's {type(model).__name__} gives no maps of its layers (it has no forward_intermediates), so "
                "nothing can be said of each pixel: take a ViT, a Swin, a ConvNeXt, ..."
            )
        feature_info: Any = model.feature_info
        found = list(feature_info)
        self._layers = _chosen([each["reduction"] for each in found])
        self.channels = tuple(int(found[layer]["num_chs"]) for layer in self._layers)
        self.strides_px = tuple(int(found[layer]["reduction"]) for layer in self._layers)
        see_any_size(model)
        # It only keeps the maps' indices; the model is not rebuilt.
        self.backbone = FeatureGetterNet(model, out_indices=tuple(self._layers), norm=False).model

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps of a batch, the finest first."""
        maps: list[Tensor] = self.backbone.forward_intermediates(  # type: ignore[operator]
            images, indices=self._layers, norm=False, output_fmt="NCHW", intermediates_only=True
        )
        return maps

    def take_any_size(self) -> bool:
        """Whether images of other sizes than the model's own give maps, too; for a model on `meta`."""
        height, width = _ANOTHER_SIZE_PX
        try:
            with torch.no_grad():
                maps = self.eval()(torch.empty(1, 3, height, width, device="meta"))
        # What timm's models were seen to raise: each checks sizes in its own way, or not at all.
        except (AssertionError, RuntimeError, TypeError, ValueError):
            return False
        expected = [(height // stride, width // stride) for stride in self.strides_px]
        return [(each.shape[-2], each.shape[-1]) for each in maps] == expected


def _chosen(strides_px: Sequence[int]) -> list[int]:
    """Which of a model's layers give their maps."""
    num_layers = len(strides_px)
    if len(set(strides_px)) > 1:
        return list(range(num_layers))[-MAX_MAPS:]
    num_maps = min(MAX_MAPS, num_layers)
    return [(number + 1) * num_layers // num_maps - 1 for number in range(num_maps)]
