"""A figure that is measured in inches from its upper left corner: nothing moves to make room for something else."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.drawing.panels import INK


class Paper(NamedTuple):
    """The figure, and how large it is."""

    figure: Figure
    width: float
    height: float

    @classmethod
    def of_size(cls, width: float, height: float) -> "Paper":
        """An empty one."""
        return cls(Figure(figsize=(width, height)), width, height)

    def write(
        self, x: float, y: float, text: str, size: float, *, ha: str = "left", va: str = "bottom", color: str = INK
    ) -> None:
        """Lines of text."""
        self.figure.text(x / self.width, 1 - y / self.height, text, fontsize=size, ha=ha, va=va, color=color)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """New axes."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place)
