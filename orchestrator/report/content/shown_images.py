"""A few images of a report with the truth and what the arms say of them, as data.

Pixels are part of the data but not of its JSON, which stays small: they are drawn.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from orchestrator.statistics.comparison import Cell
from trainers.strict import StrictModel
from trainers.tasks.evidence import ImageScores
from trainers.tasks.shown_images import ShownSplit

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels."""


class KeptImages(NamedTuple):
    """What one trial has kept for pictures."""

    shown: ShownSplit
    scores: ImageScores
    """Of every image of the same split."""


class KeptPair(NamedTuple):
    """What the arms of a cell have kept with one seed."""

    seed: int
    by_arm: Mapping[str, KeptImages]
    """The control among them."""


class ToldImage(StrictModel):
    """What is true of an image, or what one arm says of it."""

    arm: str
    """Name of the arm (empty: it is the truth)."""
    score: float | None
    """The image's own score, in the metric's unit (`None`: it is the truth)."""
    regions: Annotated[SkipJsonSchema[bytes], Field(exclude=True, repr=False)]
    """[H, W] uint8, row by row: number of the region that each pixel belongs to; 255 for none."""
    classes: Annotated[SkipJsonSchema[tuple[int, ...]], Field(exclude=True, repr=False)]
    """Class of each region."""
    boxes: Annotated[SkipJsonSchema[tuple[Box | None, ...]], Field(exclude=True, repr=False)]
    """Box of each region (`None`: it has none)."""
    sureness: Annotated[SkipJsonSchema[tuple[float | None, ...]], Field(exclude=True, repr=False)]
    """How sure the model is of each region, from 0 to 1 (`None`: nothing is said of that)."""


class ShownPicture(StrictModel):
    """One image."""

    place: int
    """In the data set."""
    reason: Literal["arms differ", "typical"]
    """Why it was chosen."""
    shape_px: tuple[int, int]
    """Height and width."""
    pixels: Annotated[SkipJsonSchema[bytes], Field(exclude=True, repr=False)]
    """[H, W, 3] uint8, row by row; not in JSON."""
    told: tuple[ToldImage, ...]
    """The truth, then the control, then the treatments."""

    @property
    def image(self) -> npt.NDArray[np.uint8]:
        """[H, W, 3]."""
        return np.frombuffer(self.pixels, dtype=np.uint8).reshape(*self.shape_px, 3)

    def regions(self, told: ToldImage) -> npt.NDArray[np.uint8]:
        """[H, W] of one of `told`."""
        return np.frombuffer(told.regions, dtype=np.uint8).reshape(self.shape_px)


class ShownImages(StrictModel):
    """The chosen images of one cell."""

    cell: Cell
    """Model and data set."""
    seed: int
    """Of the pair: the first one whose files can be read."""
    metric: str
    """Name of the metric that is the mean of the images' scores, such as `image_miou`."""
    num_kept: int
    """Images that could be chosen: those that every arm has kept and scored."""
    class_names: tuple[str, ...]
    """Of the data set."""
    pictures: tuple[ShownPicture, ...]
    """Those on which the arms differ most first."""
