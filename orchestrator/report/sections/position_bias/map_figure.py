"""Position biases of all arms as pictures: what the middle token sees, layer by layer, part by part, head by head."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

from matplotlib.figure import Figure

from orchestrator.report.content.position_bias import BiasView
from orchestrator.report.drawing.panels import cell_title
from orchestrator.report.sections.position_bias.tiles import (
    HEAD_INCHES,
    LAYER_INCHES,
    PART_WORDS,
    SINGLE_INCHES,
    Tile,
    TileBlock,
    TileRow,
    draw_blocks,
    fit_remark,
    known_remark,
)
from orchestrator.report.sections.section import Picture
from orchestrator.report.words.answers import NO_GAUSSIAN

MAX_BLOCKS = 6
"""A figure shows at most so many arms of cells; the file of arrays has all."""


def view_pictures(views: Sequence[BiasView]) -> Iterator[Picture]:
    """Those that these views have something for."""
    central = [view for view in views if view.is_central]
    if central:
        yield Picture("learned_bias", partial(mean_views_figure, views))
    # Where all heads are alike, the first picture has them.
    if any(view.shape[0] > 1 for view in central):
        yield Picture("learned_bias_heads", partial(heads_figure, views))


def mean_views_figure(views: Sequence[BiasView]) -> Figure:
    """One block for each cell and arm: parts from top to bottom, layers from left to right, mean over heads."""
    return draw_blocks(_layer_blocks(views), LAYER_INCHES, most=MAX_BLOCKS)


def heads_figure(views: Sequence[BiasView]) -> Figure:
    """One block for each cell, arm and part: layers from top to bottom, heads from left to right."""
    return draw_blocks(_head_blocks(views), HEAD_INCHES, most=MAX_BLOCKS)


def one_view_figure(view: BiasView) -> Figure:
    """One map by itself: every head, after the mean over them."""
    tiles = [_tile("", view)] if len(view.map) == 1 else [_tile("mean over heads", view), *_head_tiles(view)]
    layer = "" if view.layer is None else f"layer {view.layer}, "
    place = f"token {view.query[0]},{view.query[1]}"
    title = f"{view.arm}: {cell_title(view.cell)}\n{layer}{PART_WORDS[view.part]}, {place}"
    return draw_blocks([TileBlock(title, [TileRow("", tiles, _unit(view))])], SINGLE_INCHES)


def _layer_blocks(all_views: Sequence[BiasView]) -> list[TileBlock]:
    blocks = []
    for title, views in _by_arm(all_views).items():
        rows = []
        for part, words in PART_WORDS.items():
            of_part = [view for view in views if view.part == part]
            if of_part:
                tiles = [_tile("" if view.layer is None else f"layer {view.layer}", view) for view in of_part]
                rows.append(TileRow(words, tiles, _unit(of_part[0])))
        blocks.append(TileBlock(title, rows))
    return blocks


def _head_blocks(all_views: Sequence[BiasView]) -> list[TileBlock]:
    blocks = []
    for title, views in _by_arm(all_views).items():
        for part, words in PART_WORDS.items():
            # A Gaussian that all heads share is in the other picture.
            rows = [
                TileRow(f"layer {view.layer}", _head_tiles(view))
                for view in views
                if view.part == part and len(view.map) > 1
            ]
            if rows:
                blocks.append(TileBlock(f"{title}\n{words}, each head", rows))
    return blocks


def _by_arm(views: Sequence[BiasView]) -> dict[str, list[BiasView]]:
    """Central views by the title of their block, in the order of the report."""
    arms: dict[str, list[BiasView]] = {}
    for view in views:
        if view.is_central:
            arms.setdefault(f"{view.arm}: {cell_title(view.cell)}", []).append(view)
    return arms


def _head_tiles(view: BiasView) -> list[Tile]:
    return [_tile(f"head {head}", view, head) for head in range(len(view.map))]


def _tile(title: str, view: BiasView, head: int | None = None) -> Tile:
    """The map of one head, or the mean over heads."""
    tile = Tile(title, view.map.mean(axis=0) if head is None else view.map[head], view.query)
    fit = view.fit(head)
    if fit is None:
        # Of Gaussians of their own in each head, the mean over heads is none, but their widths are known.
        is_mean = view.part == "gaussian" and head is None
        return tile._replace(
            remark=known_remark([each.sigma_x for each in view.fits if each.sigma_x] if is_mean else [])
        )
    if fit.sigma_x is None or fit.sigma_y is None:
        return tile._replace(remark=fit_remark(tile, None, None))
    if view.part == "gaussian":
        remark = known_remark([fit.sigma_x])
    else:
        verdict = f"in {fit.num_gaussian}/{fit.num_seeds} seeds" if fit.num_gaussian else NO_GAUSSIAN
        width = math.sqrt(fit.sigma_x * fit.sigma_y)
        remark = fit_remark(tile, fit.r_squared, width, verdict="" if fit.is_gaussian else verdict)
    return tile._replace(sigma=(fit.sigma_y, fit.sigma_x) if fit.is_gaussian else None, remark=remark)


def _unit(view: BiasView) -> Literal["logits", "cosine"]:
    return "cosine" if view.part == "absolute" else "logits"
