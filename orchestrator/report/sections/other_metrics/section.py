"""All that was measured on the split beside the compared metric."""

from collections.abc import Iterator, Sequence

from orchestrator.report.content.report import Report
from orchestrator.report.sections.comparisons.csv import comparisons_to_csv
from orchestrator.report.sections.section import Chapter, Detail, Section, SectionFile, ShownTable
from orchestrator.report.words.answers import metric_words
from orchestrator.report.words.numbers import decimals_for, in_unit, interval, level_unit, mean_sd, percent, signed
from orchestrator.report.words.table import Table
from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.metric import metric_named


class OtherMetricsSection(Section):
    """Where the task has several metrics."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One table."""
        if report.other_metrics:
            table = other_metrics_table(report)
            yield Chapter(table.title, [ShownTable(table, Detail.DOCUMENT, footnotes=_NOTES, above="")])

    def files(self, report: Report) -> Iterator[SectionFile]:
        """The same at full precision."""
        if report.other_metrics:
            yield SectionFile(
                "other_metrics_csv",
                "other_metrics.csv",
                lambda: comparisons_to_csv(report, report.other_metrics).encode(),
            )


_NOTES = ("Descriptive: none of them is the question, and no interval here is corrected for their number.",)


def other_metrics_table(report: Report) -> Table:
    """Each arm's mean and the paired difference, metric by metric.

    Args:
        report: for people.
    """
    return Table(
        title=f"Other metrics: treatment - {report.control}, over pairs of the same seed",
        columns=(
            "model",
            "data set",
            "metric",
            "treatment",
            "pairs",
            report.control,
            "treated",
            "effect",
            f"{percent(report.confidence)} CI",
        ),
        num_text_columns=4,
        rows=[
            _row(comparison, _decimals(comparison, report.other_metrics), report)
            for cell in report.cells
            for comparison in report.other_metrics
            if comparison.cell == cell
        ],
    )


def _decimals(comparison: Comparison, comparisons: Sequence[Comparison]) -> int:
    """One number of digits per metric."""
    return decimals_for(each for each in comparisons if each.metric == comparison.metric)


def _row(comparison: Comparison, decimals: int, report: Report) -> tuple[str, ...]:
    unit = level_unit(metric_named(comparison.metric, report.spec.task if report.spec else None).unit)
    return (
        comparison.cell.model,
        comparison.cell.dataset,
        f"{metric_words(comparison.metric)}{in_unit(unit)}",
        comparison.treatment,
        str(comparison.num_pairs),
        mean_sd(comparison.control_mean, comparison.control_sd, decimals),
        mean_sd(comparison.treatment_mean, comparison.treatment_sd, decimals),
        signed(comparison.effect, decimals),
        interval(comparison.ci_low, comparison.ci_high, decimals),
    )
