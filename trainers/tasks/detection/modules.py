"""The network of detection: a backbone, a pyramid on its feature maps, and torchvision's Mask R-CNN on that."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.poolers import initLevelMapper

from trainers.models.feature_maps import FeatureMaps
from trainers.models.pyramid import SimplePyramid, pyramid_strides

if TYPE_CHECKING:
    from trainers.tasks.detection.task import DetectionConfig

Losses: TypeAlias = dict[str, Tensor]
"""Scalars, by torchvision's names."""


class Found(NamedTuple):
    """What is found in one image, in pixels of the image as it was seen."""

    boxes: Tensor
    """[n, 4] left, top, right and bottom edge, the surest first."""
    classes: Tensor
    """[n]."""
    scores: Tensor
    """[n], in [0, 1]."""
    masks: Tensor
    """[n, 1, 28, 28], the probability that a place of the box belongs to the object."""
    height_px: int
    width_px: int
    """Of the image as it was seen, without what it was filled up with."""
    is_finite: Tensor
    """[] bool, whether the image's features were numbers: of NaNs nothing is found, which looks like modesty."""


_MULTIPLE_PX = 32
"""Sides of a batch are multiples of it, or of a larger stride."""
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_BOX_PLACES, _MASK_PLACES = 7, 14
"""Places of a region that are looked at, along one side."""


class Pyramid(nn.Module):
    """Feature maps -> maps of one number of channels, each norm on a level of its own; and one more, coarser map."""

    def __init__(self, channels: Sequence[int], strides_px: Sequence[int], out_channels: int) -> None:
        """Draw its weights.

        Args:
            channels: of each feature map.
            strides_px: of each feature map.
            out_channels: of every map of the pyramid.
        """
        super().__init__()
        # The backbone's maps leave it without a norm of their own (Swin's reference implementation has these too).
        self.norms = nn.ModuleList(nn.LayerNorm(each) for each in channels)
        self.rescaled = SimplePyramid(channels, strides_px)
        self.pyramid = FeaturePyramidNetwork(list(channels), out_channels, extra_blocks=LastLevelMaxPool())

    def forward(self, maps: Sequence[Tensor]) -> "OrderedDict[str, Tensor]":
        """The pyramid of maps [B, C, H, W]: levels `0` (the finest), `1`, ..., and `pool`."""
        normed = (norm(each.movedim(1, -1)).movedim(-1, 1) for norm, each in zip(self.norms, maps, strict=True))
        levels = self.rescaled(list(normed))
        pyramid: OrderedDict[str, Tensor] = self.pyramid(
            OrderedDict((str(level), each) for level, each in enumerate(levels))
        )
        return pyramid


class _OutChannels(nn.Module):
    """In the place of a backbone, while torchvision builds its heads: all that they ask of one."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels


class DetectionNetwork(nn.Module):
    """Images of several sizes -> losses where targets are given, else what is found."""

    def __init__(
        self, config: "DetectionConfig", features: FeatureMaps, num_classes: int, *, square_px: int | None
    ) -> None:
        """Put backbone and heads together.

        Args:
            config: the heads' sizes.
            features: of the backbone.
            num_classes: of the objects, the ground not counted.
            square_px: side of the square that images are filled up to (`None`: to the largest of their batch).
        """
        super().__init__()
        self.features = features
        self._square_px = square_px
        self._multiple_px = max(_MULTIPLE_PX, *features.strides_px)
        self.pyramid = Pyramid(features.channels, features.strides_px, config.channels)
        strides_px, channels = pyramid_strides(features.strides_px), config.channels
        num_levels = len(strides_px)
        whole = MaskRCNN(
            _OutChannels(channels),
            rpn_anchor_generator=AnchorGenerator(
                sizes=tuple((config.anchor_size_px * 2**level,) for level in range(num_levels + 1)),
                aspect_ratios=(_ASPECT_RATIOS,) * (num_levels + 1),
            ),
            rpn_pre_nms_top_n_train=2 * config.num_proposals,
            rpn_pre_nms_top_n_test=config.num_proposals,
            rpn_post_nms_top_n_train=config.num_proposals,
            rpn_post_nms_top_n_test=config.num_proposals,
            box_roi_pool=_regions(strides_px, _BOX_PLACES),
            box_head=TwoMLPHead(channels * _BOX_PLACES**2, config.box_channels),
            box_predictor=FastRCNNPredictor(config.box_channels, num_classes + 1),
            box_score_thresh=config.min_score,
            box_batch_size_per_image=config.regions_per_image,
            mask_roi_pool=_regions(strides_px, _MASK_PLACES),
            mask_head=MaskRCNNHeads(channels, (config.mask_channels,) * config.mask_layers, dilation=1),
            mask_predictor=MaskRCNNPredictor(config.mask_channels, config.mask_channels, num_classes + 1),
        )
        self.rpn, self.roi_heads = whole.rpn, whole.roi_heads

    def forward(
        self, images: Tensor | list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> Losses | list[Found]:
        """Losses of a batch of images, or what is found in it.

        Boxes, scores and losses are computed in fp32: neighbouring bf16 numbers are 2 pixels apart at 300.

        Args:
            images: normalised; [B, 3, H, W], or a list of [3, H, W] of several sizes.
            targets: of each image, by torchvision's names; in training.
        """
        batch = self._filled_up(images)
        levels = self.pyramid(self.features(batch))
        with torch.autocast(batch.device.type, enabled=False):
            precise = OrderedDict((name, each.float()) for name, each in levels.items())
            seen = ImageList(batch.float(), [(image.shape[-2], image.shape[-1]) for image in images])
            proposals, first_losses = self.rpn(seen, precise, targets)
            found, second_losses = self.roi_heads(precise, proposals, seen.image_sizes, targets)
        if targets is not None:
            losses: Losses = first_losses | second_losses
            return losses
        is_finite = torch.stack([each.isfinite().flatten(1).all(dim=1) for each in levels.values()]).all(dim=0)
        return [
            Found(each["boxes"], each["labels"] - 1, each["scores"], each["masks"], height, width, flag)
            for each, (height, width), flag in zip(found, seen.image_sizes, is_finite, strict=True)
        ]

    def _filled_up(self, images: Tensor | list[Tensor]) -> Tensor:
        """[B, 3, H, W], filled up at the right and at the bottom: with the mean colour, as images are normalised.

        As torchvision's `GeneralizedRCNNTransform.batch_images`.
        """
        height, width = (self._side(max(image.shape[axis] for image in images)) for axis in (-2, -1))
        return torch.stack(
            [F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2])) for image in images]
        )

    def _side(self, longest_px: int) -> int:
        if self._square_px is not None:
            return self._square_px
        return -(-longest_px // self._multiple_px) * self._multiple_px


class TrainingPass(nn.Module):
    """What a training pass computes for one image, whatever its boxes are: for counting operations."""

    def __init__(self, network: DetectionNetwork, num_regions: int) -> None:
        """Count this network's, with as many regions."""
        super().__init__()
        self._network, self._num_regions = network, num_regions

    def forward(self, images: Tensor) -> None:
        """All products: of the backbone, the pyramid, all places, all regions; a quarter of the regions has masks."""
        network = self._network
        levels = network.pyramid(network.features(images))
        network.rpn.head(list(levels.values()))
        heads, channels = network.roi_heads, levels["0"].shape[1]
        regions = images.new_empty(self._num_regions, channels, _BOX_PLACES, _BOX_PLACES)
        heads.box_predictor(heads.box_head(regions))
        num_masks = max(1, self._num_regions // 4)
        heads.mask_predictor(heads.mask_head(images.new_empty(num_masks, channels, _MASK_PLACES, _MASK_PLACES)))


def _regions(strides_px: Sequence[int], places: int) -> MultiScaleRoIAlign:
    """Looks at regions on the levels of a pyramid with such strides."""
    regions = MultiScaleRoIAlign([str(level) for level in range(len(strides_px))], output_size=places, sampling_ratio=2)
    # Else torchvision guesses them from the heights of its first batch, for ever: wrongly where much was filled up.
    regions.scales = [1 / stride for stride in strides_px]
    regions.map_levels = initLevelMapper(
        int(math.log2(strides_px[0])),
        int(math.log2(strides_px[-1])),
        canonical_scale=regions.canonical_scale,
        canonical_level=regions.canonical_level,
    )
    return regions
