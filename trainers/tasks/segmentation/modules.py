"""The networks of segmentation: heads on feature maps, and head and backbone together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import Tensor, nn

from trainers.errors import ConfigError
from trainers.models.feature_maps import FeatureMaps
from trainers.models.pyramid import SimplePyramid
from trainers.tasks.segmentation.synced_batch_norm import see_the_whole_batch

if TYPE_CHECKING:
    from trainers.tasks.segmentation.heads import UperNetHead


class Logits(NamedTuple):
    """What a head says; the second head only in training."""

    main: Tensor
    """[B, K, h, w], coarser than the image."""
    auxiliary: Tensor | None = None
    """[B, K, h', w']."""
    auxiliary_weight: float = 0.0
    """In the loss."""


class SegmentationNetwork(nn.Module):
    """[B, 3, S, S] -> logits, coarser than the image."""

    def __init__(self, features: FeatureMaps, head: nn.Module, input_size_px: int) -> None:
        """Put both together, for squares of S pixels."""
        super().__init__()
        self.features, self.head, self.input_size_px = features, head, input_size_px

    def forward(self, images: Tensor) -> Logits:
        """Logits of a batch of squares."""
        logits: Logits = self.head(self.features(images))
        return logits


class LinearDecoder(nn.Module):
    """One linear layer for every place of the last map."""

    def __init__(self, channels: int, num_classes: int) -> None:
        """Draw its weights."""
        super().__init__()
        self.classifier = nn.Conv2d(channels, num_classes, kernel_size=1)

    def forward(self, maps: Sequence[Tensor]) -> Logits:
        """Logits [B, K, h, w] of maps [B, C, h, w]."""
        return Logits(self.classifier(maps[-1]))


class UperNetDecoder(nn.Module):
    """UPerNet's pyramid, its last layer, and a second head for the loss alone."""

    def __init__(
        self, config: "UperNetHead", channels: Sequence[int], strides_px: Sequence[int], num_classes: int
    ) -> None:
        """Draw its weights.

        Args:
            config: its sizes.
            channels: of each feature map.
            strides_px: of each feature map.
            num_classes: K.

        Raises:
            ConfigError: there are fewer than two maps.
        """
        super().__init__()
        if len(channels) < 2:
            raise ConfigError(
                'UPerNet needs feature maps of at least two layers, and the model has one; take {"kind": "linear"} as '
                "the head, or a deeper model"
            )
        self._auxiliary_weight = config.auxiliary_weight
        self.rescaled = SimplePyramid(channels, strides_px)
        # The decoder leaves out the first two of what it is told: the image and its half.
        self.pyramid = UPerNetDecoder(
            [0, 0, *channels], encoder_depth=len(channels) + 1, decoder_channels=config.channels
        )
        self.dropout = nn.Dropout2d(config.dropout)
        self.classifier = nn.Conv2d(config.channels, num_classes, kernel_size=1)
        self.auxiliary = None
        if config.auxiliary_weight:
            self.auxiliary = nn.Sequential(
                nn.Conv2d(channels[-2], config.auxiliary_channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(config.auxiliary_channels),
                nn.ReLU(),
                nn.Dropout2d(config.dropout),
                nn.Conv2d(config.auxiliary_channels, num_classes, kernel_size=1),
            )
        see_the_whole_batch(self)

    def forward(self, maps: Sequence[Tensor]) -> Logits:
        """Logits at the size of the finest map, and in training those of the second head."""
        pyramid = self.rescaled(maps)
        auxiliary = None
        if self.auxiliary is not None and self.training:
            # In the reference each map has left the backbone through its norm, so both heads see it normed.
            auxiliary = self.auxiliary(self.pyramid.feature_norms[-2](pyramid[-2]))
        fused = self.pyramid([maps[0], maps[0], *pyramid])
        return Logits(self.classifier(self.dropout(fused)), auxiliary, self._auxiliary_weight)
