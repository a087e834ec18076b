"""Which classes gain and which lose."""

from collections.abc import Iterator, Sequence

from orchestrator.report.content.report import Report
from orchestrator.report.sections.section import Chapter, Detail, Section, SectionFile, ShownTable
from orchestrator.report.words.csv_text import csv_text
from orchestrator.report.words.numbers import fixed, in_unit, interval, level_unit, percent, signed
from orchestrator.report.words.table import Table
from orchestrator.statistics.by_class import ClassEffect
from orchestrator.statistics.comparison import Basis
from trainers.counted import counted
from trainers.metrics import Metric

MAX_ROWS = 20
"""Of one table: a thousand classes are for programs."""

_FIELDS = (
    "treatment",
    "metric",
    "class_name",
    "num_pairs",
    "control_mean",
    "treatment_mean",
    "effect",
    "ci_low",
    "ci_high",
    "simultaneous_low",
    "simultaneous_high",
)


class ByClassSection(Section):
    """Of tasks that score every class by itself."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One table for each score of the classes, if there is any."""
        for metric in report.spec.task.class_metrics if report.spec is not None else ():
            effects = [effect for effect in report.class_effects if effect.metric == metric.name]
            if effects:
                table, notes = class_table(report, metric, effects)
                yield Chapter(table.title, [ShownTable(table, Detail.DOCUMENT, footnotes=notes, above="")])

    def files(self, report: Report) -> Iterator[SectionFile]:
        """Every class, at full precision."""
        if report.class_effects:
            yield SectionFile("classes_csv", "classes.csv", lambda: _to_csv(report).encode())


def class_table(report: Report, metric: Metric, effects: Sequence[ClassEffect]) -> tuple[Table, tuple[str, ...]]:
    """The classes whose effects are the largest, the largest gain first, and what stands below the table.

    Args:
        report: for people.
        metric: what is scored of every class.
        effects: on it.
    """
    largest = sorted(effects, key=lambda each: -abs(each.effect))[:MAX_ROWS]
    shown = sorted(largest, key=lambda each: -each.effect)
    level = in_unit(level_unit(metric.unit))
    table = Table(
        title=f"{metric.words or metric.name} of every class: treatment - {report.control}",
        columns=(
            "model",
            "data set",
            "treatment",
            "class",
            "pairs",
            f"{report.control}{level}",
            f"treatment{level}",
            f"effect{in_unit(metric.unit)}",
            f"{percent(report.confidence)} CI",
            "simultaneous",
        ),
        num_text_columns=4,
        rows=[_row(each, report.decimals) for each in shown],
    )
    num_effects = len(effects)
    kind = "t" if report.basis is Basis.FIXED else "any-time t"
    note = (
        f"simultaneous: right for all {counted(len(report.class_effects), 'class effect')} at once (Bonferroni)"
        f"{'' if num_effects == len(report.class_effects) else ', those of the other table too'}. These effects are "
        "descriptive, and outside the correction of the comparisons. Their intervals are "
        f"{kind} intervals, rough for a class of which few images tell."
    )
    if num_effects <= MAX_ROWS:
        return table, (note,)
    picked = (
        f"The {MAX_ROWS} largest effects of {num_effects}; all are in classes.csv. Picked by their size, they look too "
        "large by chance: of such rows only the simultaneous intervals are right."
    )
    return table, (note, picked)


def _row(effect: ClassEffect, decimals: int) -> tuple[str, ...]:
    return (
        effect.cell.model,
        effect.cell.dataset,
        effect.treatment,
        effect.class_name,
        str(effect.num_pairs),
        fixed(effect.control_mean, decimals),
        fixed(effect.treatment_mean, decimals),
        signed(effect.effect, decimals),
        interval(effect.ci_low, effect.ci_high, decimals),
        interval(effect.simultaneous_low, effect.simultaneous_high, decimals),
    )


def _to_csv(report: Report) -> str:
    rows = []
    for effect in report.class_effects:
        values = effect.model_dump(mode="json")
        rows.append([effect.cell.model, effect.cell.dataset, *(values[field] for field in _FIELDS)])
    return csv_text(["model", "dataset", *_FIELDS], rows)
