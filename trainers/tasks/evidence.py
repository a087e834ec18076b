"""What is kept of scored images: the numbers of a split, and each image's own for tests over images."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from trainers.atomic_file import replaced_file

EVIDENCE_FILE = "predictions.npz"
"""In a trial's folder. Arrays `<split>_<name>`, and the `class_names`."""

_CLASS_NAMES = "class_names"
_INDEX = "index"


class Evidence(ABC):
    """A task's evidence of a whole split, or of one rank's share of it.

    What it tells does not depend on how the split was shared out among batches and ranks.
    """

    @classmethod
    @abstractmethod
    def of_ranks(cls, parts: Sequence[Self]) -> Self:
        """Join the ranks' shares of a split, at least one, in the order of the images' places in the data set."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """Every metric that the task declares, by name; not finite where the model has diverged."""

    @abstractmethod
    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What is stored, by name.

        `index` is each image's place in the data set, ascending; an array that a metric names as its `per_image` has
        one value for each of these.
        """

    def class_scores(self, num_classes: int) -> Mapping[str, npt.NDArray[np.float64]]:
        """Each of the task's `class_metrics` by its name: [K], NaN where the split has nothing to say of a class.

        Args:
            num_classes: K.
        """
        del num_classes
        return {}


@dataclass(frozen=True)
class ImageEvidence(Evidence):
    """Evidence whose every field is an array with one row for each image."""

    indices: npt.NDArray[np.int64]
    """[n] places in the data set."""

    @classmethod
    def of_ranks(cls, parts: Sequence[Self]) -> Self:
        """Join the ranks' shares of a split, in an order that does not depend on how it was shared out."""
        order = np.argsort(np.concatenate([part.indices for part in parts]))
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])[order]
                for field in fields(cls)
            }
        )


class ImageScores(NamedTuple):
    """One number for each scored image."""

    indices: npt.NDArray[np.int64]
    """[n] places in the data set, ascending."""
    scores: npt.NDArray[np.bool_] | npt.NDArray[np.floating]
    """[n], such as whether the first class is right."""


def write_evidence(file: Path, scored: Mapping[str, Evidence], class_names: Sequence[str]) -> None:
    """Write what was scored, whole or not at all.

    Args:
        file: to be written.
        scored: split -> evidence.
        class_names: of the data set.

    Raises:
        OSError: it can't be written.
    """
    arrays = {f"{split}_{name}": array for split, found in scored.items() for name, array in found.arrays().items()}
    for split, found in scored.items():
        by_class = found.class_scores(len(class_names))
        arrays |= {_class_array(split, name): scores for name, scores in by_class.items()}
    with replaced_file(file) as opened:
        np.savez_compressed(opened, **{_CLASS_NAMES: np.array(class_names)}, **arrays)  # type: ignore[arg-type]


def read_image_scores(file: Path, split: str, per_image: str) -> ImageScores:
    """Each image's score on a split.

    Args:
        file: what `write_evidence` wrote.
        split: `val` or `test`.
        per_image: name of the array, see `Metric.per_image`.

    Raises:
        OSError, KeyError, ValueError, zipfile.BadZipFile: it can't be read, or does not hold them.
    """
    with np.load(file) as arrays:
        return ImageScores(arrays[f"{split}_{_INDEX}"], arrays[f"{split}_{per_image}"])


def _class_array(split: str, metric: str) -> str:
    return f"{split}_class_scores_{metric}"


def read_class_scores(file: Path, split: str, metric: str) -> dict[str, float]:
    """Each class's score on a split, by its name; NaN where the split has nothing to say of it.

    Args:
        file: what `write_evidence` wrote.
        split: `val` or `test`.
        metric: name of one of the task's `class_metrics`.

    Raises:
        OSError, KeyError, ValueError, zipfile.BadZipFile: it can't be read, or does not hold them.
    """
    with np.load(file) as arrays:
        names, scores = arrays[_CLASS_NAMES], arrays[_class_array(split, metric)]
    return {str(name): float(score) for name, score in zip(names, scores, strict=True)}


def read_class_names(file: Path) -> tuple[str, ...]:
    """Names of the classes, in the order of their numbers.

    Raises:
        OSError, KeyError, ValueError: it can't be read, or does not hold them.
    """
    with np.load(file) as arrays:
        return tuple(str(name) for name in arrays[_CLASS_NAMES])
