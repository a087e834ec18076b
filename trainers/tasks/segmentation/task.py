"""Semantic segmentation: a class for every pixel, by a head on a backbone's feature maps."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field

from trainers.errors import DataError
from trainers.metrics import Metric, share
from trainers.models.flops import count_forward_flops
from trainers.remembered import remembered
from trainers.tasks.segmentation.heads import HeadConfig, UperNetHead
from trainers.tasks.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainers.models.model import Model
    from trainers.tasks.segmentation.areas import Areas, ImageAreas
    from trainers.tasks.segmentation.modules import Logits, SegmentationNetwork
    from trainers.tasks.shown_images import ShownImage

_ANY_NUM_CLASSES = 10
"""The last layer's size is noise in what a pass costs."""


class SegmentationConfig(Task):
    """One class for every pixel.

    Trained on squares of the model's input size. Images are scored at their original size: resized so that the
    shorter side is the input size, seen whole or in overlapping squares whose logits are averaged, and resized back.
    """

    targets: ClassVar[Literal["class", "mask"]] = "mask"
    metrics: ClassVar[tuple[Metric, ...]] = (
        share("miou", higher_is_better=True, words="mean IoU"),
        share("aacc", higher_is_better=True, words="pixel accuracy"),
        share("macc", higher_is_better=True, words="mean class accuracy"),
        share("image_miou", higher_is_better=True, words="mean IoU per image", per_image="image_iou"),
        Metric("loss", "nats", 1.0, higher_is_better=False),
    )
    core_seconds_per_image: ClassVar[float] = 0.002
    shows_images: ClassVar[bool] = True
    class_metrics: ClassVar[tuple[Metric, ...]] = (share("iou", higher_is_better=True, words="IoU"),)
    selects_by: ClassVar[str] = "miou"
    watched: ClassVar[tuple[str, ...]] = ("loss", "miou")
    published: ClassVar[Mapping[str, str]] = {"miou": "mIoU", "aacc": "aAcc"}

    kind: Literal["segmentation"] = "segmentation"
    head: Annotated[HeadConfig, Field(discriminator="kind")] = UperNetHead()
    """What turns the backbone's feature maps into classes."""
    scoring: Literal["windows", "whole"] = "windows"
    """How an image is seen that is scored: in overlapping squares, by every model; or whole, in one pass, by models
    that see images of any size (Swins and CNNs)."""
    window_stride_fraction: float = Field(default=2 / 3, gt=0, le=1)
    """Distance between two squares that are scored, as a share of their side."""

    @property
    def sees_any_size(self) -> bool:
        """Where whole images are scored."""
        return self.scoring == "whole"

    def network(
        self, model: "Model", class_names: Sequence[str], *, position_seed: int, data_root: Path | None
    ) -> "nn.Module":
        """[B, 3, S, S] -> logits of every class at every place."""
        from trainers.models.feature_maps import FeatureMaps
        from trainers.tasks.segmentation.modules import SegmentationNetwork

        if self.sees_any_size:
            model.require_any_size()
        features = FeatureMaps(model.for_maps().build(0, position_seed=position_seed, data_root=data_root))
        return SegmentationNetwork(
            features, self.head.build(features.channels, features.strides_px, len(class_names)), model.input_size_px
        )

    def backbone(self, network: "nn.Module") -> "nn.Module":
        """The model without its head."""
        return network.get_submodule("features.backbone")

    def require_classes(self, num_classes: int, *, epochs: int, label: str) -> None:
        """Refuse to train on one class.

        Raises:
            DataError: it is one, and there is something to train.
        """
        if num_classes == 1 and epochs:
            raise DataError(f"{label} has 1 class, and training needs two or more: the ground is a class of its own")

    def outputs(
        self, network: "nn.Module", images: "Tensor | list[Tensor]", targets: "Tensor | None"
    ) -> "Logits | list[Tensor]":
        """Logits of squares [B, 3, S, S] in training; in scoring [K, H, W] of each image, whatever its size."""
        if targets is not None:
            logits: Logits = network(images)
            return logits
        from trainers.tasks.segmentation.windows import sliding_logits, whole_logits

        # Scoring is a matter of each rank: nothing is wrapped around the network.
        squares_of = cast("SegmentationNetwork", network)
        if self.scoring == "whole":
            return [whole_logits(lambda seen: squares_of(seen).main, image) for image in images]
        size_px = squares_of.input_size_px
        stride_px = max(1, round(size_px * self.window_stride_fraction))
        return [
            sliding_logits(lambda squares: squares_of(squares).main, image, size_px=size_px, stride_px=stride_px)
            for image in images
        ]

    def criterion(self, class_names: Sequence[str], device: "torch.device") -> "Callable[[Logits, Tensor], Tensor]":
        """Mean cross-entropy over all pixels; the second head's, weighted, added.

        Args:
            class_names: not used.
            device: not used.

        Returns:
            Of logits, resized to the masks, and classes [B, S, S]; 255 is not learned, and costs 0.
        """
        return _loss

    def look(self, outputs: "list[Tensor]", targets: "list[Tensor]", indices: "Tensor") -> "ImageAreas":
        """Pixels that are right, of each class and image, at the masks' own size.

        Args:
            outputs: logits [K, H, W] of each image.
            targets: its mask [H0, W0]; 255 is not scored.
            indices: [B] places in the data set.
        """
        import torch
        from torch.nn import functional as F

        from trainers.data.class_mask import UNSCORED
        from trainers.tasks.segmentation.areas import ImageAreas, areas_of
        from trainers.tasks.segmentation.windows import resized

        areas, losses = [], []
        for logits, mask in zip(outputs, targets, strict=True):
            full = resized(logits[None], (mask.shape[0], mask.shape[1]))
            is_scored = mask != UNSCORED
            areas.append(areas_of(full[0].argmax(dim=0)[is_scored], mask[is_scored], len(logits)))
            by_pixel = F.cross_entropy(full, mask[None], ignore_index=UNSCORED, reduction="none")
            losses.append(by_pixel.sum(dtype=torch.float64))
        return ImageAreas(indices, torch.stack(areas), torch.stack(losses))

    def evidence(self, batches: "Sequence[ImageAreas]") -> "Areas":
        """Join one rank's batches."""
        from trainers.tasks.segmentation.areas import Areas

        return Areas.of_batches(batches)

    def shown(
        self, images: "list[Tensor]", outputs: "list[Tensor]", targets: "list[Tensor]", indices: "Tensor"
    ) -> "list[ShownImage]":
        """Both masks of each image; a class is a region."""
        from trainers.tasks.segmentation.showing import shown_masks

        return [shown_masks(*each) for each in zip(images, outputs, targets, indices.tolist(), strict=True)]

    def forward_flops_per_image(self, model: "Model") -> float:
        """Floating-point operations of backbone and head on one square."""

        def count() -> float:
            from trainers.models.feature_maps import FeatureMaps
            from trainers.tasks.segmentation.modules import SegmentationNetwork

            features = FeatureMaps(model.for_maps().build_fresh(0))
            head = self.head.build(features.channels, features.strides_px, _ANY_NUM_CLASSES)
            network = SegmentationNetwork(features, head, model.input_size_px).to("meta")
            return count_forward_flops(network, model.input_size_px)

        return remembered("segmentation_flops", f"{self.model_dump_json()} {model.model_dump_json()}", float, count)


def _loss(outputs: "Logits", targets: "Tensor") -> "Tensor":
    total = _mean_cross_entropy(outputs.main, targets)
    if outputs.auxiliary is not None:
        total = total + outputs.auxiliary_weight * _mean_cross_entropy(outputs.auxiliary, targets)
    return total


def _mean_cross_entropy(logits: "Tensor", targets: "Tensor") -> "Tensor":
    """Over all pixels, in fp32, of which those that are not learned cost 0 (mmsegmentation's mean).

    So a batch has the same loss however many ranks share it.
    """
    from torch.nn import functional as F

    from trainers.data.class_mask import UNSCORED
    from trainers.tasks.segmentation.windows import resized

    full = resized(logits, (targets.shape[-2], targets.shape[-1]))
    return F.cross_entropy(full, targets, ignore_index=UNSCORED, reduction="sum") / targets.numel()
