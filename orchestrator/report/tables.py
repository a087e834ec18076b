"""The report's tables as plain strings, once, for every format that shows text."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from orchestrator.report.content import BiasSeries, PositionFit, Report
from orchestrator.report.numbers import (
    MISSING,
    duration,
    fixed,
    level_unit,
    mean_sd,
    p_text,
    percent,
    signed,
)
from orchestrator.report.wording import cell_count, metric_words
from orchestrator.statistics.comparison import SUGGESTIVE_MEANS, PooledEffect, Verdict, simultaneous_means
from orchestrator.statistics.discordant import DiscordantImages

POOLED_OVER = "Pooled over cells"
"""How tables and pictures call one effect over all cells."""
SPEC_FILE = "spec.json"
"""The spec's name in a report's folder."""


class Table(NamedTuple):
    """A titled grid of text."""

    title: str
    """What it shows."""
    columns: tuple[str, ...]
    """Headings."""
    num_text_columns: int
    """So many columns from the left hold words; the others hold numbers and align right."""
    rows: Sequence[tuple[str, ...]]
    """One tuple per row, as long as `columns`."""


def comparison_table(report: Report) -> Table:
    """Effect, interval, p and verdict for every cell and treatment."""
    level = _in_unit(level_unit(report.unit))
    return Table(
        title=f"{metric_words(report.metric)}: treatment - {report.control}, over pairs of the same seed",
        columns=(
            "model",
            "data set",
            "treatment",
            "verdict",
            "pairs",
            f"{report.control}{level}",
            f"treatment{level}",
            f"effect{_in_unit(report.unit)}",
            f"{percent(report.confidence)} CI",
            "simultaneous",
            "p",
            "p (Holm)",
            *(("only one right",) if any(report.discordant) else ()),
        ),
        num_text_columns=4,
        rows=[_comparison_row(report, index) for index in range(len(report.comparisons))],
    )


def footnotes(report: Report) -> tuple[str, ...]:
    """What marks in the table of comparisons mean, as far as there are any."""
    notes = [_simultaneous_note(report)]
    if any(comparison.verdict is Verdict.SUGGESTIVE for comparison in report.comparisons):
        notes.append(f"{SUGGESTIVE_MEANS}.")
    if any(report.discordant):
        notes.append(
            "only one right: images that only the treatment : only the control got right, counted over all pairs. The "
            "pairs share their test images, so these counts describe and have no p."
        )
    return tuple(notes)


def _simultaneous_note(report: Report) -> str:
    note = simultaneous_means(len(report.comparisons))
    unbounded = [each for each in report.comparisons if each.simultaneous_low is each.simultaneous_high is None]
    if any(comparison.num_pairs for comparison in unbounded):
        return f"{note}; {MISSING}: so few pairs bound nothing there."
    return f"{note}."


def _discordant_text(found: DiscordantImages | None) -> str:
    return MISSING if found is None else f"{found.only_treatment} : {found.only_control}"


def _comparison_row(report: Report, index: int) -> tuple[str, ...]:
    comparison, decimals = report.comparisons[index], report.decimals
    count = str(comparison.num_pairs)
    if comparison.num_pairs != comparison.num_planned_pairs:
        count += f" of {comparison.num_planned_pairs}"
    return (
        comparison.cell.model,
        comparison.cell.dataset,
        comparison.treatment,
        comparison.verdict_text(is_over=report.is_over),
        count,
        mean_sd(comparison.control_mean, comparison.control_sd, decimals),
        mean_sd(comparison.treatment_mean, comparison.treatment_sd, decimals),
        signed(comparison.effect, decimals),
        interval(comparison.ci_low, comparison.ci_high, decimals),
        comparison.simultaneous_text(lambda end: fixed(end, decimals)) or MISSING,
        p_text(comparison.p_value),
        p_text(comparison.p_holm),
        *((_discordant_text(report.discordant[index]),) if any(report.discordant) else ()),
    )


def pooled_table(report: Report) -> Table:
    """One effect per treatment over all cells; the random-effects mean beside it where seeds differ."""
    has_random_effects = any(effect.random_effects for effect in report.pooled)
    return Table(
        title=f"{POOLED_OVER} (mean over cells within each seed, then t over seeds; outside Holm's family)",
        columns=(
            "treatment",
            "cells",
            "seeds",
            f"effect{_in_unit(report.unit)}",
            f"{percent(report.confidence)} CI",
            "sd between cells",
            *(("random effects (all pairs, cells taken as independent)",) if has_random_effects else ()),
        ),
        num_text_columns=1,
        rows=[
            (
                effect.treatment,
                cell_count(effect, len(report.cells)),
                str(effect.num_seeds),
                signed(effect.effect, report.decimals),
                interval(effect.ci_low, effect.ci_high, report.decimals),
                fixed(effect.between_cells_sd, report.decimals),
                *((random_effects_text(effect, report.decimals),) if has_random_effects else ()),
            )
            for effect in report.pooled
        ],
    )


def random_effects_text(effect: PooledEffect, decimals: int) -> str:
    """`+1.2 [0.3, 2.1]`, or a dash where seeds do not differ."""
    found = effect.random_effects
    if found is None:
        return MISSING
    return f"{signed(found.effect, decimals)} {interval(found.ci_low, found.ci_high, decimals)}"


def pairing_table(report: Report) -> Table:
    """How alike the two trials of a pair are, and how many unpaired runs would have told as much."""
    return Table(
        title="What pairing gained (estimates, rough with few pairs)",
        columns=(
            "model",
            "data set",
            "treatment",
            "gained",
            "pairs",
            "correlation within pairs",
            "unpaired runs, same standard error",
            f"of each arm, same {percent(report.confidence)} CI",
        ),
        num_text_columns=4,
        rows=[
            (
                comparison.cell.model,
                comparison.cell.dataset,
                comparison.treatment,
                "yes" if comparison.pairing.is_gain else "nothing",
                str(comparison.num_pairs),
                fixed(comparison.pairing.correlation, 2),
                f"{comparison.pairing.unpaired_ratio:.1f} times",
                str(comparison.pairing.unpaired_runs),
            )
            for comparison in report.comparisons
            if comparison.pairing is not None
        ],
    )


def pair_table(report: Report) -> Table:
    """Every planned pair, complete or not."""
    level = _in_unit(level_unit(report.unit))
    return Table(
        title="Every pair",
        columns=(
            "model",
            "data set",
            "treatment",
            "note",
            "seed",
            f"{report.control}{level}",
            f"treatment{level}",
            f"effect{_in_unit(report.unit)}",
        ),
        num_text_columns=4,
        rows=[
            (
                comparison.cell.model,
                comparison.cell.dataset,
                comparison.treatment,
                _one_line(pair.missing_because or ""),
                str(pair.seed),
                fixed(pair.control, report.decimals),
                fixed(pair.treatment, report.decimals),
                signed(pair.effect, report.decimals),
            )
            for comparison in report.comparisons
            for pair in comparison.pairs
        ],
    )


def bias_table(bias: Sequence[BiasSeries]) -> Table:
    """Learned sigma and amplitude of every layer: initial → final, mean ± sd over seeds."""
    series = sorted(bias, key=_place)
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
                _change(by_quantity.get("amplitude")),
            )
        )
    return Table(
        title="Learned attention bias by layer: initial → last epoch, mean ± sd over seeds",
        columns=("model", "data set", "arm", "layer", "seeds", "sigma (tokens)", "A (height A²)"),
        num_text_columns=4,
        rows=rows,
    )


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


PART_WORDS = {"own": "its own", "sum": "own + Gaussian", "absolute": "absolute"}
"""What was fitted, in a table."""


def position_table(position: Sequence[PositionFit]) -> Table:
    """Does a layer's position embedding look like a Gaussian? One row per arm, part and layer."""
    return Table(
        title="Gaussian fitted to each layer's position embedding (mean over heads), mean ± sd over seeds",
        columns=("model", "data set", "arm", "embedding", "layer", "Gaussian in", "R²", "sigma (tokens)", "height"),
        num_text_columns=5,
        rows=[
            (
                fit.cell.model,
                fit.cell.dataset,
                fit.arm,
                PART_WORDS[fit.part],
                "all" if fit.layer is None else str(fit.layer),
                _gaussian_count(fit),
                mean_sd(fit.r_squared_mean, fit.r_squared_sd, 2),
                # The width of what is not a Gaussian may be anything.
                mean_sd(fit.sigma_mean, fit.sigma_sd, 2) if fit.num_gaussian == fit.num_seeds else MISSING,
                signed(fit.height_mean, 2) if fit.num_gaussian == fit.num_seeds else MISSING,
            )
            for fit in position
        ],
    )


def _gaussian_count(fit: PositionFit) -> str:
    if fit.num_not_fitted == fit.num_seeds:
        return "nothing learned"
    return f"{fit.num_gaussian} of {fit.num_seeds}"


def exclusion_table(report: Report) -> Table:
    """Planned trials that enter no comparison, and why."""
    return Table(
        title="Exclusions",
        columns=("model", "data set", "arm", "status", "reason", "seed"),
        num_text_columns=5,
        rows=[
            (
                exclusion.cell.model,
                exclusion.cell.dataset,
                exclusion.arm,
                exclusion.status.value,
                _one_line(exclusion.reason),
                str(exclusion.seed),
            )
            for exclusion in report.exclusions
        ],
    )


def settings_table(report: Report) -> Table:
    """Hyper-parameters of the confirm trials."""
    rows = []
    every = {place for setting in report.settings for places in setting.values.values() for place in places}
    for setting in report.settings:
        for value, places in setting.values.items():
            where = "all" if len(places) == len(every) else _places_text(places, report)
            rows.append((setting.path, value, where))
    return Table(title="Hyper-parameters", columns=("field", "value", "in"), num_text_columns=3, rows=rows)


def _places_text(places: Sequence[str], report: Report) -> str:
    """Whole arms, models or data sets are named as such; anything else cell by cell."""
    cells = {cell.key: cell for cell in report.cells}
    named = [place.rpartition("/") for place in places]
    for axis in (lambda cell, arm: arm, lambda cell, arm: cells[cell].model, lambda cell, arm: cells[cell].dataset):
        every = [(cell, arm.name) for cell in cells for arm in report.arms]
        chosen = dict.fromkeys(axis(cell, arm) for cell, _, arm in named)
        if sum(axis(cell, arm) in chosen for cell, arm in every) == len(places):
            return ", ".join(chosen)
    return ", ".join(places)


def _stand_ins(num_reused: int) -> str:
    return f"{num_reused} of them stand in from earlier, identical trials"


def provenance_table(report: Report) -> Table:
    """Which code, data and machines made the numbers."""
    experiment, provenance = report.experiment, report.provenance
    rows = [
        ("experiment", f"{experiment.name} ({experiment.id}), {experiment.status.value}"),
        ("digest", provenance.digest),
        ("submitted", f"{experiment.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("ended", f"{experiment.ended_at:%Y-%m-%d %H:%M:%S} UTC" if experiment.ended_at else MISSING),
        ("to ask again", command(report)),
        ("seeds", ", ".join(map(str, report.seeds))),
        ("trials", f"{provenance.num_trials} planned, {provenance.num_succeeded} succeeded"),
        *([("reused", _stand_ins(provenance.num_reused))] if provenance.num_reused else []),
        ("training time", duration(provenance.training_seconds)),
        *(("data", line) for line in data_lines(report)),
        *((key.replace("_", " "), ", ".join(values)) for key, values in provenance.facts.items()),
    ]
    return Table(title="Provenance", columns=("fact", "value"), num_text_columns=2, rows=rows)


def data_lines(report: Report) -> list[str]:
    """What was found of each data set that lies somewhere."""
    return [f"{name}: {line}" for name, line in report.experiment.data_found.items()]


def command(report: Report) -> str:
    """What asks the same question again, beside the files of the report."""
    return f"sigmalab run {SPEC_FILE}"


def without_constant_columns(table: Table) -> Table:
    """Move model and data set into the title where they are the same in every row: the rest fits a screen."""
    constant = [
        column
        for column in range(table.num_text_columns)
        if table.columns[column] in ("model", "data set") and len({row[column] for row in table.rows}) == 1
    ]
    if not constant:
        return table
    kept = [column for column in range(len(table.columns)) if column not in constant]
    where = ", ".join(table.rows[0][column] for column in constant)
    return Table(
        title=f"{table.title} [{where}]",
        columns=tuple(table.columns[column] for column in kept),
        num_text_columns=table.num_text_columns - len(constant),
        rows=[tuple(row[column] for column in kept) for row in table.rows],
    )


def interval(low: float | None, high: float | None, decimals: int) -> str:
    """`[5.1, 9.3]`."""
    return MISSING if low is None or high is None else f"[{fixed(low, decimals)}, {fixed(high, decimals)}]"


def _in_unit(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _one_line(text: str) -> str:
    """An error's last line says what it was; a whole traceback does not fit a table."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
