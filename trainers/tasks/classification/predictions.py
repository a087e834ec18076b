"""Classified images: the evidence of the task, of one batch and of a whole split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainers.tasks.classification.scores import balanced_accuracy, expected_calibration_error, macro_f1
from trainers.tasks.evidence import ImageEvidence

MAX_CLASSES_KEPT = 5


@dataclass(frozen=True)
class BatchPredictions:
    """Predictions of one batch; K = 5, or the number of classes if that is less."""

    indices: Tensor
    labels: Tensor
    losses: Tensor
    top_classes: Tensor
    top_logits: Tensor
    confidences: Tensor


@dataclass(frozen=True)
class Predictions(ImageEvidence):
    """Predictions of a whole split, sorted by the images' index in the data set."""

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
    def of_batches(cls, batches: Sequence[BatchPredictions]) -> Self:
        """Join one rank's batches (at least one), in the order in which they were scored."""
        return cls(
            indices=torch.cat([batch.indices for batch in batches]).cpu().numpy(),
            labels=torch.cat([batch.labels for batch in batches]).cpu().numpy(),
            losses=torch.cat([batch.losses for batch in batches]).cpu().numpy(),
            top_classes=torch.cat([batch.top_classes for batch in batches]).cpu().numpy(),
            top_logits=torch.cat([batch.top_logits for batch in batches]).cpu().numpy(),
            confidences=torch.cat([batch.confidences for batch in batches]).cpu().numpy(),
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

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """[n] `index`, `label`, `predicted`, `correct`, `loss` and `confidence`; [n, K] `top_classes`, `top_logits`."""
        return {
            "index": self.indices,
            "label": self.labels,
            "predicted": self.top_classes[:, 0],
            "correct": self.correct,
            "loss": self.losses,
            "confidence": self.confidences,
            "top_classes": self.top_classes,
            "top_logits": self.top_logits,
        }
