"""Sigma and A of every layer, as tables of text."""

from collections.abc import Sequence
from itertools import groupby

from orchestrator.report.content.curves import BiasSeries
from orchestrator.report.words.numbers import MISSING, mean_sd
from orchestrator.report.words.table import Table


def bias_table(bias: Sequence[BiasSeries]) -> Table:
    """Learned sigma and amplitude of every layer: initial → final, mean ± sd over seeds.

    Where the tokens of a cell's layers differ in size, as those of a hierarchical model's stages do, sigma stands in
    pixels too.
    """
    series = sorted(bias, key=_place)
    has_stages = any(len(sides) > 1 for sides in _token_sides(bias).values())
    rows = []
    for _, same_place in groupby(series, key=_place):
        by_quantity = {entry.quantity: entry for entry in same_place}
        first = next(iter(by_quantity.values()))
        rows.append(
            (
                first.cell.model,
                first.cell.dataset,
                first.arm,
                layer_name(first),
                str(len(first.seeds)),
                _change(by_quantity.get("sigma")),
                *((_in_pixels(by_quantity.get("sigma")),) if has_stages else ()),
                _change(by_quantity.get("amplitude")),
            )
        )
    return Table(
        title="Learned attention bias by layer: initial → last epoch, mean ± sd over seeds",
        columns=(
            "model",
            "data set",
            "arm",
            "layer",
            "seeds",
            "sigma (tokens)",
            *(("sigma (px)",) if has_stages else ()),
            "A (height A²)",
        ),
        num_text_columns=4,
        rows=rows,
    )


def _token_sides(bias: Sequence[BiasSeries]) -> dict[str, set[int]]:
    """Cell key -> every known side of its layers' tokens in pixels."""
    sides: dict[str, set[int]] = {}
    for each in bias:
        if each.token_px is not None:
            sides.setdefault(each.cell.key, set()).add(each.token_px)
    return sides


def _in_pixels(series: BiasSeries | None) -> str:
    """The same widths, by the size of the layer's tokens."""
    if series is None or series.token_px is None:
        return MISSING
    side = series.token_px
    if not series.is_learned:
        return f"{series.initial * side:.1f}"
    final_sd = None if series.final_sd is None else series.final_sd * side
    return f"{series.initial * side:.1f} → {mean_sd(series.final_mean * side, final_sd, 1)}"


def _place(series: BiasSeries) -> tuple[str, str, int, int]:
    return series.cell.key, series.arm, series.layer, -1 if series.head is None else series.head


def layer_name(series: BiasSeries) -> str:
    """`2`, or `2, head 1`."""
    return str(series.layer) if series.head is None else f"{series.layer}, head {series.head}"


def _change(series: BiasSeries | None) -> str:
    if series is None:
        return MISSING
    if not series.is_learned:
        return f"{series.initial:.2f} (fixed)"
    return f"{series.initial:.2f} → {mean_sd(series.final_mean, series.final_sd, 2)}"


def sigma_by_dataset_table(bias: Sequence[BiasSeries]) -> Table:
    """Final sigma of every layer, data sets side by side; without rows if there is only one data set."""
    sigmas = [series for series in bias if series.quantity == "sigma" and series.is_learned]
    datasets = list(dict.fromkeys(series.cell.dataset for series in sigmas))
    places: dict[tuple[str, str, int, int], dict[str, BiasSeries]] = {}
    for series in sorted(sigmas, key=_place):
        head = -1 if series.head is None else series.head
        places.setdefault((series.cell.model, series.arm, series.layer, head), {})[series.cell.dataset] = series
    rows = [
        (model, arm, layer_name(next(iter(found.values()))), *(_final(found.get(dataset)) for dataset in datasets))
        for (model, arm, _, _), found in sorted(places.items())
    ]
    return Table(
        title="Sigma after the last epoch (tokens) by layer and data set, mean ± sd over seeds",
        columns=("model", "arm", "layer", *datasets),
        num_text_columns=3,
        rows=rows if len(datasets) > 1 else [],
    )


def _final(series: BiasSeries | None) -> str:
    return MISSING if series is None else mean_sd(series.final_mean, series.final_sd, 2)
