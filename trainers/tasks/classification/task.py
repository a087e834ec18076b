"""Image classification: its loss, and what predictions are scored by."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainers.errors import DataError
from trainers.metrics import Metric, share
from trainers.tasks.classification.loss import CrossEntropyLoss
from trainers.tasks.classification.losses import LossConfig
from trainers.tasks.classification.mixing import Mixing
from trainers.tasks.task import Preparation, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainers.models.model import Model
    from trainers.tasks.classification.predictions import BatchPredictions, Predictions


class ClassificationConfig(Task):
    """One label per image."""

    metrics: ClassVar[tuple[Metric, ...]] = (
        share(
            "top1",
            higher_is_better=True,
            words="top-1",
            counts_images=True,
            per_image="correct",
            class_of_image="label",
        ),
        share("top5", higher_is_better=True, words="top-5", counts_images=True),
        Metric("loss", "nats", 1.0, higher_is_better=False),
        share("balanced_accuracy", higher_is_better=True),
        share("macro_f1", higher_is_better=True, words="macro-F1"),
        share("ece", higher_is_better=False, words="expected calibration error"),
    )
    selects_by: ClassVar[str] = "top1"
    watched: ClassVar[tuple[str, ...]] = ("loss", "top1")
    is_whole_model: ClassVar[bool] = True
    mixes: ClassVar[bool] = True

    kind: Literal["classification"] = "classification"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing of the training loss."""
    loss: Annotated[LossConfig, Field(discriminator="kind")] = CrossEntropyLoss()
    """What training makes small. Whatever it is, `val/loss` and `test/loss` are cross-entropies."""

    @model_validator(mode="after")
    def _who_smooths(self) -> Self:
        if self.label_smoothing and not self.loss.smooths_labels:
            raise ValueError(
                f"label_smoothing {self.label_smoothing:g} is a part of cross-entropy, and the loss is "
                f"{self.loss.kind}: set it to 0, and let the loss smooth labels if it should"
            )
        return self

    def network(
        self, model: "Model", class_names: Sequence[str], *, position_seed: int, data_root: Path | None
    ) -> "nn.Module":
        """The model with a head of so many classes: [B, 3, S, S] -> [B, K]."""
        return model.build(len(class_names), position_seed=position_seed, data_root=data_root)

    def backbone(self, network: "nn.Module") -> "nn.Module":
        """The network itself: a classifier of timm is backbone and head in one module."""
        return network

    def keep_precise(self, network: "nn.Module") -> None:
        """The classifier stays in fp32."""
        from trainers.tasks.classification.fp32_classifier import keep_classifier_in_fp32

        keep_classifier_in_fp32(network)

    def require_classes(self, num_classes: int, *, epochs: int, label: str) -> None:
        """Refuse to train on one class; looking at a model's receptive fields needs no more.

        Raises:
            DataError: it is one, and there is something to train.
        """
        if num_classes == 1 and epochs:
            raise DataError(
                f"{label} has 1 class, and training needs two or more: give every class a folder of its own, all side "
                'by side; only where nothing is trained ("epochs": 0) one is enough'
            )

    def preparation(
        self, mixing: Mixing, class_names: Sequence[str], *, micro_batch_size: int, seed: int, rank: int
    ) -> Preparation | None:
        """Mixup or CutMix, if the trial mixes.

        Raises:
            ConfigError: the batch is odd.
        """
        return mixing.build(num_classes=len(class_names), micro_batch_size=micro_batch_size, seed=seed, rank=rank)

    def outputs(self, network: "nn.Module", images: "Tensor", targets: "Tensor | None") -> "Tensor":
        """Logits [B, K] of images [B, 3, S, S]."""
        logits: Tensor = network(images)
        return logits

    def criterion(self, class_names: Sequence[str], device: "torch.device") -> "Callable[[Tensor, Tensor], Tensor]":
        """The config's loss.

        Args:
            class_names: of the data set.
            device: where logits and labels will be.

        Returns:
            Of logits [B, K] and labels [B], or the share of each class [B, K] where images are mixed.

        Raises:
            OwnCodeError: a loss of the user's own can't be made.
        """
        return self.loss.build(num_classes=len(class_names), label_smoothing=self.label_smoothing, device=device)

    def look(self, outputs: "Tensor", targets: "Tensor", indices: "Tensor") -> "BatchPredictions":
        """The best classes of each image, their logits and its loss, still on the device.

        Args:
            outputs: logits [B, K].
            targets: labels [B].
            indices: [B] places in the data set.
        """
        from torch.nn import functional as F

        from trainers.tasks.classification.predictions import MAX_CLASSES_KEPT, BatchPredictions

        logits = outputs.float()
        top = logits.topk(min(MAX_CLASSES_KEPT, logits.shape[1]), dim=1)
        losses = F.cross_entropy(logits, targets, reduction="none")
        confidences = (top.values[:, 0] - logits.logsumexp(dim=1)).exp()
        return BatchPredictions(indices, targets, losses, top.indices, top.values, confidences)

    def evidence(self, batches: "Sequence[BatchPredictions]") -> "Predictions":
        """Join one rank's batches."""
        from trainers.tasks.classification.predictions import Predictions

        return Predictions.of_batches(batches)
