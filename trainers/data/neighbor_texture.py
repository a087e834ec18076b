"""A generated texture of lying and standing bars: its class is which of them are neighbours, and nothing else."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from trainers.data.augmentation import Augmentation
from trainers.data.generated import GeneratedDataset
from trainers.data.scored_view import ScoredView

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform
    from trainers.data.splits import Splits
    from trainers.data.tensor_split import TensorSplit

CELL_PX = 8
"""Side of the square that holds one bar."""
AMPLITUDE = 0.4
"""Of the brightness, around 0.5: bright along the bar, dark on both sides, grey on average."""
JITTER_PX, JITTER_DEGREES = 0.7, 8.0
"""Standard deviations of a bar's place and angle."""

# Lying (0) and standing (1) bars in a block of 2 x 2, [rows, columns]; each block is also drawn with the two exchanged,
# and stripes also as columns.
BLOCKS = np.array([[[0, 0], [0, 0]], [[0, 0], [1, 1]], [[0, 1], [1, 0]]])
CLASS_NAMES = ("alike", "stripes", "checkers")

# Each split draws from a range of indices of its own, so that no size of a split changes another split. The starts
# are multiples of the number of classes.
MAX_TEST, MAX_VAL, MAX_TRAIN = 9_999, 9_999, 99_999
STARTS = (MAX_TEST + MAX_VAL, MAX_TEST, 0)

Images = npt.NDArray[np.float32]
Orientations = npt.NDArray[np.int64]


class NeighborTextureConfig(GeneratedDataset):
    """Bars on a grid, 8 pixels each, in blocks of 2 x 2: all alike, in stripes (rows or columns), or in checkers.

    Every image of every class has as many lying bars as standing ones, and every place sees both equally often: no
    patch, no set of patches and no patch with its place tells the class, only which patches are neighbours. Blocks
    begin at even or odd rows and columns, and go on at the opposite edge. Mirroring an image keeps its class.
    """

    short_name: ClassVar[str] = "neighbors"
    label_marks: ClassVar[Mapping[str, str]] = {
        "image_size_px": "px",
        "shuffled_fraction": "shuffled",
        "noise_std": "noise",
        "generation_seed": "gen",
    }

    kind: Literal["neighbor_texture"] = "neighbor_texture"
    num_train: int = Field(default=1000, ge=3, le=MAX_TRAIN)
    """Number of training images."""
    num_val: int = Field(default=300, ge=3, le=MAX_VAL)
    """Number of validation images (they choose the epoch and, in a search, the params)."""
    num_test: int = Field(default=999, ge=3, le=MAX_TEST)
    """Number of test images (scored once)."""
    image_size_px: int = Field(default=64, ge=64, le=512)
    """Side of the generated image, a multiple of 32; a model of another input size gets it resized."""
    shuffled_fraction: float = Field(default=0.0, ge=0, lt=1)
    """Difficulty: share of the blocks whose bars are dealt anew among themselves: distractors."""
    noise_std: float = Field(default=0.1, ge=0, le=1)
    """Difficulty: standard deviation of each pixel's noise, in images from 0 to 1."""
    generation_seed: int = Field(default=0, ge=0, lt=2**31)
    """Another seed gives other images of the same kind; image i depends on this seed and on i."""

    @model_validator(mode="after")
    def _blocks_are_even(self) -> Self:
        if self.image_size_px % (4 * CELL_PX):
            nearest = round(self.image_size_px / (4 * CELL_PX)) * 4 * CELL_PX
            raise ValueError(
                f"image_size_px {self.image_size_px} is not a multiple of {4 * CELL_PX} (two blocks), as {nearest} is"
            )
        return self

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of the config and of the first image of each class in each split.

        All other images follow from the same code, whose digest is part of every trial's identity.
        """
        digest = hashlib.sha256(self.model_dump_json().encode())
        for start in STARTS:
            first = range(start, start + len(CLASS_NAMES))
            digest.update(_render(self, _layouts(self, first), first).tobytes())
        return digest.hexdigest()[:20]

    def load(
        self,
        data_root: Path | None,
        *,
        input_size_px: int,
        augmentation: Augmentation,
        seed: int,
        view: ScoredView | None = None,
    ) -> "Splits":
        """The splits in memory, generated once per process.

        Args:
            data_root: not used.
            input_size_px: side of the model's input.
            augmentation: random changes to training images.
            seed: the trial's seed, for the augmentation stream.
            view: not used: its images are squares.
        """
        import torch
        from torch.nn import functional as F

        from trainers.data.splits import Splits
        from trainers.data.tensor_split import TensorSplit

        augment = augmentation.build(input_size_px=input_size_px, seed=seed)

        def split(start: int, num_images: int, augment: "SeededTransform | None" = None) -> "TensorSplit":
            pixels = torch.from_numpy(_generate(self, start, num_images)).unsqueeze(1)
            if input_size_px != self.image_size_px:
                pixels = F.interpolate(pixels, size=(input_size_px, input_size_px), mode="bicubic", antialias=True)
                pixels = pixels.clamp(0, 1)
            indices = torch.arange(start, start + num_images)
            return TensorSplit(pixels, indices % len(CLASS_NAMES), indices, augment)

        return Splits(
            train=split(STARTS[0], self.num_train, augment),
            val=split(STARTS[1], self.num_val),
            test=split(STARTS[2], self.num_test),
            class_names=CLASS_NAMES,
        )


@lru_cache(maxsize=3)
def _generate(config: NeighborTextureConfig, start: int, num_images: int) -> Images:
    """Images [n, S, S] of indices `start` and on; the three splits of one data set stay in memory."""
    indices = range(start, start + num_images)
    return _render(config, _layouts(config, indices), indices)


def _random(config: NeighborTextureConfig, index: int, stream: int) -> np.random.RandomState:
    # numpy promises that the numbers of RandomState never change between its versions.
    return np.random.RandomState([config.generation_seed, index, stream])


def _layouts(config: NeighborTextureConfig, indices: range) -> Orientations:
    """Orientation (0 lies, 1 stands) of each bar: [n, G * G]; image i is of class i modulo 3."""
    grid = config.image_size_px // CELL_PX
    num_blocks = grid * grid // 4
    num_shuffled = round(config.shuffled_fraction * num_blocks)
    layouts = np.empty((len(indices), grid * grid), dtype=np.int64)
    for row, index in enumerate(indices):
        random = _random(config, index, 0)
        blocks = np.tile(BLOCKS[index % len(BLOCKS)], (num_blocks, 1, 1))
        is_turned = random.uniform(size=num_blocks) < 1 / 2
        blocks[is_turned] = blocks[is_turned].transpose(0, 2, 1)
        # Exactly half of the blocks, so that all classes have the same bars.
        blocks[: num_blocks // 2] = 1 - blocks[: num_blocks // 2]
        blocks = random.permutation(blocks)
        blocks[:num_shuffled] = random.permutation(blocks[:num_shuffled].ravel()).reshape(-1, 2, 2)
        blocks = random.permutation(blocks)
        picture = blocks.reshape(grid // 2, grid // 2, 2, 2).transpose(0, 2, 1, 3).reshape(grid, grid)
        layouts[row] = np.roll(picture, random.randint(0, 2, size=2), axis=(0, 1)).ravel()
    return layouts


def _render(config: NeighborTextureConfig, layouts: Orientations, indices: range) -> Images:
    """Each bar drawn in its own square, from its orientation and random numbers that know no neighbour: [n, S, S]."""
    side, grid = config.image_size_px, config.image_size_px // CELL_PX
    images = np.empty((len(indices), side, side), dtype=np.float32)
    middle = np.arange(CELL_PX) - (CELL_PX - 1) / 2
    for row, index in enumerate(indices):
        random = _random(config, index, 1)
        shift_y, shift_x, turn = random.normal(size=(3, grid * grid, 1, 1))
        angle = np.deg2rad(90 * layouts[row][:, None, None] + JITTER_DEGREES * turn)
        y = middle[None, :, None] - JITTER_PX * shift_y
        x = middle[None, None, :] - JITTER_PX * shift_x
        bars = np.cos(2 * np.pi / CELL_PX * (y * np.cos(angle) - x * np.sin(angle)))
        picture = bars.reshape(grid, grid, CELL_PX, CELL_PX).transpose(0, 2, 1, 3).reshape(side, side)
        noise = config.noise_std * random.normal(size=(side, side))
        images[row] = np.clip(0.5 + AMPLITUDE * picture + noise, 0, 1)
    return images
