"""What all pictures of panels share: their grid, titles, frame, legend, and how they become files.

Drawn with matplotlib's object interface (no pyplot), so that any thread may draw.
"""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from orchestrator.statistics.comparison import Cell

# Element ids of an SVG come from this salt instead of a random one: the same report gives the same file.
mpl.rcParams["svg.hashsalt"] = "sigmalab"
# A folder may be called `cost$x_1$y`: names are no formulas, and our own texts write R², σ and 10⁻³ without any.
mpl.rcParams["text.parse_math"] = False

INK = "#1A1A1A"
"""Of texts and of what is not a treatment's."""
SMALL, NORMAL = 8.5, 9.5
"""Sizes of the font: of titles and notes, of axes."""
# Wide enough for the widest common text in the default font at `NORMAL`.
INCHES_PER_CHARACTER = 0.082
_FAINT, _TITLE = "#B8B8B8", 11.0
_MAX_COLUMNS = 3
MAX_PANELS = 24
"""A figure shows at most so many cells or comparisons, and says how many more there are; the tables show all."""


def render(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """Bytes of a picture file, the same ones for the same figure."""
    file = io.BytesIO()
    engine = figure.get_layout_engine()
    if engine is not None and figure.axes:
        # Laid out once, here: left to itself matplotlib does it again for each file, and draws everything twice for it.
        engine.execute(figure)
        figure.set_layout_engine(None)
    # matplotlib writes today's date into an SVG and its version into a PNG unless told otherwise.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(file, format=kind, dpi=200, metadata=metadata, facecolor="white")
    return file.getvalue()


def more_words(num_left_out: int, what: str) -> str:
    """The line of a figure that does not show all: `Not shown: + 2 more panels; the tables have all`.

    Args:
        num_left_out: how many; without any, there is nothing to say.
        what: one of them.
    """
    plural = "" if num_left_out == 1 else "s"
    return f"\nNot shown: + {num_left_out} more {what}{plural}; the tables have all." if num_left_out else ""


def shared_legend(figure: Figure, drawn: Mapping[str, Artist | ErrorbarContainer], names: Iterable[str]) -> None:
    """One legend for all panels.

    Args:
        figure: with constrained layout.
        drawn: name -> a line or mark of it, from whichever panel has it: the first panel may lack what others show.
        names: in the legend's order; those that no panel shows are left out.
    """
    # Not by labels of lines: matplotlib hides those that begin with `_`, as names of folders may.
    shown = [name for name in names if name in drawn]
    # matplotlib draws containers too; only its types do not say so.
    handles = [cast("Artist", drawn[name]) for name in shown]
    figure.legend(handles, shown, loc="outside right upper", fontsize=SMALL, frameon=False)


def at_least(width: float, low: float, high: float) -> tuple[float, float]:
    """The range, or a wider one around its middle: what hardly moved must not fill a picture."""
    lacking = max(0.0, width - (high - low)) / 2
    return low - lacking, high + lacking


def cell_title(cell: Cell) -> str:
    """`digits-300, small_vit_48x3_rel_bias`."""
    return f"{cell.dataset}, {cell.model}"


def wrapped(text: str, width_inches: float) -> str:
    """A small title in as many lines as its panel needs; labels have no spaces, so `_`, `-` and `/` end lines, too.

    Args:
        text: one line.
        width_inches: of the panel.
    """
    room = max(1, int(width_inches / (INCHES_PER_CHARACTER * SMALL / NORMAL)))
    lines = [""]
    for part in re.findall(r"[^\s_/-]+[\s_/-]*|[\s_/-]+", text):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > room:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def panel_grid(
    num_panels: int, *, width: float, height: float, columns: int, is_shared: bool = True
) -> tuple[Figure, Sequence[Axes]]:
    """A figure with so many panels, at most three in a row; one that says so if there are none.

    Args:
        num_panels: panels, row by row.
        width: of a panel, in inches.
        height: of a panel, in inches.
        columns: panels in a row, as far as they fit (1: what would be side by side is one panel, so rows are filled).
        is_shared: whether all have one y axis.
    """
    columns = min(columns if 1 < columns <= _MAX_COLUMNS else _MAX_COLUMNS, max(1, num_panels))
    rows = max(1, math.ceil(num_panels / columns))
    figure = Figure(figsize=(0.9 + width * columns, 0.6 + height * rows), layout="constrained")
    if not num_panels:
        figure.text(0.5, 0.5, "nothing to show yet", ha="center", va="center", fontsize=_TITLE, color=_FAINT)
        return figure, []
    grid = figure.subplots(rows, columns, squeeze=False, sharey=is_shared)
    panels = list(grid.flat)
    for unused in panels[num_panels:]:
        unused.set_axis_off()
    return figure, panels[:num_panels]


def clean(axes: Axes) -> None:
    """The frame that all panels share: no box, faint lines behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis="y", color="#E6E6E6", lw=0.7)
    axes.set_axisbelow(True)
