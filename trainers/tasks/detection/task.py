"""Detection and instance segmentation: a box, a class and a mask for every object, by Mask R-CNN."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from trainers.data.scored_view import ScoredView
from trainers.metrics import Metric, share
from trainers.models.flops import count_forward_flops
from trainers.remembered import remembered
from trainers.tasks.detection.view import SquareView, ViewConfig
from trainers.tasks.task import Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainers.data.objects import Objects
    from trainers.models.model import Model
    from trainers.tasks.detection.detections import Detections, ScoredImage
    from trainers.tasks.detection.modules import Found, Losses
    from trainers.tasks.shown_images import ShownImage

_ANY_NUM_CLASSES = 10
"""The last layers' size is noise in what a pass costs."""

_PLURALS = {"box": "boxes", "mask": "masks"}
_SIZES = ("small", "medium", "large")
_WORDS = {
    "ap": "AP of {}",
    "ap50": "AP of {} at IoU 0.5",
    "ap75": "AP of {} at IoU 0.75",
    **{f"ap_{size}": f"AP of {size} {{}}" for size in _SIZES},
    **{f"ar{number}": f"recall of {{}}, {number} per image" for number in (1, 10, 100)},
    **{f"ar_{size}": f"recall of {size} {{}}" for size in _SIZES},
}


class DetectionConfig(Task):
    """A box, a class and a mask for every object.

    Boxes and masks are scored at the image's stored size, in whatever size it was seen.
    """

    targets: ClassVar[Literal["class", "mask", "objects"]] = "objects"
    libraries: ClassVar[tuple[str, ...]] = ("faster-coco-eval",)
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(
            share(f"{name}_{kind}", higher_is_better=True, words=words.format(plural))
            for kind, plural in _PLURALS.items()
            for name, words in _WORDS.items()
        ),
        *(
            share(name, higher_is_better=True, words=f"F1 of {plural} per image", per_image=name)
            for name, plural in ((f"image_f1_{kind}", plural) for kind, plural in _PLURALS.items())
        ),
    )
    core_seconds_per_image: ClassVar[float] = 0.03
    shows_images: ClassVar[bool] = True
    class_metrics: ClassVar[tuple[Metric, ...]] = tuple(
        share(f"ap_{kind}", higher_is_better=True, words=f"AP of {plural}") for kind, plural in _PLURALS.items()
    )
    selects_by: ClassVar[str] = "ap_box"
    watched: ClassVar[tuple[str, ...]] = ("ap_mask", "ap_box")
    published: ClassVar[Mapping[str, str]] = {"ap_box": "AP_box", "ap_mask": "AP_mask"}

    kind: Literal["detection"] = "detection"
    view: Annotated[ViewConfig, Field(discriminator="kind")] = SquareView()
    """In which size images are scored, and trained on without an augmentation."""
    channels: int = Field(default=256, ge=8, le=1024)
    """Of every map of the pyramid."""
    anchor_size_px: int = Field(default=32, ge=4, le=512)
    """Side of the boxes that are tried at every place of the finest map (in three aspects); doubled from map to map."""
    num_proposals: int = Field(default=1000, ge=10, le=10_000)
    """Boxes of one image that the second stage looks at, at most."""
    regions_per_image: int = Field(default=512, ge=4, le=4096)
    """Of these, how many the loss sees; at most a quarter of them have an object."""
    box_channels: int = Field(default=1024, ge=8, le=8192)
    """Of the two layers that tell a region's class and box."""
    mask_channels: int = Field(default=256, ge=8, le=2048)
    """Of the layers that tell a region's mask."""
    mask_layers: int = Field(default=4, ge=1, le=16)
    """How many they are, before the one that doubles the resolution."""
    min_score: float = Field(default=0.05, ge=0, lt=1)
    """What is less sure is not told; of an image the 100 surest are."""

    @property
    def sees_any_size(self) -> bool:
        """Unless all images are filled up to squares."""
        return self.view.needs_any_size

    def scored_view(self, usual: ScoredView, *, input_size_px: int) -> ScoredView:
        """The whole image, in the size of `view`."""
        return self.view.scored(input_size_px)

    def network(
        self, model: "Model", class_names: Sequence[str], *, position_seed: int, data_root: Path | None
    ) -> "nn.Module":
        """Images [3, H, W] of several sizes -> losses in training, else what is found."""
        from trainers.models.feature_maps import FeatureMaps
        from trainers.tasks.detection.modules import DetectionNetwork

        if self.sees_any_size:
            model.require_any_size()
        features = FeatureMaps(model.for_maps().build(0, position_seed=position_seed, data_root=data_root))
        return DetectionNetwork(self, features, len(class_names), square_px=self.view.square_px(model.input_size_px))

    def backbone(self, network: "nn.Module") -> "nn.Module":
        """The model without its head."""
        return network.get_submodule("features.backbone")

    def outputs(
        self, network: "nn.Module", images: "Tensor | list[Tensor]", targets: "list[Objects] | None"
    ) -> "Losses | list[Found]":
        """Losses of images [3, H, W] in training; what is found in each of them in scoring."""
        asked = None if targets is None else [_asked(target) for target in targets]
        told: Losses | list[Found] = network(images, asked)
        return told

    def criterion(
        self, class_names: Sequence[str], device: "torch.device"
    ) -> "Callable[[Losses, list[Objects]], Tensor]":
        """Sum of the losses of both stages, as Mask R-CNN has it."""
        return _sum_of_losses

    def look(self, outputs: "list[Found]", targets: "list[Objects]", indices: "Tensor") -> "list[ScoredImage]":
        """What was found beside the truth, at the size of the stored images.

        Args:
            outputs: what was found in each image as it was seen.
            targets: the objects of each image, at its stored size.
            indices: [B] places in the data set.
        """
        from trainers.tasks.detection.detections import scored_image

        return [scored_image(*each) for each in zip(outputs, targets, indices.tolist(), strict=True)]

    def evidence(self, batches: "Sequence[list[ScoredImage]]") -> "Detections":
        """Join one rank's batches."""
        from trainers.tasks.detection.detections import Detections

        return Detections(tuple(image for batch in batches for image in batch))

    def shown(
        self, images: "Tensor", outputs: "list[Found]", targets: "list[Objects]", indices: "Tensor"
    ) -> "list[ShownImage]":
        """The true objects of each image, and what was surely found in it."""
        from trainers.tasks.detection.showing import shown_objects

        return [shown_objects(*each) for each in zip(images, outputs, targets, indices.tolist(), strict=True)]

    def forward_flops_per_image(self, model: "Model") -> float:
        """Floating-point operations of backbone, pyramid and heads in a training pass on an image of the usual size."""

        def count() -> float:
            from trainers.models.feature_maps import FeatureMaps
            from trainers.tasks.detection.modules import DetectionNetwork, TrainingPass

            features = FeatureMaps(model.for_maps().build_fresh(0))
            network = DetectionNetwork(self, features, _ANY_NUM_CLASSES, square_px=None).to("meta")
            size_px = self.view.usual_size_px(model.input_size_px)
            return count_forward_flops(TrainingPass(network, self.regions_per_image), size_px)

        return remembered("detection_flops", f"{self.model_dump_json()} {model.model_dump_json()}", float, count)


def _sum_of_losses(outputs: "Losses", targets: "list[Objects]") -> "Tensor":
    import torch

    return torch.stack([loss.float() for loss in outputs.values()]).sum()


def _asked(target: "Objects") -> "dict[str, Tensor]":
    """As torchvision's heads want it: class 0 is the ground; crowds are not learned."""
    single = ~target.is_crowd
    return {
        "boxes": target.boxes[single],
        "labels": target.classes[single] + 1,
        "masks": target.masks[single],
    }
