"""Image classification: cross-entropy, and what predictions are scored by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from trainers.strict import StrictModel
from trainers.tasks.scores import balanced_accuracy, expected_calibration_error, macro_f1

if TYPE_CHECKING:
    from torch import Tensor

MAX_CLASSES_KEPT = 5


class ClassificationConfig(StrictModel):
    """One label per image."""

    kind: Literal["classification"] = "classification"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Label smoothing of the training loss."""

    def loss(self, logits: "Tensor", targets: "Tensor") -> "Tensor":
        """Mean training loss, in fp32.

        Args:
            logits: [B, classes].
            targets: labels [B], or the share of each class [B, classes] where images are mixed.
        """
        from torch.nn import functional as F

        return F.cross_entropy(logits.float(), targets, label_smoothing=self.label_smoothing)

    def predict(self, logits: "Tensor", labels: "Tensor", indices: "Tensor") -> "BatchPredictions":
        """What is kept of each scored image, still on the device."""
        from torch.nn import functional as F

        logits = logits.float()
        top = logits.topk(min(MAX_CLASSES_KEPT, logits.shape[1]), dim=1)
        losses = F.cross_entropy(logits, labels, reduction="none")
        confidences = (top.values[:, 0] - logits.logsumexp(dim=1)).exp()
        return BatchPredictions(indices, labels, losses, top.indices, top.values, confidences)


@dataclass(frozen=True)
class BatchPredictions:
    """Predictions of one batch; K = 5, or the number of classes if that is less."""

    indices: "Tensor"
    labels: "Tensor"
    losses: "Tensor"
    top_classes: "Tensor"
    top_logits: "Tensor"
    confidences: "Tensor"


@dataclass(frozen=True)
class Predictions:
    """Predictions of a whole split, sorted by the images' index in the data set."""

    indices: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    losses: npt.NDArray[np.float32]
    """Cross-entropy without smoothing."""
    top_classes: npt.NDArray[np.int64]
    """[n, K], best first."""
    top_logits: npt.NDArray[np.float32]
    """[n, K]."""
    confidences: npt.NDArray[np.float32]
    """[n] softmax probability of the first class."""

    @classmethod
    def of_batches(cls, batches: Sequence[BatchPredictions]) -> "Predictions":
        """Join one rank's batches (at least one), in the order in which they were scored."""
        import torch

        return cls(
            indices=torch.cat([batch.indices for batch in batches]).cpu().numpy(),
            labels=torch.cat([batch.labels for batch in batches]).cpu().numpy(),
            losses=torch.cat([batch.losses for batch in batches]).cpu().numpy(),
            top_classes=torch.cat([batch.top_classes for batch in batches]).cpu().numpy(),
            top_logits=torch.cat([batch.top_logits for batch in batches]).cpu().numpy(),
            confidences=torch.cat([batch.confidences for batch in batches]).cpu().numpy(),
        )

    @classmethod
    def of_ranks(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Join the ranks' shares of a split, in an order that does not depend on how it was shared out."""
        order = np.argsort(np.concatenate([part.indices for part in parts]))
        return cls(
            indices=np.concatenate([part.indices for part in parts])[order],
            labels=np.concatenate([part.labels for part in parts])[order],
            losses=np.concatenate([part.losses for part in parts])[order],
            top_classes=np.concatenate([part.top_classes for part in parts])[order],
            top_logits=np.concatenate([part.top_logits for part in parts])[order],
            confidences=np.concatenate([part.confidences for part in parts])[order],
        )

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """[n] whether the first class is right."""
        right: npt.NDArray[np.bool_] = self.top_classes[:, 0] == self.labels
        return right

    def metrics(self) -> dict[str, float]:
        """`loss` (mean); as fractions `top1`, `top5`, `balanced_accuracy`, `macro_f1` and `ece` (see `scores`)."""
        among_top = (self.top_classes == self.labels[:, None]).any(axis=1)
        return {
            "loss": float(self.losses.mean(dtype=np.float64)),
            "top1": float(self.correct.mean()),
            "top5": float(among_top.mean()),
            "balanced_accuracy": balanced_accuracy(self.labels, self.top_classes[:, 0]),
            "macro_f1": macro_f1(self.labels, self.top_classes[:, 0]),
            "ece": expected_calibration_error(self.correct, self.confidences),
        }

    def arrays(self, split: str) -> dict[str, npt.NDArray[np.generic]]:
        """Named arrays for the predictions file: `<split>_index`, `_label`, `_predicted`, `_correct`, ..."""
        return {
            f"{split}_index": self.indices,
            f"{split}_label": self.labels,
            f"{split}_predicted": self.top_classes[:, 0],
            f"{split}_correct": self.correct,
            f"{split}_loss": self.losses,
            f"{split}_confidence": self.confidences,
            f"{split}_top_classes": self.top_classes,
            f"{split}_top_logits": self.top_logits,
        }
