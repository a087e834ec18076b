"""scikit-learn's handwritten digits: 1,797 real 8x8 images that need no download."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from trainers.data.augmentation import Augmentation
from trainers.data.dataset import Dataset
from trainers.data.scored_view import ScoredView
from trainers.data.splitting import Positions, SplitSizes, stratified_order
from trainers.data.survey import Survey
from trainers.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.data.seeded_transform import SeededTransform
    from trainers.data.splits import Splits
    from trainers.data.tensor_split import TensorSplit

# The order of all images is cut at fixed places, so that no size of a split changes another split.
MAX_TEST, MAX_VAL = 497, 300
BRIGHTEST = 16


class DigitsConfig(Dataset):
    """Real digits, upsampled to the model's image size; the split is drawn once, stratified by class."""

    kind: Literal["digits"] = "digits"
    num_train: int = Field(default=300, ge=10, le=1000)
    """Number of training images."""
    num_val: int = Field(default=300, ge=10, le=MAX_VAL)
    """Number of validation images (they choose the epoch and, in a search, the params)."""
    num_test: int = Field(default=497, ge=10, le=MAX_TEST)
    """Number of test images (scored once)."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split; validation and test do not depend on `num_train`."""

    @property
    def label(self) -> str:
        """Short name for tables."""
        suffix = f"-split{self.split_seed}" if self.split_seed else ""
        return f"digits-{self.num_train}{suffix}"

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of the images' and labels' bytes and of the three splits."""
        images, labels = _digits()
        digest = hashlib.sha256(images.tobytes() + labels.tobytes())
        for positions in self._split():
            digest.update(positions.tobytes())
        return digest.hexdigest()[:20]

    def survey(self, data_root: Path | None) -> Survey:
        """Fingerprint and sizes; there is nothing to find."""
        return Survey(self.fingerprint(data_root), SplitSizes(self.num_train, self.num_val, self.num_test), None)

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits in memory, upsampled once.

        Args:
            data_root: not used.
            input_size_px: side of the model's input.
            augmentation: random changes to training images.
            seed: the trial's seed, for the augmentation stream.
            view: not used: its images are squares.
        """
        import torch

        from trainers.data.splits import Splits
        from trainers.data.tensor_split import TensorSplit

        images, labels = (torch.from_numpy(each) for each in _digits())
        augment = augmentation.build(input_size_px=input_size_px, seed=seed)

        def split(positions: Positions, augment: "SeededTransform | None" = None) -> "TensorSplit":
            indices = torch.from_numpy(positions)
            pixels = upsample(images[indices], input_size_px)
            return TensorSplit(pixels, labels[indices], indices, augment)

        train, val, test = self._split()
        return Splits(
            train=split(train, augment),
            val=split(val),
            test=split(test),
            class_names=tuple(str(digit) for digit in range(10)),
        )

    def _split(self) -> tuple[Positions, Positions, Positions]:
        order = stratified_order(_digits()[1], seed=self.split_seed)
        test, val, train = np.split(order, [MAX_TEST, MAX_TEST + MAX_VAL])
        return train[: self.num_train], val[: self.num_val], test[: self.num_test]


def upsample(images: "Tensor", side_px: int) -> "Tensor":
    """Bicubic upsampling of [n, 8, 8] to [n, 1, S, S]; its overshoot is cut back to [0, 1]."""
    from torch.nn import functional as F

    pixels = F.interpolate(images.unsqueeze(1), size=(side_px, side_px), mode="bicubic", align_corners=False)
    return pixels.clamp_(0, 1)


@cache
def _digits() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Images [1797, 8, 8] float32 in [0, 1] and labels [1797] int64, as sklearn.datasets.load_digits() has them.

    Read from scikit-learn's own file, because importing scikit-learn (and with it scipy.stats and pandas) would take
    a third of the start of every trial.

    Raises:
        MissingPackageError: there is no scikit-learn.
        DataError: this installation of it lacks the file.
    """
    package = find_spec("sklearn")
    if package is None or package.submodule_search_locations is None:
        raise MissingPackageError(
            "scikit-learn is needed for the digits, which it brings, and is not installed; `pip install scikit-learn`"
        )
    file = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if not file.is_file():
        raise DataError(f"scikit-learn's digits are not at {file}; install scikit-learn anew")
    rows = np.loadtxt(file, delimiter=",")
    images = (rows[:, :-1].reshape(-1, 8, 8) / BRIGHTEST).astype(np.float32)
    return images, rows[:, -1].astype(np.int64)
