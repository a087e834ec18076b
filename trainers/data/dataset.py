"""Where images and labels come from: what every kind of data set answers."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from trainers.data.augmentation import Augmentation
from trainers.data.scored_view import ScoredView
from trainers.data.survey import Survey
from trainers.strict import StrictModel

if TYPE_CHECKING:
    from trainers.data.splits import Splits


class Dataset(StrictModel, ABC):
    """A data set, as a config names it. A kind is one file here and one line in `trainers.kinds`.

    `trainers.contracts.DatasetContract` asks what holds for every kind.
    """

    targets: ClassVar[Literal["class", "mask", "objects", "command"]] = "class"
    """What it says of an image: its class, a mask with the class of each pixel (`MaskSplit` has the shapes), or its
    objects (`ObjectSplit`); `command`: only a program of the user's own reads it."""
    reads_files: ClassVar[bool] = False
    """Whether images are decoded from files whenever they are needed."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions that compute in it beside those that every trial needs."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Short name for tables and folders, another for every other choice of images."""

    @abstractmethod
    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of images, labels and splits: what the trial's identity knows of the data.

        Args:
            data_root: where relative paths start (`None`: the current folder).

        Raises:
            DataError: the data are absent or broken; says where they were sought, and what is expected there.
        """

    @abstractmethod
    def survey(self, data_root: Path | None) -> Survey:
        """The fingerprint, the sizes of the splits, and what was found where the data lie; decodes no image.

        Raises:
            DataError: as `fingerprint`.
        """

    @abstractmethod
    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits, for a model's input of S x S pixels.

        Args:
            data_root: where relative paths start (`None`: the current folder).
            input_size_px: side S of the model's input.
            augmentation: random changes to training images.
            seed: the trial's seed, for the augmentation stream alone: it moves no image into another split.
            view: of images that are scored (`None`: the usual one).

        Raises:
            DataError: as `fingerprint`; or a split would be empty.
        """

    def missing_publication(self, data_root: Path | None) -> str | None:
        """Name of the published set that this would be, `<set>-<protocol>`, if it were here (`None`: it is, or none).

        So a study can be planned before its data are fetched.
        """
        return None
