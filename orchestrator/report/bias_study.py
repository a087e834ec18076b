"""A study of position biases as files that `python -m trainers.analyses.bias_study` wrote: read, and drawn."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.report.bias_map_figure import BiasPanel, BiasRow, bias_map_figure
from orchestrator.report.bias_view_figure import PART_WORDS
from orchestrator.report.figures import render
from trainers.analyses.study import BIAS_MAPS, BIAS_RESULT, BiasLook, BiasStudy
from trainers.atomic_file import replaced_file
from trainers.result import LayerFit

Maps = Mapping[str, npt.NDArray[np.floating]]

_WORDS: dict[str, str] = {str(part): words for part, words in PART_WORDS.items()}
_KEY = re.compile(r"query/(?P<part>own|gaussian|sum)/(?P<layer>\d+)/(?P<row>\d+)_(?P<column>\d+)")
_ABSOLUTE = re.compile(r"query/absolute/(?P<row>\d+)_(?P<column>\d+)")


def read_bias_study(folder: Path) -> BiasStudy:
    """What the study found."""
    return BiasStudy.model_validate_json((folder / BIAS_RESULT).read_bytes())


def draw_bias_study(folder: Path, study: BiasStudy) -> list[Path]:
    """Two pictures for each intervention, as PNG and SVG: layers (mean over heads), and every head; gives the files."""
    files = []
    with np.load(folder / BIAS_MAPS) as arrays:
        maps = {name: arrays[name] for name in arrays.files}
    for look in study.looks:
        start = f"{look.intervention}/"
        own = {name.removeprefix(start): values for name, values in maps.items() if name.startswith(start)}
        title = f"{study.model}, {look.intervention}\nposition bias as a query token (+) sees it"
        pictures = {"": (layer_rows(own, look), title), "_heads": (head_rows(own, look), f"{title}, head by head")}
        for ending, (rows, text) in pictures.items():
            if not rows:
                continue
            figure = bias_map_figure(text, rows)
            for kind in ("png", "svg"):
                files.append(folder / f"learned_bias_{look.intervention}{ending}.{kind}")
                with replaced_file(files[-1]) as file:
                    file.write(render(figure, kind))
    return files


def layer_rows(maps: Maps, look: BiasLook) -> list[BiasRow]:
    """One row for each part and query place, mean over heads, layers from left to right; then absolute embeddings."""
    fits: dict[tuple[str, int | None], LayerFit] = {(fit.part, fit.layer): fit for fit in look.fits if fit.head is None}
    rows: dict[tuple[str, str], list[BiasPanel]] = {}
    for key, values in sorted(maps.items(), key=lambda item: _order(item[0])):
        match = _KEY.fullmatch(key)
        if match is None:
            continue
        part, layer, query = match["part"], int(match["layer"]), (int(match["row"]), int(match["column"]))
        panel = _panel(f"layer {layer}", values.mean(axis=0), query, fits.get((part, layer)))
        if part == "gaussian":
            panel = _known(panel, look.gaussians, match["layer"])
        rows.setdefault((part, _place(maps, match["layer"], query)), []).append(panel)
    found = [BiasRow(f"{_WORDS[part]}\n{place}".strip(), panels) for (part, place), panels in rows.items()]
    absolute = [
        _panel(
            f"from {match['row']},{match['column']}",
            values,
            (int(match["row"]), int(match["column"])),
            fits.get(("absolute", None)),
        )
        for key, values in sorted(maps.items(), key=lambda item: _order(item[0]))
        if (match := _ABSOLUTE.fullmatch(key))
    ]
    return [*found, *([BiasRow("absolute\n(cosine)", absolute)] if absolute else [])]


def head_rows(maps: Maps, look: BiasLook) -> list[BiasRow]:
    """One row for each layer, its heads from left to right, as the middle token sees own embedding and Gaussian."""
    fits: dict[tuple[str, int | None, int | None], LayerFit] = {
        (fit.part, fit.layer, fit.head): fit for fit in look.fits
    }
    rows = []
    for key, values in sorted(maps.items(), key=lambda item: _order(item[0])):
        match = _KEY.fullmatch(key)
        if match is None or len(values) == 1 or match["part"] == "gaussian":
            continue
        layer, query = int(match["layer"]), (int(match["row"]), int(match["column"]))
        if _place(maps, match["layer"], query):
            continue
        panels = [
            _panel(f"head {head}", map_, query, fits.get((match["part"], layer, head)))
            for head, map_ in enumerate(values)
        ]
        rows.append(BiasRow(f"layer {layer}\n{_WORDS[match['part']]}", panels))
    return rows


def _order(key: str) -> tuple[int, ...]:
    """Parts in their own order, then places, then layers; the middle token's view (the first one stored) first."""
    match = _KEY.fullmatch(key)
    if match is None:
        absolute = _ABSOLUTE.fullmatch(key)
        return (9, *(map(int, absolute.groups()) if absolute else ()))
    return (list(_WORDS).index(match["part"]), int(match["layer"]), int(match["row"]), int(match["column"]))


def _place(maps: Maps, layer: str, query: tuple[int, int]) -> str:
    """Empty for the middle token of the layer's grid, else where the query is."""
    height, width = next(
        values.shape[-2:] for key, values in maps.items() if (m := _KEY.fullmatch(key)) and m["layer"] == layer
    )
    return "" if query == ((height - 1) // 2, (width - 1) // 2) else f"from {query[0]},{query[1]}"


def _panel(title: str, values: npt.NDArray[np.floating], query: tuple[int, int], fit: LayerFit | None) -> BiasPanel:
    map_ = np.asarray(values, dtype=np.float64)
    if fit is None or fit.sigma_x is None or fit.sigma_y is None or fit.r_squared is None:
        return BiasPanel(title, map_, query, remark="nothing learned" if fit and fit.spread == 0 else "")
    return BiasPanel(
        title,
        map_,
        query,
        (fit.sigma_y, fit.sigma_x) if fit.is_gaussian else None,
        f"R$^2$ {fit.r_squared:.2f}" + (f", $\\sigma$ {fit.sigma:.1f}" if fit.is_gaussian else ", no bell"),
    )


def _known(panel: BiasPanel, gaussians: Mapping[str, float], layer: str) -> BiasPanel:
    """A Gaussian's own sigma; of several heads, the range."""
    sigmas = [value for name, value in gaussians.items() if name.partition("_head")[0] == f"sigma/{layer}"]
    if not sigmas:
        return panel
    text = f"{min(sigmas):.2f}" if len(sigmas) == 1 else f"{min(sigmas):.1f} to {max(sigmas):.1f}"
    return panel._replace(remark=f"$\\sigma$ {text}")
