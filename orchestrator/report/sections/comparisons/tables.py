"""Effects, pairs and what pairing gained, as tables of text."""

from orchestrator.report.content.report import Report
from orchestrator.report.words.answers import cell_count, metric_words, unpaired_times
from orchestrator.report.words.numbers import (
    MISSING,
    fixed,
    in_unit,
    interval,
    level_unit,
    mean_sd,
    percent,
    signed,
)
from orchestrator.report.words.table import Table, last_line
from orchestrator.statistics.comparison import SUGGESTIVE_MEANS, PooledEffect, Verdict, simultaneous_means
from orchestrator.statistics.discordant import DiscordantImages
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.p_text import p_text

POOLED_OVER = "Pooled over cells"
"""How tables and pictures call one effect over all cells."""


def comparison_table(report: Report) -> Table:
    """Effect, interval, p and verdict for every cell and treatment."""
    level = in_unit(level_unit(report.unit))
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
            f"effect{in_unit(report.unit)}",
            f"{percent(report.confidence)} CI",
            "simultaneous",
            "p",
            "p (Holm)",
            *((_discordant_heading(report),) if any(report.discordant) else ()),
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
        which = "got right" if metric_named(report.metric).counts_images else "scored better on"
        notes.append(
            f"{_discordant_heading(report)}: images that only the treatment : only the control {which}, counted over "
            "all pairs. The pairs share their test images, so these counts describe and have no p."
        )
    return tuple(notes)


def _simultaneous_note(report: Report) -> str:
    note = simultaneous_means(len(report.comparisons))
    unbounded = [each for each in report.comparisons if each.simultaneous_low is each.simultaneous_high is None]
    if any(comparison.num_pairs for comparison in unbounded):
        return f"{note}; {MISSING}: these pairs bound nothing there."
    return f"{note}."


def _discordant_heading(report: Report) -> str:
    return "only one right" if metric_named(report.metric).counts_images else "only one better"


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
        comparison.verdict_text(is_over=report.is_over, is_repeated=report.is_repeated(comparison)),
        count,
        mean_sd(comparison.control_mean, comparison.control_sd, decimals),
        mean_sd(comparison.treatment_mean, comparison.treatment_sd, decimals),
        signed(comparison.effect, decimals),
        interval(comparison.ci_low, comparison.ci_high, decimals),
        comparison.simultaneous_text(lambda end: fixed(end, decimals)) or MISSING,
        p_text(comparison.p_value, level=comparison.level),
        p_text(comparison.p_holm, level=comparison.level),
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
            f"effect{in_unit(report.unit)}",
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
            f"of each arm, same {percent(report.confidence)} t interval",
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
                unpaired_times(comparison.pairing),
                str(comparison.pairing.unpaired_runs),
            )
            for comparison in report.comparisons
            if comparison.pairing is not None
        ],
    )


def pair_table(report: Report) -> Table:
    """Every planned pair, complete or not."""
    level = in_unit(level_unit(report.unit))
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
            f"effect{in_unit(report.unit)}",
        ),
        num_text_columns=4,
        rows=[
            (
                comparison.cell.model,
                comparison.cell.dataset,
                comparison.treatment,
                last_line(pair.missing_because or ""),
                str(pair.seed),
                fixed(pair.control, report.decimals),
                fixed(pair.treatment, report.decimals),
                signed(pair.effect, report.decimals),
            )
            for comparison in report.comparisons
            for pair in comparison.pairs
        ],
    )


def arm_table(report: Report) -> Table:
    """What each arm changes: for an appendix."""
    return Table(
        title="Arms",
        columns=("arm", "what it changes"),
        num_text_columns=2,
        rows=[(f"{arm.name} ({arm.role})", arm.description) for arm in report.arms],
    )
