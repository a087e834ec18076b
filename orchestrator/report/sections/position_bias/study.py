"""A study of position biases as files that `python -m trainers.analyses.bias_study` wrote, as pictures."""

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import numpy.typing as npt

from orchestrator.report.content.position_bias import ViewPart
from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.position_bias.tiles import (
    HEAD_INCHES,
    LAYER_INCHES,
    PART_WORDS,
    Tile,
    TileBlock,
    TileRow,
    draw_blocks,
    fit_remark,
    known_remark,
)
from orchestrator.report.words.answers import NO_GAUSSIAN
from trainers.analyses.bias_maps import VIEW, VIEW_NAME
from trainers.analyses.intervention import Intervention
from trainers.analyses.study import BiasLook, BiasStudy, read_bias_study_maps
from trainers.atomic_file import replaced_file

Maps = Mapping[str, npt.NDArray[np.floating]]

_KINDS: tuple[Literal["png", "svg"], ...] = ("png", "svg")
_SIGMA = re.compile(r"sigma/(?P<layer>\d+)(?:_head(?P<head>\d+))?")


def draw_bias_study(folder: Path, study: BiasStudy) -> list[Path]:
    """Two pictures for each intervention, as PNG and SVG: layers (mean over heads), and every head; gives the files.

    Pictures that an earlier study left there, of other interventions, are removed: the maps behind them are gone.
    """
    files: list[Path] = []
    maps = read_bias_study_maps(folder)
    for look in study.looks:
        start = f"{look.intervention}/"
        own = {name.removeprefix(start): values for name, values in maps.items() if name.startswith(start)}
        title = f"{study.model}, {look.intervention}"
        layers = layer_rows(own, look)
        pictures = {
            "": ([TileBlock(title, layers)] if layers else [], LAYER_INCHES),
            "_heads": (head_blocks(own, look, title), HEAD_INCHES),
        }
        for ending, (blocks, inches) in pictures.items():
            if not blocks:
                continue
            figure = draw_blocks(blocks, inches)
            for kind in _KINDS:
                files.append(_picture(folder, look.intervention, ending, kind))
                with replaced_file(files[-1]) as file:
                    file.write(render(figure, kind))
    # By their whole names: a user's own files stay, whatever they are called.
    ours = itertools.product(get_args(Intervention), ("", "_heads"), _KINDS)
    for stale in {_picture(folder, *name) for name in ours}.difference(files):
        stale.unlink(missing_ok=True)
    return files


def _picture(folder: Path, intervention: str, ending: str, kind: str) -> Path:
    return folder / f"learned_bias_{intervention}{ending}.{kind}"


class _View(NamedTuple):
    """What one query token sees; sorts as a reader wants it."""

    part: int
    layer: int
    """-1: the embedding is the whole model's."""
    query: tuple[int, int]
    map: npt.NDArray[np.float64]
    """[h, H, W]."""

    @property
    def words(self) -> str:
        """Of the part."""
        return list(PART_WORDS.values())[self.part]

    @property
    def name(self) -> ViewPart:
        """Of the part."""
        return list(PART_WORDS)[self.part]

    @property
    def is_central(self) -> bool:
        """Whether the query is the middle token; of an even grid the upper left of the four."""
        return self.query == ((self.map.shape[1] - 1) // 2, (self.map.shape[2] - 1) // 2)


def layer_rows(maps: Maps, look: BiasLook) -> list[TileRow]:
    """One row for each part and query, mean over heads, layers from left to right; then absolute embeddings."""
    views = list(_views(maps))
    has_places = not all(view.is_central for view in views)
    rows: dict[str, list[Tile]] = {}
    absolute: list[Tile] = []
    for view in views:
        place = f"from {view.query[0]},{view.query[1]}"
        if view.layer < 0:
            absolute.append(_tile(place, view, look))
        else:
            label = f"{view.words}\n{place}" if has_places else view.words
            rows.setdefault(label, []).append(_tile(f"layer {view.layer}", view, look))
    found = [TileRow(label, tiles) for label, tiles in rows.items()]
    return [*found, *([TileRow(PART_WORDS["absolute"], absolute, "cosine")] if absolute else [])]


def head_blocks(maps: Maps, look: BiasLook, title: str) -> list[TileBlock]:
    """One block for each part: layers from top to bottom, heads from left to right, as the middle token sees them."""
    rows: dict[str, list[TileRow]] = {}
    for view in _views(maps):
        # A Gaussian that all heads share is in the other picture.
        if len(view.map) > 1 and view.is_central:
            tiles = [_tile(f"head {head}", view, look, head) for head in range(len(view.map))]
            rows.setdefault(view.words, []).append(TileRow(f"layer {view.layer}", tiles))
    return [TileBlock(f"{title}\n{words}, each head", of_part) for words, of_part in rows.items()]


def _views(maps: Maps) -> Iterator[_View]:
    """Parts in their own order, then layers, then places."""
    found = []
    for key, values in maps.items():
        match = VIEW_NAME.fullmatch(key.removeprefix(VIEW)) if key.startswith(VIEW) else None
        if match:
            part = list(PART_WORDS).index(cast("ViewPart", match["part"] or "absolute"))
            layer = -1 if match["layer"] is None else int(match["layer"])
            map_ = np.asarray(values, dtype=np.float64).reshape(-1, *values.shape[-2:])
            found.append(_View(part, layer, (int(match["row"]), int(match["column"])), map_))
    yield from sorted(found, key=lambda view: view[:3])


def _tile(title: str, view: _View, look: BiasLook, head: int | None = None) -> Tile:
    """The map of one head, or the mean over heads."""
    tile = Tile(title, view.map.mean(axis=0) if head is None else view.map[head % len(view.map)], view.query)
    if view.name == "gaussian":
        return _added(tile, look, view.layer, head)
    layer = None if view.layer < 0 else view.layer
    fit = next((fit for fit in look.fits if (fit.part, fit.layer, fit.head) == (view.name, layer, head)), None)
    if fit is None:
        return tile
    sigma = (fit.sigma_y, fit.sigma_x) if fit.sigma_x is not None and fit.sigma_y is not None else None
    return tile._replace(
        sigma=sigma if fit.is_gaussian else None,
        remark=fit_remark(tile, fit.r_squared, fit.sigma, verdict="" if fit.is_gaussian else NO_GAUSSIAN),
    )


def _added(tile: Tile, look: BiasLook, layer: int, head: int | None) -> Tile:
    """A Gaussian has its own widths; the mean over different ones is none, and a placebo lies around no token."""
    by_head = {
        None if match["head"] is None else int(match["head"]): value
        for name, value in look.gaussians.items()
        if (match := _SIGMA.fullmatch(name)) and int(match["layer"]) == layer
    }
    sigmas = [by_head[head]] if head in by_head else list(by_head.values())
    # Of one that is switched off, nothing can be seen.
    is_around = look.attention_bias != "permuted_gaussian" and len(sigmas) == 1 and np.ptp(tile.map) > 0
    return tile._replace(remark=known_remark(sigmas), sigma=(sigmas[0], sigmas[0]) if is_around else None)
