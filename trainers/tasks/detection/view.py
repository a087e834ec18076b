"""In which size an image is seen, where objects in it are sought."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainers.data.scored_view import ScoredView
from trainers.strict import StrictModel

_USUAL_RATIO = 4 / 3
"""Most photographs have it, COCO's too."""


class View(StrictModel, ABC):
    """Says how large images are that are scored, or trained on without an augmentation."""

    needs_any_size: ClassVar[bool]
    """Whether the model must see images of any size."""

    @abstractmethod
    def scored(self, input_size_px: int) -> ScoredView:
        """The bounds of both sides, for a model's input of S x S pixels."""

    @abstractmethod
    def square_px(self, input_size_px: int) -> int | None:
        """Side of the square that every image is filled up to (`None`: to the largest of its batch)."""

    @abstractmethod
    def usual_size_px(self, input_size_px: int) -> tuple[int, int]:
        """Height and width of an image as they usually are, for forecasts of what it costs."""


class SquareView(View):
    """The longer side becomes the model's input side S; all images are filled up to S x S. Every model can see them."""

    needs_any_size: ClassVar[bool] = False

    kind: Literal["square"] = "square"

    def scored(self, input_size_px: int) -> ScoredView:
        """Both sides at most S."""
        return ScoredView(input_size_px, "bilinear", input_size_px)

    def square_px(self, input_size_px: int) -> int:
        """S."""
        return input_size_px

    def usual_size_px(self, input_size_px: int) -> tuple[int, int]:
        """S x S."""
        return input_size_px, input_size_px


class ShortSideView(View):
    """The shorter side becomes `short_side_px`, in the image's own ratio, as the reference scores COCO.

    For models that see images of any size: Swins, whose windows stay as large as they are, and CNNs.
    """

    needs_any_size: ClassVar[bool] = True

    kind: Literal["short_side"] = "short_side"
    short_side_px: int = Field(default=800, ge=16, le=4096)
    """Of images that are scored, or trained on without an augmentation."""
    max_long_side_px: int = Field(default=1333, ge=16, le=8192)
    """Largest length of their longer side; very long images get a shorter side of less."""

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.short_side_px > self.max_long_side_px:
            raise ValueError(
                f"max_long_side_px {self.max_long_side_px} is below short_side_px {self.short_side_px}, which no image "
                "would reach; exchange them"
            )
        return self

    def scored(self, input_size_px: int) -> ScoredView:
        """The two bounds."""
        return ScoredView(self.short_side_px, "bilinear", self.max_long_side_px)

    def square_px(self, input_size_px: int) -> None:
        """Images stay as they are."""

    def usual_size_px(self, input_size_px: int) -> tuple[int, int]:
        """A photograph of 4 : 3."""
        long_side_px = min(self.max_long_side_px, round(_USUAL_RATIO * self.short_side_px))
        return self.short_side_px, long_side_px


ViewConfig = SquareView | ShortSideView
