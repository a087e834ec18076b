"""Generated images of discs, squares and triangles on textured ground, each with its box and mask."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from trainers.data.augmentation import Augmentation
from trainers.data.generated import GeneratedDataset
from trainers.data.scored_view import ScoredView

if TYPE_CHECKING:
    from trainers.data.seeded_transform import SeededTransform
    from trainers.data.splits import Splits

CLASS_NAMES = ("disc", "square", "triangle")
RADII = (0.09, 0.2)
"""Bounds of an object's radius (to its corners), as shares of the image's side."""
CONTRAST = (0.25, 0.45)
"""Bounds of how much brighter or darker than the ground's mean an object is, in images from 0 to 1."""
GROUND_CELLS = 5
"""Random colours along a side of the ground, between which it changes smoothly."""
NUM_DRAWS = 10
"""Places that are tried for an object, until it hides too little of others to matter."""
MAX_HIDDEN = 0.3
"""Share of an object that another may hide."""

# Each split draws from a range of indices of its own, so that no size of a split changes another split.
MAX_TEST, MAX_VAL, MAX_TRAIN = 9_999, 9_999, 99_999
STARTS = (MAX_TEST + MAX_VAL, MAX_TEST, 0)

Mask = npt.NDArray[np.bool_]


class Drawing(NamedTuple):
    """One generated image."""

    pixels: npt.NDArray[np.uint8]
    """[S, S, 3]."""
    classes: npt.NDArray[np.int64]
    """[n]."""
    masks: Mask
    """[n, S, S], what is seen of each object."""


class ShapesObjectsConfig(GeneratedDataset):
    """Discs, squares and triangles of all colours, sizes and angles; a class is a shape, and nothing else.

    Objects may hide up to a third of each other; about one image in `max_objects + 1` has none.
    """

    targets: ClassVar[Literal["class", "mask", "objects"]] = "objects"

    short_name: ClassVar[str] = "shapes-objects"
    label_marks: ClassVar[Mapping[str, str]] = {
        "image_size_px": "px",
        "max_objects": "max",
        "noise_std": "noise",
        "generation_seed": "gen",
    }

    kind: Literal["shapes_objects"] = "shapes_objects"
    num_train: int = Field(default=300, ge=1, le=MAX_TRAIN)
    """Training images."""
    num_val: int = Field(default=100, ge=4, le=MAX_VAL)
    """Validation images (choose the epoch and, in a search, the params)."""
    num_test: int = Field(default=200, ge=4, le=MAX_TEST)
    """Test images (scored once)."""
    image_size_px: int = Field(default=64, ge=32, le=1024)
    """Side of the generated image; a model of another input size gets it resized."""
    max_objects: int = Field(default=4, ge=1, le=20)
    """An image has 0 to so many objects, each number equally often."""
    noise_std: float = Field(default=0.05, ge=0, le=1)
    """Difficulty: standard deviation of each pixel's noise, in images from 0 to 1."""
    generation_seed: int = Field(default=0, ge=0, lt=2**31)
    """Another seed gives other images of the same kind; image i depends on this seed and on i."""

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of the config and of the first images of each split.

        All other images follow from the same code, whose digest is part of every trial's identity.
        """
        digest = hashlib.sha256(self.model_dump_json().encode())
        for start in STARTS:
            for drawing in (draw(self, index) for index in range(start, start + len(CLASS_NAMES))):
                for array in drawing:
                    digest.update(array.tobytes())
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
            augmentation: random changes to training images and their objects.
            seed: the trial's seed, for the augmentation stream.
            view: how large images are that are scored, or trained on without an augmentation.
        """
        import torch

        from trainers.data.drawn_objects import DrawnObjects
        from trainers.data.splits import Splits

        augment = augmentation.build(input_size_px=input_size_px, seed=seed)

        def split(start: int, num_images: int, augment: "SeededTransform | None", *, is_scored: bool) -> "DrawnObjects":
            indices = torch.arange(start, start + num_images)
            drawings = _drawings(self, start, num_images)
            return DrawnObjects(drawings, indices, augment, input_size_px=input_size_px, is_scored=is_scored, view=view)

        return Splits(
            train=split(STARTS[0], self.num_train, augment, is_scored=False),
            val=split(STARTS[1], self.num_val, None, is_scored=True),
            test=split(STARTS[2], self.num_test, None, is_scored=True),
            class_names=CLASS_NAMES,
        )


@lru_cache(maxsize=3)
def _drawings(config: ShapesObjectsConfig, start: int, num_images: int) -> tuple[Drawing, ...]:
    """Images of indices `start` and on; the three splits of one data set stay in memory."""
    return tuple(draw(config, index) for index in range(start, start + num_images))


def draw(config: ShapesObjectsConfig, index: int) -> Drawing:
    """The image with this index."""
    # numpy promises that the numbers of RandomState never change between its versions.
    random = np.random.RandomState([config.generation_seed, index])
    side = config.image_size_px
    picture = _ground(random, side)
    level = picture.mean(axis=(0, 1))
    classes: list[int] = []
    masks: list[Mask] = []
    for _ in range(random.randint(config.max_objects + 1)):
        class_id = random.randint(len(CLASS_NAMES))
        mask = _placed(random, class_id, side, masks)
        # Towards the middle, so that it does not leave [0, 1].
        change = random.uniform(*CONTRAST, size=3) * np.where(level > 1 / 2, -1, 1)
        if mask is None:
            continue
        masks = [other & ~mask for other in masks]
        masks.append(mask)
        classes.append(class_id)
        picture[mask] = level + change
    picture = picture + config.noise_std * random.normal(size=picture.shape)
    pixels = np.clip(np.rint(255 * picture), 0, 255).astype(np.uint8)
    stacked = np.stack(masks) if masks else np.zeros((0, side, side), dtype=np.bool_)
    return Drawing(pixels, np.array(classes, dtype=np.int64), stacked)


def _ground(random: np.random.RandomState, side: int) -> npt.NDArray[np.float64]:
    """[S, S, 3], smooth between random colours."""
    colors = 0.5 + random.uniform(-0.3, 0.3, size=3)
    coarse = colors + random.uniform(-0.15, 0.15, size=(GROUND_CELLS, GROUND_CELLS, 3))
    places = np.linspace(0, GROUND_CELLS - 1, side)
    low = np.minimum(places.astype(np.int64), GROUND_CELLS - 2)
    share = places - low
    rows = coarse[low] * (1 - share)[:, None, None] + coarse[low + 1] * share[:, None, None]
    smooth: npt.NDArray[np.float64] = rows[:, low] * (1 - share)[:, None] + rows[:, low + 1] * share[:, None]
    return smooth


def _placed(random: np.random.RandomState, class_id: int, side: int, others: list[Mask]) -> Mask | None:
    """The object at a place where it hides little of others (`None`: there was no such place)."""
    for _ in range(NUM_DRAWS):
        radius = random.uniform(*RADII) * side
        y, x = random.uniform(radius / 2, side - radius / 2, size=2)
        mask = _shape(class_id, side, y, x, radius, random.uniform(0, 2 * np.pi))
        if all((other & mask).sum() <= MAX_HIDDEN * other.sum() for other in others):
            return mask
    return None


def _shape(class_id: int, side: int, y: float, x: float, radius: float, angle: float) -> Mask:
    """[S, S] pixels whose middles lie inside: a disc, or a polygon of equal sides."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    rows, columns = rows - y, columns - x
    if class_id == 0:
        disc: Mask = rows**2 + columns**2 <= radius**2
        return disc
    num_sides = {1: 4, 2: 3}[class_id]
    inner = radius * np.cos(np.pi / num_sides)
    turns = angle + 2 * np.pi * np.arange(num_sides) / num_sides
    polygon: Mask = np.logical_and.reduce([rows * np.sin(turn) + columns * np.cos(turn) <= inner for turn in turns])
    return polygon
