"""Segmented images: how many pixels of each class are right, said and true; of one image, of a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainers.tasks.evidence import ImageEvidence

Counts = npt.NDArray[np.int64]


class ImageAreas(NamedTuple):
    """One batch, still on the device."""

    indices: Tensor
    """[B]."""
    areas: Tensor
    """[B, 3, K] int64: pixels that are right, that were said, and that are true, of each class."""
    losses: Tensor
    """[B] float64, sum over pixels."""


def areas_of(said: Tensor, true: Tensor, num_classes: int) -> Tensor:
    """Pixels of each class: [3, K] int64, those that are right, that were said, and that are true.

    Args:
        said: [n] int64, the class of each pixel that is scored.
        true: [n] int64, its true class.
        num_classes: K.
    """
    counted = (true[said == true], said, true)
    return torch.stack([torch.bincount(classes, minlength=num_classes) for classes in counted])


@dataclass(frozen=True)
class Areas(ImageEvidence):
    """A whole split, sorted by the images' index in the data set."""

    right: Counts
    """[n, K] pixels of each class that are right."""
    said: Counts
    """[n, K] pixels that were said to be of it."""
    true: Counts
    """[n, K] pixels that are of it."""
    losses: npt.NDArray[np.float64]
    """[n] cross-entropy, summed over the pixels that are scored."""

    @classmethod
    def of_batches(cls, batches: Sequence[ImageAreas]) -> Self:
        """Join one rank's batches (at least one), in the order in which they were scored."""
        areas = torch.cat([batch.areas for batch in batches]).cpu().numpy()
        return cls(
            indices=torch.cat([batch.indices for batch in batches]).cpu().numpy(),
            right=areas[:, 0],
            said=areas[:, 1],
            true=areas[:, 2],
            losses=torch.cat([batch.losses for batch in batches]).cpu().numpy(),
        )

    @property
    def image_iou(self) -> npt.NDArray[np.float64]:
        """[n] mean IoU of each image over the classes that it has, or is said to have (NaN: no pixel is scored)."""
        return _iou(self.right, self.said, self.true)

    def metrics(self) -> dict[str, float]:
        """`miou`, `aacc`, `macc` and `image_miou` as fractions; `loss`, mean over pixels.

        As mmsegmentation's IoUMetric: areas are added up over all images; a class that is nowhere true nor said does
        not count in `miou`, one that is nowhere true does not count in `macc`.
        """
        right, said, true = (counts.sum(axis=0) for counts in (self.right, self.said, self.true))
        present = true > 0
        return {
            "loss": float(self.losses.sum() / true.sum()),
            "miou": float(_iou(right, said, true)),
            "aacc": float(right.sum() / true.sum()),
            "macc": float((right[present] / true[present]).mean()),
            "image_miou": float(np.nanmean(self.image_iou)),
        }

    def class_scores(self, num_classes: int) -> dict[str, npt.NDArray[np.float64]]:
        """`iou` [K] of each class over the whole split; NaN where it is nowhere true nor said."""
        del num_classes
        return {"iou": _class_iou(*(counts.sum(axis=0) for counts in (self.right, self.said, self.true)))}

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """[n] `index`, `loss` and `image_iou`; [n, K] `right`, `said` and `true` pixels."""
        return {
            "index": self.indices,
            "right": self.right,
            "said": self.said,
            "true": self.true,
            "loss": self.losses,
            "image_iou": self.image_iou,
        }


def _class_iou(right: Counts, said: Counts, true: Counts) -> npt.NDArray[np.float64]:
    """Right / (said + true - right) of each class; NaN where it has no pixel."""
    either = said + true - right
    iou: npt.NDArray[np.float64] = np.where(either > 0, right / np.maximum(either, 1), np.nan)
    return iou


def _iou(right: Counts, said: Counts, true: Counts) -> npt.NDArray[np.float64]:
    """Mean IoU over the classes (the last axis) with any pixel; NaN if none has."""
    iou = _class_iou(right, said, true)
    num_present = np.isfinite(iou).sum(axis=-1)
    mean: npt.NDArray[np.float64] = np.where(
        num_present > 0, np.nansum(iou, axis=-1) / np.maximum(num_present, 1), np.nan
    )
    return mean
