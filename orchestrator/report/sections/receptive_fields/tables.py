"""The report's tables of receptive fields, as plain strings."""

from collections.abc import Iterator, Sequence

from orchestrator.report.content.receptive_fields import (
    MOMENT_WORDS,
    PREFIXES,
    UNTRAINED_WORDS,
    FieldLevel,
    MeanField,
    ReceptiveFields,
)
from orchestrator.report.content.report import Report
from orchestrator.report.sections.receptive_fields.captions import NORM_WORDS, SCORED, r_squared_text
from orchestrator.report.sections.receptive_fields.choice import in_report
from orchestrator.report.words.answers import NO_GAUSSIAN
from orchestrator.report.words.numbers import (
    MISSING,
    decimals_for,
    fixed,
    interval,
    level_unit,
    mean_sd,
    percent,
    signed,
)
from orchestrator.report.words.table import Table
from orchestrator.report.words.unreadable import first_named, unreadable_notes
from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.p_text import p_text
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

WORDS = {
    "rms_radius_tokens": "rms radius",
    "sigma_tokens": "sigma of the fit",
    "r_squared": "R² of each seed's fit",
    "area_50_fraction": "area of half the mass",
    "mass_within_2.5": "mass within 2.5 tokens",
}
"""What tables call the compared metrics."""


def field_comparison_table(report: Report) -> Table:
    """Difference from the control in every compared metric, before and after training; no rows where nobody asked."""
    fields = report.receptive_fields
    comparisons = fields.comparisons if fields else ()
    is_trained = fields is not None and fields.is_trained
    count = f"the {len(comparisons)} p are" if len(comparisons) > 1 else "p is"
    return Table(
        title=f"Receptive fields {_at(fields)}: treatment - {report.control}, over pairs of the same seed "
        f"(descriptive, outside Holm's family: {count} not adjusted){_after_training(is_trained=is_trained)}",
        columns=(
            "model",
            "data set",
            "metric",
            "treatment",
            "looked at",
            "pairs",
            report.control,
            "treated",
            "effect",
            f"{percent(report.confidence)} CI",
            "p",
        ),
        num_text_columns=5,
        rows=[
            _comparison_row(comparison, _decimals(comparison, comparisons), is_trained=is_trained)
            for comparison in sorted(comparisons, key=lambda each: report.cells.index(each.cell))
        ],
    )


def _decimals(comparison: Comparison, comparisons: Sequence[Comparison]) -> int:
    """One number of digits per metric, so that before and after can be compared."""
    name = _name(comparison)
    return max(1, min(3, decimals_for(other for other in comparisons if _name(other) == name)))


def _name(comparison: Comparison) -> str:
    return comparison.metric.rpartition("/")[2]


def _comparison_row(comparison: Comparison, decimals: int, *, is_trained: bool) -> tuple[str, ...]:
    is_initial = comparison.metric.startswith(f"{PREFIXES['initial']}/")
    looked_at = MOMENT_WORDS["initial" if is_initial else "final"] if is_trained else UNTRAINED_WORDS
    count = str(comparison.num_pairs)
    if comparison.num_pairs != comparison.num_planned_pairs:
        count += f" of {comparison.num_planned_pairs}"
    return (
        comparison.cell.model,
        comparison.cell.dataset,
        _in_unit(_name(comparison)),
        comparison.treatment,
        looked_at,
        count,
        mean_sd(comparison.control_mean, comparison.control_sd, decimals),
        mean_sd(comparison.treatment_mean, comparison.treatment_sd, decimals),
        signed(comparison.effect, decimals),
        interval(comparison.ci_low, comparison.ci_high, decimals),
        p_text(comparison.p_value, level=comparison.level),
    )


def _in_unit(name: str) -> str:
    unit = level_unit(metric_named(f"receptive_field/{name}").unit)
    return f"{WORDS[name]} ({unit})" if unit else WORDS[name]


def field_level_table(fields: ReceptiveFields | None) -> Table:
    """A line per arm: how wide and how Gaussian before and after training."""
    levels = fields.levels if fields else ()
    is_trained = fields is not None and fields.is_trained
    change = "before training → after, " if is_trained else ""
    by_place: dict[tuple[str, str], dict[str, FieldLevel]] = {}
    for level in levels:
        by_place.setdefault((level.cell.key, level.arm), {})[level.metric] = level
    rows = []
    for found in by_place.values():
        first = next(iter(found.values()))
        changes = [_change(found.get(name)) for name in ("rms_radius_tokens", "sigma_tokens", "r_squared")]
        rows.append((first.cell.model, first.cell.dataset, first.arm, str(first.num_seeds), *changes))
    return Table(
        title=f"Receptive fields {_at(fields)}: {change}mean ± sd over seeds{_after_training(is_trained=is_trained)}",
        columns=(
            "model",
            "data set",
            "arm",
            "seeds",
            "rms radius (tokens)",
            "sigma of the fit (tokens)",
            WORDS["r_squared"],
        ),
        num_text_columns=3,
        rows=rows,
    )


def _at(fields: ReceptiveFields | None) -> str:
    return NORM_WORDS[fields.norm if fields else "before"]


def _after_training(*, is_trained: bool) -> str:
    """What tables mean by it; empty where nothing was trained."""
    return f"; after training: {SCORED}" if is_trained else ""


def _change(level: FieldLevel | None) -> str:
    if level is None:
        return MISSING
    final = mean_sd(level.final_mean, level.final_sd, 2)
    return final if level.initial_mean is None else f"{fixed(level.initial_mean, 2)} → {final}"


def mean_field_table(fields: ReceptiveFields | None) -> Table:
    """The Gaussian through the mean maps that the report's figure shows: a lattice has hundreds."""
    means = fields.means if fields else ()
    # Of all, shown or not: a table of one token out of many has to say which.
    has_targets = len({mean.target for mean in means}) > 1
    return Table(
        title=f"Gaussian through the mean map of each arm {_at(fields)} (widths along a row x a column, in tokens)"
        f"{_after_training(is_trained=any(mean.is_trained for mean in means))}",
        columns=(
            "model",
            "data set",
            "arm",
            "looked at",
            *(("token",) if has_targets else ()),
            "remark",
            "seeds",
            "sigma",
            "R² of the mean map",
            "1 - var(residual)/var(map)",
            "rms radius",
        ),
        num_text_columns=6 if has_targets else 5,
        rows=[
            (
                mean.cell.model,
                mean.cell.dataset,
                mean.arm,
                mean.moment_words,
                *((f"{mean.target[0]},{mean.target[1]}",) if has_targets else ()),
                _short_remark(mean),
                str(len(mean.seeds)),
                *_fit_texts(mean),
            )
            for mean in _shown(fields)
        ],
    )


def _shown(fields: ReceptiveFields | None) -> list[MeanField]:
    """Mean maps of the tokens in the report's figure; only these are asked for what they measure, which takes time."""
    means = fields.means if fields else ()
    places = set(in_report(means).places)
    return [mean for mean in means if (mean.cell, mean.beside) in places]


def _short_remark(mean: MeanField) -> str:
    """What is the matter, without what follows from it, which a note tells once for all rows."""
    if mean.metrics is not None and not mean.metrics.fit_px.is_gaussian:
        return NO_GAUSSIAN
    return mean.remark if mean.metrics is None else mean.remark.partition(":")[0]


def _fit_texts(mean: MeanField) -> tuple[str, str, str, str]:
    if mean.metrics is None:
        return MISSING, MISSING, MISSING, MISSING
    sigma = f"{mean.metrics.sigma_x_tokens:.2f} x {mean.metrics.sigma_y_tokens:.2f}"
    fit = mean.metrics.fit_px
    return sigma, r_squared_text(fit), fixed(fit.explained_variance, 2), fixed(mean.metrics.rms_radius_tokens, 2)


def field_notes(fields: ReceptiveFields | None) -> tuple[str, ...]:
    """Which widths describe little, and what is in no mean map, and why; nothing is dropped in silence."""
    if fields is None:
        return ()
    return (
        *_warned(fields),
        *fields.not_compared,
        *_not_gaussian(fields),
        *unreadable_notes(fields.unreadable, what="Receptive fields"),
    )


def left_out_notes(fields: ReceptiveFields | None) -> tuple[str, ...]:
    """How many rows `mean_field_table` does not have, and where they are."""
    means = fields.means if fields else ()
    num_shown = len(_shown(fields))
    if num_shown == len(means):
        return ()
    note = (
        f"The table of mean maps has the tokens of the figure, {num_shown} of {len(means)} rows. "
        f"{in_report(means).left_out} What all of them measure: report.json, and over HTTP `/receptive-fields` of "
        "the experiment."
    )
    return (note,)


def remark_notes(fields: ReceptiveFields | None) -> tuple[str, ...]:
    """What the remarks of `mean_field_table` mean, as far as it has any."""
    means = _shown(fields)
    notes = {f'"{_short_remark(mean)}": {mean.remark.partition(": ")[2]}' for mean in means if _is_explained(mean)}
    if any(_short_remark(mean) == NO_GAUSSIAN for mean in means):
        notes.add(f'"{NO_GAUSSIAN}": R² of the mean map below {GOOD_R_SQUARED}, the widths describe little')
    return (f"Remarks on mean maps: {'; '.join(sorted(notes))}.",) if notes else ()


def _is_explained(mean: MeanField) -> bool:
    return mean.metrics is not None and mean.metrics.fit_px.is_gaussian and ": " in mean.remark


def _warned(fields: ReceptiveFields) -> Iterator[str]:
    """One sentence for each thing that trials said of their own fields, with all arms that it holds for."""
    arms: dict[tuple[str, str], list[str]] = {}
    for warning in fields.warnings:
        words = MOMENT_WORDS[warning.moment] if fields.is_trained else UNTRAINED_WORDS
        count = f"{len(warning.seeds)} {'seed' if len(warning.seeds) == 1 else 'seeds'}"
        arms.setdefault((words, warning.text), []).append(f"{warning.cell.key}/{warning.arm} ({count})")
    for (words, text), found in arms.items():
        yield f"{words.capitalize()}, {first_named(found)}: {text}."


def _not_gaussian(fields: ReceptiveFields) -> Iterator[str]:
    """A width of a Gaussian that is not there can be anything; its interval would not tell."""
    found = [
        f"{level.cell.key}/{level.arm} {moment} ({fixed(mean, 2)})"
        for level in fields.levels
        if level.metric == "r_squared"
        for moment, mean in (
            (MOMENT_WORDS["initial"], level.initial_mean),
            (MOMENT_WORDS["final"] if fields.is_trained else UNTRAINED_WORDS, level.final_mean),
        )
        if mean is not None and mean < GOOD_R_SQUARED
    ]
    if found:
        yield (
            f"Not Gaussian, mean R² of the seeds' fits below {GOOD_R_SQUARED}: {first_named(found)}. There the sigma "
            "of the fit, and every difference of sigmas, describe little, whatever their intervals; rms radius, areas "
            "and mass need no Gaussian."
        )
