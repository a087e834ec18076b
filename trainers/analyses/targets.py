"""Whose receptive field is looked at: one token of the grid, or several."""

from typing import Literal

from pydantic import Field

from trainers.errors import AnalysisError
from trainers.strict import StrictModel

Place = tuple[int, int]
"""Row and column of a token in its grid, from 0."""


class CenterTarget(StrictModel):
    """The middle of the grid; of an even grid, the upper left of the four middle tokens (the paper's rule)."""

    kind: Literal["center"] = "center"

    def places(self, height: int, width: int) -> list[Place]:
        """The middle of an H x W grid."""
        return [((height - 1) // 2, (width - 1) // 2)]


class TokenTarget(StrictModel):
    """One token by its place."""

    kind: Literal["token"] = "token"
    row: int = Field(ge=0)
    """Row in the grid, from 0 at the top."""
    column: int = Field(ge=0)
    """Column in the grid, from 0 on the left."""

    def places(self, height: int, width: int) -> list[Place]:
        """The place, if an H x W grid has it.

        Raises:
            AnalysisError: it has not.
        """
        if self.row >= height or self.column >= width:
            raise AnalysisError(
                f"there is no token at row {self.row}, column {self.column}: the grid has rows 0 to {height - 1} and "
                f"columns 0 to {width - 1}"
            )
        return [(self.row, self.column)]


class LatticeTarget(StrictModel):
    """Several tokens, spread evenly over the grid."""

    kind: Literal["lattice"] = "lattice"
    per_side: int = Field(default=3, ge=1, le=16)
    """Targets along each side."""

    def places(self, height: int, width: int) -> list[Place]:
        """The middle tokens of `per_side` x `per_side` equal parts of an H x W grid.

        Raises:
            AnalysisError: the grid has fewer tokens along a side.
        """
        if self.per_side > min(height, width):
            raise AnalysisError(f"{self.per_side} targets per side do not fit on a grid of {height} x {width} tokens")
        rows, columns = (
            [((2 * part + 1) * side - 1) // (2 * self.per_side) for part in range(self.per_side)]
            for side in (height, width)
        )
        return [(row, column) for row in rows for column in columns]


TargetConfig = CenterTarget | TokenTarget | LatticeTarget
