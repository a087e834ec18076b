"""Receptive fields of all arms as a picture: mean maps before and after training, and their differences.

Maps are in multiples of an even spread over the picture (1: what each pixel had if the model saw everything alike), so
that a colour means the same for every size of picture.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Ellipse, Rectangle

from orchestrator.report.content import Report
from orchestrator.report.field_content import MOMENT_WORDS, Array, MeanField
from orchestrator.statistics.comparison import Cell
from trainers.analyses.gaussian_fit import GaussianFit
from trainers.result import Moment

MAX_GROUPS = 4
"""A figure shows at most so many cells and tokens; the file of arrays has all."""

_PANEL_INCHES = 1.75
_SMALL, _NORMAL = 8.0, 9.5
_ELLIPSE = "#56B4E9"
_MAX_ARMS_BESIDE = 4
"""With more arms, differences stand below the maps instead of beside them: the figure fits a page."""

_BRIGHTEST = 0.999


class _Row(NamedTuple):
    """One moment of one cell and token."""

    cell: Cell
    moment: Moment
    target: tuple[int, int]
    fields: Mapping[str, MeanField]
    """By arm."""


def field_map_figure(report: Report) -> Figure:
    """Maps of the control and the treatments, and differences from the control; rows: before and after training."""
    rows = _rows(report)
    arms = [arm.name for arm in report.arms if any(arm.name in row.fields for row in rows)]
    arms.sort(key=lambda name: name != report.control)
    treated = [name for name in arms if name != report.control and report.control in arms]
    is_stacked = len(arms) > _MAX_ARMS_BESIDE
    figure, grid = _grid(len(rows), len(arms), len(treated), is_stacked=is_stacked)
    several = len({(row.cell, row.target) for row in rows}) > 1
    for place, row in enumerate(rows):
        line = grid[(2 if is_stacked and treated else 1) * place]
        maps, bar = list(line[: len(arms)]), line[len(arms)]
        _draw_maps(maps, bar, row, arms)
        maps[0].set_ylabel(_row_title(row, several=several), fontsize=_SMALL if several else _NORMAL)
        for axes, name in zip(maps, arms, strict=True):
            if place == 0 or is_stacked:
                axes.set_title(name, fontsize=_NORMAL)
        if not treated:
            continue
        if is_stacked:
            below = grid[2 * place + 1]
            below[0].set_axis_off()
            differences, bar = list(below[1:-1]), below[-1]
        else:
            differences, bar = list(line[len(arms) + 1 : -1]), line[-1]
        _draw_differences(differences, bar, row, treated, report.control)
        for axes, name in zip(differences, treated, strict=True):
            if is_stacked:
                axes.set_xlabel(f"− {report.control}", fontsize=_SMALL)
            elif place == 0:
                axes.set_title(f"{name} − {report.control}", fontsize=_NORMAL)
    return figure


def _grid(
    num_rows: int, num_arms: int, num_treated: int, *, is_stacked: bool
) -> tuple[Figure, npt.NDArray[np.object_]]:
    """Panels with a narrow one for the colour bar after each block."""
    widths = [*(1.0 for _ in range(num_arms)), 0.07]
    num_lines = max(1, num_rows)
    if is_stacked:
        num_lines *= 2 if num_treated else 1
    elif num_treated:
        widths += [*(1.0 for _ in range(num_treated)), 0.07]
    size = (2.2 + _PANEL_INCHES * sum(width == 1 for width in widths), 0.5 + (_PANEL_INCHES + 0.35) * num_lines)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(num_lines, len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})


def _row_title(row: _Row, *, several: bool) -> str:
    words = next(iter(row.fields.values())).moment_words
    if not several:
        return words
    return f"{row.cell.dataset}\n{row.cell.model}\ntoken {row.target[0]},{row.target[1]}\n{words}"


def mean_field_figure(fields: Sequence[MeanField]) -> Figure:
    """Maps of one arm side by side, each on a scale of its own."""
    size = (2.0 * _PANEL_INCHES * len(fields), 1.9 * _PANEL_INCHES + 0.1)
    figure = Figure(figsize=size, layout="constrained")
    for axes, field in zip(figure.subplots(1, len(fields), squeeze=False)[0], fields, strict=True):
        norm = FuncNorm((np.sqrt, np.square), vmin=0, vmax=_largest(_density(field), field), clip=True)
        image = axes.imshow(_density(field), cmap="magma", norm=norm, interpolation="nearest")
        _mark(axes, field, is_map=True)
        count = len(field.seeds)
        seeds = f"mean over {count} seeds" if count > 1 else f"seed {field.seeds[0]}"
        axes.set_title(f"{field.arm}, {field.moment_words}\n{seeds}", fontsize=_NORMAL)
        axes.set_xlabel(f"{_remark(field)}; token {field.target[0]},{field.target[1]}", fontsize=_SMALL)
        _color_bar(axes.inset_axes((1.03, 0, 0.05, 1)), image, "density (1: even)")
    return figure


def _rows(report: Report) -> list[_Row]:
    fields = report.receptive_fields
    by_place: dict[tuple[Cell, tuple[int, int]], dict[Moment, dict[str, MeanField]]] = {}
    for mean in fields.means if fields else ():
        by_place.setdefault((mean.cell, mean.target), {}).setdefault(mean.moment, {})[mean.arm] = mean
    return [
        _Row(cell, moment, target, moments[moment])
        for (cell, target), moments in list(by_place.items())[:MAX_GROUPS]
        for moment in MOMENT_WORDS
        if moment in moments
    ]


def _draw_maps(panels: Sequence[Axes], bar: Axes, row: _Row, arms: Sequence[str]) -> None:
    """One scale for all arms: brightness is the square root, or only the bright spot would be seen."""
    brightest = max(_largest(_density(field), field) for field in row.fields.values())
    norm = FuncNorm((np.sqrt, np.square), vmin=0, vmax=brightest, clip=True)
    image: AxesImage | None = None
    for axes, name in zip(panels, arms, strict=True):
        field = row.fields.get(name)
        if field is None:
            _say_nothing(axes)
            continue
        image = axes.imshow(_density(field), cmap="magma", norm=norm, interpolation="nearest")
        _mark(axes, field, is_map=True)
        axes.set_xlabel(_remark(field), fontsize=_SMALL)
    _color_bar(bar, image, "density (1: even)")


def _draw_differences(panels: Sequence[Axes], bar: Axes, row: _Row, treated: Sequence[str], control: str) -> None:
    """Symmetric about 0, with the root's scale on both sides."""
    shown = {
        name: _density(row.fields[name]) - _density(row.fields[control])
        for name in treated
        if name in row.fields and control in row.fields
    }
    largest = max((_largest(np.abs(values), row.fields[name]) for name, values in shown.items()), default=1.0)
    norm = FuncNorm((_signed_root, _signed_square), vmin=-largest, vmax=largest, clip=True)
    image: AxesImage | None = None
    for axes, name in zip(panels, treated, strict=True):
        if name not in shown:
            _say_nothing(axes)
            continue
        image = axes.imshow(shown[name], cmap="RdBu_r", norm=norm, interpolation="nearest")
        _mark(axes, row.fields[name], is_map=False)
    _color_bar(bar, image, "difference of densities")


def _largest(values: Array, field: MeanField) -> float:
    """Where the scale ends: the token's own pixels, which its residual path lights up, may lie beyond."""
    left, top, width, height = _token_box(field)
    outside = np.ones(values.shape, dtype=bool)
    outside[round(top + 0.5) : round(top + height + 0.5), round(left + 0.5) : round(left + width + 0.5)] = False
    shown = values[outside] if outside.any() else values
    return float(np.quantile(shown, _BRIGHTEST)) or float(values.max()) or 1.0


def _density(field: MeanField) -> Array:
    values: Array = field.map * field.map.size
    return values


def _signed_root(values: Array) -> Array:
    rooted: Array = np.sign(values) * np.sqrt(np.abs(values))
    return rooted


def _signed_square(values: Array) -> Array:
    squared: Array = np.sign(values) * np.square(values)
    return squared


def _token_box(field: MeanField) -> tuple[float, float, float, float]:
    """Left, top, width and height of the looked-at token, in pixels; pixel 0 is centred on 0."""
    height, width = (field.shape_px[axis] / field.grid[axis] for axis in (0, 1))
    return field.target[1] * width - 0.5, field.target[0] * height - 0.5, width, height


def _mark(axes: Axes, field: MeanField, *, is_map: bool) -> None:
    """The looked-at token's outline; on maps the ellipse at one sigma, dotted where the map is no Gaussian."""
    axes.set_xticks([])
    axes.set_yticks([])
    left, top, width, height = _token_box(field)
    axes.add_patch(Rectangle((left, top), width, height, fill=False, ec="white" if is_map else "#1A1A1A", lw=0.9))
    if is_map and field.metrics is not None:
        axes.add_patch(_ellipse(field.metrics.fit_px))


def _ellipse(fit: GaussianFit) -> Ellipse:
    style = "-" if fit.is_gaussian else ":"
    center = (fit.center_x, fit.center_y)
    return Ellipse(center, 2 * fit.sigma_x, 2 * fit.sigma_y, fill=False, ec=_ELLIPSE, lw=1.5, ls=style)


def _remark(field: MeanField) -> str:
    if field.metrics is None:
        return "nothing to fit"
    across, down, fit = field.metrics.sigma_x_tokens, field.metrics.sigma_y_tokens, field.metrics.fit_px
    return f"σ {across:.1f} × {down:.1f} tokens, R² {fit.r_squared:.2f}"


def _say_nothing(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, "no map", transform=axes.transAxes, ha="center", va="center", fontsize=_SMALL, color="#6B6B6B")


def _color_bar(axes: Axes, image: AxesImage | None, label: str) -> None:
    if image is None:
        axes.set_axis_off()
        return
    low, high = image.get_clim()
    bar = axes.figure.colorbar(image, cax=axes, extend="max" if low == 0 else "both", extendfrac=0.04)
    bar.set_label(label, fontsize=_SMALL)
    top = _rounded_down(high)
    ticks = [0.0, top / 4, top] if low == 0 else [-top, -top / 4, 0.0, top / 4, top]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}".replace("-", "−") for tick in ticks])
    bar.ax.tick_params(labelsize=_SMALL)
    bar.minorticks_off()


def _rounded_down(value: float) -> float:
    """To one digit: a tick that lies on the scale."""
    step = 10.0 ** math.floor(math.log10(value))
    return math.floor(value / step) * step
