"""A data set of the user's own: any `torch.utils.data.Dataset` of images and labels."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from trainers.data.account import DataAccount
from trainers.data.augmentation import Augmentation
from trainers.data.dataset import Dataset
from trainers.data.scored_view import ScoredView
from trainers.data.survey import Survey
from trainers.errors import DataError
from trainers.own_code.asking import dataset_facts
from trainers.own_code.place import is_running
from trainers.own_code.python_object import PythonObject

if TYPE_CHECKING:
    from trainers.data.splits import Splits


class PythonDataset(Dataset, PythonObject):
    """A class of the user's own (a `torch.utils.data.Dataset`), or a function that returns one, or one for each split.

    It gives (image, label): a PIL image, or a tensor [3, H, W] or [1, H, W] of uint8 or of floats from 0 to 1, and the
    number of its class. If it takes an argument `split` it is called with `train`, `val` and `test`; it may return the
    three as a dict or a tuple as well; one data set alone is cut. An argument `data_root` gets the folder in which
    relative paths start. Images of the model's size are shown as they are, others as those of files.
    """

    reads_files: ClassVar[bool] = True

    kind: Literal["python"] = "python"
    class_names: tuple[str, ...] = Field(default=(), max_length=100_000)
    """Names of the classes, in the order of their numbers (empty: what the object's `classes` says, else their
    numbers)."""
    val_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of training for validation, where there is no part for it; cut class by class."""
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of training for test, where there is no part for it."""
    split_seed: int = Field(default=0, ge=0, lt=2**31)
    """Which images go into which split, where it is cut."""
    version: str | None = Field(default=None, min_length=1, max_length=200)
    """What stands for the images in a trial's identity, beside their number and labels; change it when they change
    (`null`: the images themselves, which are all read before each trial: of a set of more than 256 MiB of pixels, 256
    of each part)."""

    __hash__ = PythonObject.__hash__

    @property
    def label(self) -> str:
        """Short name: that of the class or function, and its arguments."""
        return self.written_name + (f"-split{self.split_seed}" if self.split_seed else "")

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of images and labels, or of the stated version; asked of a child process where no own code runs."""
        return dataset_facts(self, data_root).fingerprint

    def survey(self, data_root: Path | None) -> Survey:
        """Builds the data set and reads its images."""
        facts = dataset_facts(self, data_root)
        account = DataAccount(
            num_classes=len(facts.class_names),
            num_images=facts.sizes,
            num_unscored_classes=facts.num_unscored_classes,
            num_copies=facts.num_copies,
        )
        return Survey(facts.fingerprint, facts.sizes, account)

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits; images are asked for when a batch needs them.

        Args:
            data_root: handed to what takes it.
            input_size_px: side of the model's input.
            augmentation: random changes, after those of the user's code.
            seed: the trial's seed, for both.
            view: of images of another size that are scored (`None`: the usual one).

        Raises:
            DataError: it does not give images and labels, a split would be empty, or this process runs no code of the
                user's.
            OwnCodeError: it can't be built.
        """
        if not is_running():
            raise DataError(
                f"{self.label} is a data set of the user's own code ({self.target}), of which nothing is run here"
            )
        from trainers.data.splits import Splits
        from trainers.own_code.images import images_of
        from trainers.own_code.split import OwnSplit

        images = images_of(self, data_root)
        augment = augmentation.build(input_size_px=input_size_px, seed=seed)
        train, val, test = (
            OwnSplit(
                images.shares[name],
                len(images.class_names),
                input_size_px,
                view,
                augment if name == "train" else None,
                seed=seed if name == "train" else None,
            )
            for name in ("train", "val", "test")
        )
        return Splits(train=train, val=val, test=test, class_names=images.class_names)
