"""Generated images of shapes on textured ground, with the class of each pixel."""

import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from trainers.data.augmentation import Augmentation
from trainers.data.generated import GeneratedDataset
from trainers.data.scored_view import ScoredView

if TYPE_CHECKING:
    from trainers.data.shapes_split import ShapesSplit
    from trainers.data.splits import Splits

MAX_SPLIT = 99_999
"""Each split draws from a range of indices of its own, so that no size of a split changes another split."""
STARTS = (2 * MAX_SPLIT, MAX_SPLIT, 0)
"""Of training, validation and test."""
SIZES = (0.15, 0.3)
"""Circumradius of a shape, as a share of the image's side."""
MIN_CONTRAST = 0.3
"""Distance of a shape's mean colour from the ground's, in the channel where it is largest."""
AMPLITUDE = 0.08
"""Of a grating in each channel, at most."""
NUM_WAVES = 3
"""Gratings that a texture is made of."""
WAVES_PX = (4.0, 24.0)
"""Their wavelengths."""

Grid: TypeAlias = npt.NDArray[np.float64]
"""[S, S] or broadcast to it; coordinates in which a shape's circumradius is 1."""
Inside: TypeAlias = npt.NDArray[np.bool_]
"""[S, S]: where a shape is."""


def _circle(x: Grid, y: Grid) -> Inside:
    inside: Inside = x * x + y * y <= 1
    return inside


def _square(x: Grid, y: Grid) -> Inside:
    inside: Inside = np.maximum(np.abs(x), np.abs(y)) <= np.sqrt(1 / 2)
    return inside


def _triangle(x: Grid, y: Grid) -> Inside:
    inside: Inside = np.maximum(-y, np.sqrt(3 / 4) * np.abs(x) + y / 2) <= 1 / 2
    return inside


def _cross(x: Grid, y: Grid) -> Inside:
    short, long = np.minimum(np.abs(x), np.abs(y)), np.maximum(np.abs(x), np.abs(y))
    # Bars a third as wide as they are long.
    inside: Inside = (short <= np.sqrt(1 / 10)) & (long <= np.sqrt(9 / 10))
    return inside


def _ring(x: Grid, y: Grid) -> Inside:
    square = x * x + y * y
    return (square <= 1) & (square >= 1 / 4)


SHAPES: dict[str, Callable[[Grid, Grid], Inside]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "ring": _ring,
}
CLASS_NAMES = ("ground", *SHAPES)


class Pictures(NamedTuple):
    """Some images with their masks."""

    pixels: npt.NDArray[np.uint8]
    """[n, S, S, 3]"""
    ids: npt.NDArray[np.uint8]
    """[n, S, S]"""


class ShapesConfig(GeneratedDataset):
    """Circles, squares, triangles, crosses and rings on textured ground, and the class of each pixel (ground: 0).

    Place, size, turn, colour and texture of each shape are drawn alike for all classes, so only its outline tells the
    class: a patch in its middle does not. Later shapes cover earlier ones. Masks are exact.
    """

    targets: ClassVar[Literal["class", "mask"]] = "mask"

    short_name: ClassVar[str] = "shapes"
    label_marks: ClassVar[Mapping[str, str]] = {
        "image_size_px": "px",
        "min_shapes": "min",
        "max_shapes": "max",
        "noise_std": "noise",
        "generation_seed": "gen",
    }

    kind: Literal["shapes"] = "shapes"
    num_train: int = Field(default=400, ge=1, le=MAX_SPLIT)
    """Training images."""
    num_val: int = Field(default=100, ge=1, le=MAX_SPLIT)
    """Validation images (choose the epoch and, in a search, the params)."""
    num_test: int = Field(default=200, ge=1, le=MAX_SPLIT)
    """Test images (scored once)."""
    image_size_px: int = Field(default=64, ge=32, le=512)
    """Side of the generated image; a model of another input size gets it resized, and its mask as it is."""
    min_shapes: int = Field(default=2, ge=0, le=20)
    """Fewest shapes in an image."""
    max_shapes: int = Field(default=5, ge=1, le=20)
    """Most shapes in an image."""
    noise_std: float = Field(default=0.05, ge=0, le=1)
    """Difficulty: standard deviation of each pixel's noise, in images from 0 to 1."""
    generation_seed: int = Field(default=0, ge=0, lt=2**31)
    """Another seed gives other images of the same kind; image i depends on this seed and on i."""

    @model_validator(mode="after")
    def _numbers_are_ordered(self) -> Self:
        if self.min_shapes > self.max_shapes:
            raise ValueError(f"min_shapes {self.min_shapes} is above max_shapes {self.max_shapes}; exchange them")
        return self

    def fingerprint(self, data_root: Path | None) -> str:
        """Digest of the config, of the first image of each split and of its mask.

        All other images follow from the same code, whose digest is part of every trial's identity.
        """
        digest = hashlib.sha256(self.model_dump_json().encode())
        for start in STARTS:
            for part in draw(self, start, 1):
                digest.update(part.tobytes())
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
            augmentation: random changes to training images, which move masks.
            seed: the trial's seed, for the augmentation stream.
            view: not used: images with masks are scored whole.
        """
        from trainers.data.shapes_split import ShapesSplit
        from trainers.data.splits import Splits

        augment = augmentation.build(input_size_px=input_size_px, seed=seed)

        def split(start: int, num_images: int) -> "ShapesSplit":
            is_scored = start != STARTS[0]
            return ShapesSplit(
                draw(self, start, num_images),
                start,
                None if is_scored else augment,
                input_size_px=input_size_px,
                is_scored=is_scored,
            )

        return Splits(
            train=split(STARTS[0], self.num_train),
            val=split(STARTS[1], self.num_val),
            test=split(STARTS[2], self.num_test),
            class_names=CLASS_NAMES,
        )


@lru_cache(maxsize=3)
def draw(config: ShapesConfig, start: int, num_images: int) -> Pictures:
    """Images of indices `start` and on; the three splits of one data set stay in memory."""
    side = config.image_size_px
    pictures = Pictures(np.empty((num_images, side, side, 3), np.uint8), np.zeros((num_images, side, side), np.uint8))
    for row in range(num_images):
        # numpy promises that the numbers of RandomState never change between its versions.
        random = np.random.RandomState([config.generation_seed, start + row])
        pictures.pixels[row] = _picture(config, random, pictures.ids[row])
    return pictures


def _picture(config: ShapesConfig, random: np.random.RandomState, ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """One image [S, S, 3]; writes its mask."""
    side = config.image_size_px
    ground = random.uniform(0.2, 0.8, size=3)
    pixels = _texture(random, side, ground)
    for _ in range(random.randint(config.min_shapes, config.max_shapes + 1)):
        label = random.randint(1, len(CLASS_NAMES))
        inside = _outline(random, side, SHAPES[CLASS_NAMES[label]])
        texture = _texture(random, side, _other_colour(random, ground))
        pixels[inside] = texture[inside]
        ids[inside] = label
    pixels += config.noise_std * random.normal(size=pixels.shape)
    return np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def _outline(random: np.random.RandomState, side: int, shape: Callable[[Grid, Grid], Inside]) -> Inside:
    """[S, S]: where a shape of random place, size and turn is; its middle lies in the image."""
    radius = side * random.uniform(*SIZES)
    middle_x, middle_y = random.uniform(0, side, size=2)
    angle = random.uniform(0, 2 * np.pi)
    x = (np.arange(side)[None, :] + 0.5 - middle_x) / radius
    y = (np.arange(side)[:, None] + 0.5 - middle_y) / radius
    return shape(np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x)


def _texture(random: np.random.RandomState, side: int, colour: npt.NDArray[np.float64]) -> Grid:
    """[S, S, 3]: gratings of random directions, wavelengths and colours around a mean colour."""
    place = np.arange(side)
    angle, phase = random.uniform(0, 2 * np.pi, size=(2, NUM_WAVES))
    wavelength = np.exp(random.uniform(np.log(WAVES_PX[0]), np.log(WAVES_PX[1]), size=NUM_WAVES))
    amplitude = random.uniform(-AMPLITUDE, AMPLITUDE, size=(NUM_WAVES, 3))
    frequency = 2 * np.pi / wavelength
    x = place[None, :, None] * np.cos(angle) * frequency
    y = place[:, None, None] * np.sin(angle) * frequency
    texture: Grid = colour + np.sin(x + y + phase) @ amplitude
    return texture


def _other_colour(random: np.random.RandomState, ground: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    while True:
        colour = random.uniform(0.1, 0.9, size=3)
        if np.abs(colour - ground).max() >= MIN_CONTRAST:
            return colour
