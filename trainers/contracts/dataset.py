"""What every data set must do, and every data set of images with masks."""

from abc import ABC, abstractmethod
from pathlib import Path

import torch
from torch import Tensor

from trainers.data.augmentation import Augmentation, NoAugmentation
from trainers.data.class_mask import UNSCORED
from trainers.data.crop_flip import CropFlipAugmentation
from trainers.data.dataset import Dataset
from trainers.data.splits import ImageSplit, Splits
from trainers.nested import tensors_in

_SIDE_PX = 16


class DatasetContract(ABC):
    """Asked of a data set with a few images in each split; `tmp_path` is a folder of pytest's."""

    augmentation: Augmentation = CropFlipAugmentation()
    """Random changes that its training images take."""

    @abstractmethod
    def make(self, data_root: Path) -> Dataset:
        """The data set, and its files below `data_root` if it has any; called once a test."""

    def test_its_config_is_a_value(self, tmp_path: Path) -> None:
        """It hashes, equals its copy, and comes back from JSON."""
        config = self.make(tmp_path)
        again = type(config).model_validate_json(config.model_dump_json())
        assert (again, hash(again)) == (config, hash(config))

    def test_its_label_fits_into_names_and_paths(self, tmp_path: Path) -> None:
        """Tables, folders and addresses have it."""
        label = self.make(tmp_path).label
        assert label == label.strip() != ""
        assert "/" not in label

    def test_its_fingerprint_is_stable(self, tmp_path: Path) -> None:
        """The same data are the same trial."""
        config = self.make(tmp_path)
        assert config.fingerprint(tmp_path) == config.fingerprint(tmp_path) != ""

    def test_its_survey_tells_what_is_loaded(self, tmp_path: Path) -> None:
        """A plan counts on the sizes, the identity on the fingerprint."""
        config = self.make(tmp_path)
        survey, splits = config.survey(tmp_path), self._load(config, tmp_path)
        assert survey.fingerprint == config.fingerprint(tmp_path)
        assert tuple(survey.sizes) == (len(splits.train), len(splits.val), len(splits.test))

    def test_it_gives_images(self, tmp_path: Path) -> None:
        """Squares of the asked side in three channels, uint8 or float32 from 0 to 1, one after another in memory.

        With objects: a list of images in their own ratio, whose longer side is as asked.
        """
        config = self.make(tmp_path)
        splits = self._load(config, tmp_path)
        for split in (splits.train, splits.val, splits.test):
            batch = split.__getitems__([0, 1])
            image = split[0][0]
            assert (image.shape[0], max(image.shape[1:])) == (3, _SIDE_PX)
            assert image.dtype in (torch.uint8, torch.float32)
            assert 0 <= image.min() < image.max() <= (255 if image.dtype == torch.uint8 else 1)
            if config.targets != "objects":
                assert batch.images.shape == (2, 3, _SIDE_PX, _SIDE_PX)
            # Else it could not be page-locked for a GPU.
            assert all(each.is_contiguous() for each in tensors_in(batch.images))

    def test_its_splits_are_disjoint_and_the_same_for_every_seed(self, tmp_path: Path) -> None:
        """The trial's seed moves augmentation alone."""
        config = self.make(tmp_path)
        first, second = (
            [set(split.indices.tolist()) for split in (splits.train, splits.val, splits.test)]
            for splits in (self._load(config, tmp_path, seed=seed) for seed in (0, 1))
        )
        assert all(first)
        assert sum(len(part) for part in first) == len(set.union(*first))
        assert first == second

    def test_augmentation_is_a_function_of_seed_epoch_and_image(self, tmp_path: Path) -> None:
        """So both arms of a pair see the same images, whoever reads them."""
        config = self.make(tmp_path)

        def image(seed: int, epoch: int) -> list[Tensor]:
            train = self._load(config, tmp_path, seed=seed, augmentation=self.augmentation).train
            train.set_epoch(epoch)
            batch = train.__getitems__([3, 1])
            return [*tensors_in((batch.images, batch.targets))]

        again, first = image(0, 0), image(0, 0)
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
        assert not torch.equal(first[0], image(0, 1)[0])
        assert not torch.equal(first[0], image(1, 0)[0])

    def test_what_is_scored_is_the_same_whoever_asks(self, tmp_path: Path) -> None:
        """Pixels and targets of validation and test: at every load, for every seed and epoch, with any augmentation."""
        config = self.make(tmp_path)

        def scored(seed: int = 0, epoch: int = 0, augmentation: Augmentation | None = None) -> list[Tensor]:
            splits = self._load(config, tmp_path, seed=seed, augmentation=augmentation)
            tensors: list[Tensor] = []
            for split in (splits.val, splits.test):
                split.set_epoch(epoch)
                batch = split.__getitems__(range(len(split)))
                tensors += tensors_in((batch.images, batch.targets))
            return tensors

        first = scored()
        for what, again in (
            ("at a second load", scored()),
            ("for another seed of the trial", scored(seed=1)),
            ("in another epoch", scored(epoch=1)),
            ("where training images are augmented", scored(augmentation=self.augmentation)),
        ):
            assert _equal(first, again), f"images or targets of validation or test differ {what}"

    def test_targets_do_not_follow_the_seed(self, tmp_path: Path) -> None:
        """The trial's seed moves no class of a training image."""
        config = self.make(tmp_path)
        first, second = (
            [*tensors_in(self._load(config, tmp_path, seed=seed).train.__getitems__([0, 1]).targets)] for seed in (0, 1)
        )
        assert _equal(first, second), "targets of training images differ for another seed of the trial"

    def test_loading_moves_no_random_number(self, tmp_path: Path) -> None:
        """Weights are drawn after it."""
        config, state = self.make(tmp_path), torch.random.get_rng_state()
        self._load(config, tmp_path, augmentation=self.augmentation).train.__getitems__([0, 1])
        assert torch.equal(torch.random.get_rng_state(), state)

    def _load(
        self, config: Dataset, data_root: Path, *, seed: int = 0, augmentation: Augmentation | None = None
    ) -> Splits:
        chosen = augmentation or NoAugmentation()
        return config.load(data_root, input_size_px=_SIDE_PX, augmentation=chosen, seed=seed)


def _equal(some: list[Tensor], other: list[Tensor]) -> bool:
    return len(some) == len(other) and all(torch.equal(one, two) for one, two in zip(some, other, strict=True))


class MaskSetContract(DatasetContract):
    """Asked of a data set that says the class of each pixel, beside all that `DatasetContract` asks."""

    def test_it_says_that_it_has_masks(self, tmp_path: Path) -> None:
        """Else a task that learns classes of images would take it."""
        assert self.make(tmp_path).targets == "mask"

    def test_it_gives_images(self, tmp_path: Path) -> None:
        """Training: squares, one after another in memory. Scored: a list of whole images, the shorter side as asked."""
        splits = self._load(self.make(tmp_path), tmp_path)
        trained_on = splits.train.__getitems__([0, 1]).images
        assert trained_on.shape == (2, 3, _SIDE_PX, _SIDE_PX)
        assert trained_on.dtype == torch.uint8
        assert trained_on.is_contiguous()
        for split in (splits.val, splits.test):
            for image in split.__getitems__([0, 1]).images:
                assert image.dtype == torch.uint8
                assert (image.shape[0], min(image.shape[1:])) == (3, _SIDE_PX)

    def test_it_gives_masks(self, tmp_path: Path) -> None:
        """Class ids below the number of classes, or 255; of scored images at the size of the stored mask."""
        splits = self._load(self.make(tmp_path), tmp_path, augmentation=self.augmentation)
        trained_on = splits.train.__getitems__([0, 1]).targets
        assert trained_on.shape == (2, _SIDE_PX, _SIDE_PX)
        self._require_ids(trained_on, splits)
        for split in (splits.val, splits.test):
            batch = split.__getitems__([0, 1])
            for image, mask in zip(batch.images, batch.targets, strict=True):
                self._require_ids(mask, splits)
                assert mask.ndim == 2
                ratio = mask.shape[1] / mask.shape[0]
                assert abs(image.shape[2] / image.shape[1] / ratio - 1) < 1 / _SIDE_PX

    def test_some_pixel_of_every_split_has_a_class(self, tmp_path: Path) -> None:
        """Else nothing could be learned, or scored."""
        splits = self._load(self.make(tmp_path), tmp_path)
        assert all(self._has_class(split) for split in (splits.train, splits.val, splits.test))

    def _has_class(self, split: ImageSplit) -> bool:
        return any(bool((mask != UNSCORED).any()) for mask in split.__getitems__(range(len(split))).targets)

    def _require_ids(self, mask: Tensor, splits: Splits) -> None:
        assert mask.dtype == torch.int64
        # A subclass of tensors would carry torchvision's rules into the loss.
        assert type(mask) is Tensor
        assert ((mask >= 0) & (mask < splits.num_classes) | (mask == UNSCORED)).all()
