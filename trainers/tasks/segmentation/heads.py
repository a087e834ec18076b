"""Which head turns a backbone's feature maps into a class for every place."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainers.strict import StrictModel

if TYPE_CHECKING:
    from torch import nn


class Head(StrictModel, ABC):
    """Makes the module that maps feature maps to logits [B, K, h, w]."""

    libraries: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def build(self, channels: Sequence[int], strides_px: Sequence[int], num_classes: int) -> "nn.Module":
        """The head, with fresh weights from torch's global random numbers.

        Args:
            channels: of each feature map.
            strides_px: of each feature map.
            num_classes: K.

        Raises:
            ConfigError: it can't be built on such maps.
        """


class LinearHead(Head):
    """A class for every token of the last map, by one linear layer (the linear decoder of Segmenter, arXiv 2105.05633).

    What is right of it is the backbone's merit: a question about the backbone is answered most directly so.
    """

    kind: Literal["linear"] = "linear"

    def build(self, channels: Sequence[int], strides_px: Sequence[int], num_classes: int) -> "nn.Module":
        """One linear layer over the channels of the last map."""
        from trainers.tasks.segmentation.modules import LinearDecoder

        return LinearDecoder(channels[-1], num_classes)


class UperNetHead(Head):
    """UPerNet (arXiv 1807.10221), as the Swin paper uses it, from segmentation_models.pytorch.

    Of a ViT, whose maps are all of one size, the four maps are first resized to strides of 4, 8, 16 and 32 pixels.
    """

    libraries: ClassVar[tuple[str, ...]] = ("segmentation-models-pytorch",)

    kind: Literal["upernet"] = "upernet"
    channels: int = Field(default=512, ge=4, le=2048)
    """Channels of every map of its pyramid."""
    auxiliary_weight: float = Field(default=0.4, ge=0, le=10)
    """Weight in the loss of a second, small head (one 3 x 3 convolution) on the last map but one; 0: there is none."""
    auxiliary_channels: int = Field(default=256, ge=4, le=2048)
    """Channels of that second head."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of channels that are dropped before each of the two last layers, in training."""

    def build(self, channels: Sequence[int], strides_px: Sequence[int], num_classes: int) -> "nn.Module":
        """The pyramid, its last layer and the second head.

        Raises:
            ConfigError: there are fewer than two maps.
        """
        from trainers.tasks.segmentation.modules import UperNetDecoder

        return UperNetDecoder(self, channels, strides_px, num_classes)


HeadConfig = LinearHead | UperNetHead
