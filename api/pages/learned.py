"""The page of what was learned: sigma and A over epochs, position biases, receptive fields."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from fastapi import Request, Response
from markupsafe import Markup

from api.dependencies import ExperimentsDep, ReportsDep
from api.pages.glimpsed import subject_page
from api.pages.route import pages_router
from orchestrator.report import Report
from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.content.position_bias import BiasView
from orchestrator.report.drawing.band_glyph import Band, band_glyph
from orchestrator.report.drawing.heat_glyph import heat_glyph
from orchestrator.report.sections.learned_sigma.glyphs import layers_over_epochs
from orchestrator.report.sections.learned_sigma.tables import bias_table, layer_name, sigma_by_dataset_table
from orchestrator.report.words.table import Table
from orchestrator.service.experiments import Experiments
from orchestrator.statistics.comparison import Cell

router = pages_router()

LEARNED_SECONDS = 1.0
"""How long the page waits for maps that nobody has looked at since a trial ended."""
_MAX_SIDE = 48
"""Of a map in a page; larger ones are averaged over squares of pixels."""
_MAX_MAPS = 120
"""Of one kind in a page; the files have all."""
_QUANTITIES = {"sigma": "Sigma (tokens)", "amplitude": "A (its square is the height)"}
_PARTS = {
    "own": "own position embedding",
    "gaussian": "Gaussian alone",
    "sum": "sum of both",
    "absolute": "similarity of absolute embeddings",
}


class Course(NamedTuple):
    """A quantity of one arm in one cell, over epochs."""

    cell: str
    arm: str
    quantity: str
    heat: Markup
    lines: Markup


class HeatMap(NamedTuple):
    """Numbers that a script draws."""

    title: str
    shape: tuple[int, int]
    values: str
    low: float
    high: float
    ellipse: str = ""
    """Centre and half axes of a Gaussian's sigma, in cells: `x y a b`."""
    told: str = ""


class MapGroup(NamedTuple):
    """Maps on one scale, side by side."""

    title: str
    maps: tuple[HeatMap, ...]
    moment: str = ""


class Learned(NamedTuple):
    """All of it."""

    courses: tuple[Course, ...]
    tables: tuple[Table, ...]
    position: tuple[MapGroup, ...]
    fields: tuple[tuple[str, tuple[MapGroup, ...]], ...]
    """What is looked at -> a group for each moment."""
    field_courses: tuple[tuple[str, Markup], ...]
    num_left_out: int
    """Of the position bias."""
    num_fields_left_out: int


@router.get("/experiments/{experiment_id}/learned")
async def show_learned(
    request: Request, experiment_id: str, experiments: ExperimentsDep, reports: ReportsDep
) -> Response:
    """What the arms' biases became, and what the models see."""
    return await subject_page(
        request,
        "learned",
        experiment_id,
        experiments=experiments,
        reports=reports,
        work=learned,
        seconds=LEARNED_SECONDS,
    )


def learned(experiments: Experiments, experiment_id: str) -> Learned:
    """Read it from the trials' results and maps."""
    report = experiments.report(experiment_id).for_people()
    position, fields = list(_position(report)), list(_fields(report))
    num_maps = sum(len(group.maps) for group in position)
    shown_fields = list(_first_looks(fields, _MAX_MAPS))
    tables = [bias_table(report.bias), sigma_by_dataset_table(report.bias)] if report.bias else []
    return Learned(
        courses=tuple(_courses(report.bias)),
        tables=tuple(table for table in tables if table.rows),
        position=tuple(_first(position, _MAX_MAPS)),
        fields=tuple(shown_fields),
        field_courses=tuple(_field_courses(report)),
        num_left_out=max(0, num_maps - _MAX_MAPS),
        num_fields_left_out=sum(map(_num_maps, fields)) - sum(map(_num_maps, shown_fields)),
    )


def _first(groups: Iterable[MapGroup], limit: int) -> Iterable[MapGroup]:
    for group in groups:
        if limit > 0:
            yield group._replace(maps=group.maps[:limit])
        limit -= len(group.maps)


_Look = tuple[str, tuple[MapGroup, ...]]
"""What is looked at, and a group for each moment."""


def _num_maps(look: _Look) -> int:
    return sum(len(group.maps) for group in look[1])


def _first_looks(looks: Iterable[_Look], limit: int) -> Iterable[_Look]:
    """Whole ones, for the slider needs every moment; the first in any case."""
    left = limit
    for look in looks:
        if left < limit and left < _num_maps(look):
            return
        left -= _num_maps(look)
        yield look


def _courses(bias: Sequence[BiasSeries]) -> Iterable[Course]:
    def place(each: BiasSeries) -> tuple[str, str, str]:
        return each.cell.key, each.arm, "" if each.quantity == "sigma" else each.quantity

    for (cell, arm, _), found in groupby(sorted(bias, key=place), key=place):
        series = sorted(found, key=lambda each: (each.layer, each.head or 0))
        quantity = series[0].quantity
        rows, columns = layers_over_epochs(series)
        bands = [
            Band(
                layer_name(each),
                range(len(columns)),
                [(each.initial, *seed.values[: len(each.mean_by_epoch)]) for seed in each.seeds],
            )
            for each in series
        ]
        title = f"{_QUANTITIES[quantity]} of {arm} on {cell}, by layer over epochs"
        yield Course(
            cell,
            arm,
            _QUANTITIES[quantity],
            # Numbers, and names that the glyphs escape.
            Markup(heat_glyph(rows, columns, title=title)),  # noqa: S704
            Markup(band_glyph(bands, title=title)),  # noqa: S704
        )


def _position(report: Report) -> Iterable[MapGroup]:
    if report.bias_views is None:
        return
    central = [view for view in report.bias_views.means if view.is_central]

    def place(view: BiasView) -> tuple[str, str, str]:
        return view.cell.key, view.arm, view.part

    for (cell, arm, part), found in groupby(sorted(central, key=place), key=place):
        views = list(found)
        low = min(float(view.map.min()) for view in views)
        high = max(float(view.map.max()) for view in views)
        maps = [
            _map(_layer_and_head(view, head), view.map[head], low, high, ellipse=_ellipse(view, head))
            for view in sorted(views, key=lambda view: view.layer or 0)
            for head in range(view.shape[0])
        ]
        yield MapGroup(f"{arm} on {cell}: {_PARTS[part]}", tuple(maps))


def _layer_and_head(view: BiasView, head: int) -> str:
    layer = "all layers" if view.layer is None else f"layer {view.layer}"
    return f"{layer}, head {head}" if view.shape[0] > 1 else layer


def _ellipse(view: BiasView, head: int) -> str:
    # The mean over heads says nothing of one of them.
    fit = view.fit(head if view.shape[0] > 1 else None)
    if fit is None or fit.sigma_x is None or fit.sigma_y is None or not fit.is_gaussian:
        return ""
    row, column = view.query
    square = _square(view.shape[1:])
    return " ".join(f"{part / square:.3f}" for part in (column + 0.5, row + 0.5, fit.sigma_x, fit.sigma_y))


def _fields(report: Report) -> Iterable[_Look]:
    fields = report.receptive_fields
    if fields is None:
        return
    looks = dict.fromkeys((mean.cell, mean.beside) for mean in fields.means)
    for cell, target in looks:
        means = [mean for mean in fields.means if (mean.cell, mean.beside) == (cell, target)]
        differences = [each for each in fields.differences if (each.cell, each.target) == (cell, target)]
        high = max((float(_pooled(mean.map).max()) for mean in means), default=0.0)
        reach = max((float(np.abs(_pooled(each.map)).max()) for each in differences), default=0.0)
        groups = []
        for moment in dict.fromkeys(mean.moment for mean in means):
            maps = [_map(mean.arm, mean.map, 0.0, high, told=mean.remark) for mean in means if mean.moment == moment]
            maps += [
                _map(f"{each.arm} - {report.control}", each.map, -reach, reach)
                for each in differences
                if each.moment == moment
            ]
            words = next(mean.moment_words for mean in means if mean.moment == moment)
            groups.append(MapGroup(words, tuple(maps), words))
        yield f"{cell.key}, token at row {target[0]}, column {target[1]}", tuple(groups)


def _field_courses(report: Report) -> Iterable[tuple[str, Markup]]:
    curves = () if report.receptive_fields is None else report.receptive_fields.curves
    places: dict[tuple[Cell, str], list[Band]] = {}
    for curve in curves:
        if curve.epochs and curve.seeds:
            band = Band(curve.arm, curve.epochs, [seed.values for seed in curve.seeds])
            places.setdefault((curve.cell, curve.metric), []).append(band)
    for (cell, metric), bands in places.items():
        title = f"{metric} on {cell.key}"
        yield title, Markup(band_glyph(bands, title=f"{title}, over epochs"))  # noqa: S704


def _map(
    title: str, values: npt.NDArray[np.float64], low: float, high: float, *, ellipse: str = "", told: str = ""
) -> HeatMap:
    pooled = _pooled(values)
    return HeatMap(
        title,
        (pooled.shape[0], pooled.shape[1]),
        " ".join(f"{value:.3g}" for value in pooled.ravel()),
        low,
        high,
        ellipse,
        told,
    )


def _square(shape: tuple[int, ...]) -> int:
    """Side of the squares that become one cell of a map."""
    return -(-max(shape) // _MAX_SIDE)


def _pooled(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means over squares of pixels, so that no side is longer than a page has room for."""
    square = _square(values.shape)
    height, width = (side - side % square for side in values.shape)
    cut = values[:height, :width].reshape(height // square, square, width // square, square)
    pooled: npt.NDArray[np.float64] = cut.mean(axis=(1, 3))
    return pooled
