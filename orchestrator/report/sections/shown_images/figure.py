"""Images row by row: as they are, the truth, and what each arm says."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import Normal, Stroke

from orchestrator.report.content.shown_images import Box, ShownImages, ShownPicture, ToldImage
from orchestrator.report.drawing.panels import INK, NORMAL, SMALL, cell_title
from orchestrator.report.drawing.paper import Paper
from orchestrator.report.drawing.text_width import fitted, text_height, text_width
from orchestrator.report.words.numbers import fixed, level_unit, with_unit
from orchestrator.statistics.metric import metric_named
from trainers.counted import counted
from trainers.tasks.shown_images import NO_REGION

# Okabe and Ito's colours, which stay apart for colour-blind readers.
_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2", "#000000")
MAX_COLORS = len(_COLORS)
"""Classes that have a colour of their own."""
_OTHERS = "#9A9A9A"
_OPACITY, _LEAST_GREY = 0.65, 0.35
"""Of colours over the grey image, which is made lighter first: a dark place must not turn one colour into another."""
_PANEL, _GAP, _BORDER, _LABEL = 1.7, 0.1, 0.15, 1.0
_BELOW, _LEGEND_LINE, _LEGEND_MARK = 0.24, 0.2, 0.55


def shown_images_figure(shown: ShownImages) -> Figure:
    """One row per image.

    Args:
        shown: the images of a cell; their scores stand below the panels.
    """
    unit = level_unit(metric_named(f"test/{shown.metric}").unit)
    columns = ["image", "truth", *(told.arm for told in shown.pictures[0].told[1:])] if shown.pictures else []
    colors = class_colors(shown)
    width = 2 * _BORDER + _LABEL + max(2, len(columns)) * (_PANEL + _GAP)
    title = fitted(f"{cell_title(shown.cell)}, seed {shown.seed}", NORMAL, width - 2 * _BORDER)
    headings = [fitted(name, NORMAL, _PANEL) for name in columns]
    top = _BORDER + text_height(title, NORMAL) + 0.1 + max([text_height(each, NORMAL) for each in headings], default=0)
    legend = _legend(shown, colors, width - 2 * _BORDER)
    heights = [_PANEL * min(1.5, picture.shape_px[0] / picture.shape_px[1]) for picture in shown.pictures]
    height = top + sum(each + _BELOW + _GAP for each in heights) + _LEGEND_LINE * legend.num_lines + 2 * _BORDER
    paper = Paper.of_size(width, height)
    paper.write(_BORDER, _BORDER, title, NORMAL, va="top")
    for number, heading in enumerate(headings):
        paper.write(_left(number) + _PANEL / 2, top - 0.05, heading, NORMAL, ha="center")
    for picture, panel_height in zip(shown.pictures, heights, strict=True):
        label = fitted(f"{picture.reason}\nimage {picture.place}", SMALL, _LABEL - 0.1)
        paper.write(_BORDER, top, label, SMALL, va="top")
        _draw(paper.axes(_left(0), top, _PANEL, panel_height), picture, None, colors)
        for number, told in enumerate(picture.told, start=1):
            axes = paper.axes(_left(number), top, _PANEL, panel_height)
            _draw(axes, picture, told, colors)
            if told.score is not None:
                score = with_unit(fixed(told.score, 1), unit)
                paper.write(
                    _left(number) + _PANEL / 2, top + panel_height + 0.04, score, ha="center", va="top", size=SMALL
                )
        top += panel_height + _BELOW + _GAP
    if legend.labels:
        paper.figure.legend(
            legend.patches,
            legend.labels,
            loc="lower center",
            ncols=legend.num_columns,
            fontsize=SMALL,
            frameon=False,
            bbox_to_anchor=(0.5, 0.0),
        )
    return paper.figure


def class_colors(shown: ShownImages) -> dict[int, str]:
    """Class -> colour, of all that are seen in any panel; those that cover most have one of their own."""
    areas: dict[int, int] = {}
    for picture in shown.pictures:
        for told in picture.told:
            counts = np.bincount(picture.regions(told).ravel(), minlength=NO_REGION + 1)
            for region, class_id in enumerate(told.classes):
                # An object may be hidden by others, and still has a box.
                if counts[region] or told.boxes[region] is not None:
                    areas[class_id] = areas.get(class_id, 0) + int(counts[region])
    largest = sorted(areas, key=lambda class_id: (-areas[class_id], class_id))[:MAX_COLORS]
    own = dict(zip(sorted(largest), _COLORS, strict=False))
    return {class_id: own.get(class_id, _OTHERS) for class_id in sorted(areas)}


class _Legend(NamedTuple):
    patches: Sequence[Patch]
    labels: Sequence[str]
    num_columns: int

    @property
    def num_lines(self) -> int:
        return -(-len(self.labels) // self.num_columns)


def _legend(shown: ShownImages, colors: Mapping[int, str], width: float) -> _Legend:
    named = {shown.class_names[class_id]: color for class_id, color in colors.items() if color != _OTHERS}
    num_others = len(colors) - len(named)
    if num_others:
        named[counted(num_others, "other class", "other classes")] = _OTHERS
    longest = max((text_width(name, SMALL) for name in named), default=0.0)
    patches = [Patch(facecolor=color, edgecolor=INK, linewidth=0.5) for color in named.values()]
    return _Legend(patches, list(named), max(1, min(len(named), int(width / (longest + _LEGEND_MARK)))))


def _left(column: int) -> float:
    return _BORDER + _LABEL + column * (_PANEL + _GAP)


def _draw(axes: Axes, picture: ShownPicture, told: ToldImage | None, colors: Mapping[int, str]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    if told is None:
        axes.imshow(picture.image, interpolation="nearest")
        return
    axes.imshow(_tinted(picture, told, colors), interpolation="nearest")
    for place, class_id, sureness in zip(told.boxes, told.classes, told.sureness, strict=True):
        if place is not None:
            _draw_box(axes, place, colors[class_id], sureness)


def _draw_box(axes: Axes, place: Box, color: str, sureness: float | None) -> None:
    left, top, right, bottom = place
    box = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, ec=color, lw=1.3)
    box.set_path_effects([Stroke(linewidth=2.2, foreground="white"), Normal()])
    axes.add_patch(box)
    if sureness is not None:
        text = axes.text(left, top, f"{sureness:.2f}", fontsize=5.5, color=INK, va="top", ha="left", clip_on=True)
        text.set_path_effects([Stroke(linewidth=1.5, foreground="white"), Normal()])


def _tinted(picture: ShownPicture, told: ToldImage, colors: Mapping[int, str]) -> npt.NDArray[np.uint8]:
    """[H, W, 3] the grey image under the colours of its classes, with a dark line where regions meet."""
    regions = picture.regions(told)
    grey = picture.image.mean(axis=2, keepdims=True).repeat(3, axis=2) / 255
    grey = _LEAST_GREY + (1 - _LEAST_GREY) * grey
    paint = np.zeros((NO_REGION + 1, 3))
    is_painted = np.zeros(NO_REGION + 1, dtype=bool)
    for region, class_id in enumerate(told.classes):
        paint[region], is_painted[region] = to_rgb(colors.get(class_id, _OTHERS)), True
    opacity = _OPACITY * is_painted[regions][..., None]
    mixed = grey * (1 - opacity) + paint[regions] * opacity
    mixed[_borders(regions)] *= 0.35
    tinted: npt.NDArray[np.uint8] = (255 * mixed).round().astype(np.uint8)
    return tinted


def _borders(regions: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """[H, W] whether the pixel to the right or below belongs to another region."""
    is_border = np.zeros(regions.shape, dtype=bool)
    is_border[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    is_border[:-1] |= regions[:-1] != regions[1:]
    return is_border
