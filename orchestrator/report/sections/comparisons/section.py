"""Effects, intervals and verdicts, and the pairs behind them."""

from collections.abc import Iterator
from functools import partial

from orchestrator.report.content.report import Report
from orchestrator.report.drawing.interval_glyph import common_scale, interval_glyph
from orchestrator.report.sections.comparisons.csv import comparisons_to_csv
from orchestrator.report.sections.comparisons.figures import forest_figure, pair_figure
from orchestrator.report.sections.comparisons.glyphs import first_only, pair_glyphs
from orchestrator.report.sections.comparisons.latex import comparison_rows
from orchestrator.report.sections.comparisons.latex_matrix import matrix_tables
from orchestrator.report.sections.comparisons.latex_published import published_table
from orchestrator.report.sections.comparisons.tables import (
    arm_table,
    comparison_table,
    footnotes,
    pair_table,
    pairing_table,
    pooled_table,
)
from orchestrator.report.sections.section import (
    Chapter,
    Detail,
    DrawnColumn,
    Picture,
    Place,
    Section,
    SectionFile,
    ShownTable,
)
from orchestrator.report.words.table import Table, without_constant_columns


class ComparisonsSection(Section):
    """What the experiment asked for."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """Every effect, the pooled ones, the pairs."""
        yield Chapter("Comparisons", [_compared(report)], Place.ANSWER, is_headed=True)
        pooled = pooled_table(report)
        if pooled.rows:
            yield Chapter(pooled.title, [ShownTable(pooled, above="")])
        yield Chapter("", [Picture("effects", partial(forest_figure, report))])
        pairs = Picture("pairs", partial(pair_figure, report), glyphs=partial(pair_glyphs, report))
        yield Chapter("Pair by pair", [pairs, *first_only(report), ShownTable(pairing_table(report))])
        every = pair_table(report)
        yield Chapter(
            "",
            [ShownTable(every, Detail.DOCUMENT, above="", folded=every.title, is_wrapped=True)],
            Place.DETAILS,
        )

    def latex(self, report: Report) -> Iterator[str]:
        """What publications print; models x data sets, and a row per comparison."""
        yield from published_table(report)
        yield from matrix_tables(report)
        yield comparison_rows(report)

    def appendix(self, report: Report) -> Iterator[Table]:
        """What the arms change."""
        yield arm_table(report)

    def files(self, report: Report) -> Iterator[SectionFile]:
        """A row per comparison."""
        yield SectionFile("csv", "comparisons.csv", lambda: comparisons_to_csv(report, report.comparisons).encode())


def _compared(report: Report) -> ShownTable:
    table = comparison_table(report)
    title = without_constant_columns(table).title
    return ShownTable(
        table,
        Detail.SUMMARY,
        footnotes=footnotes(report),
        drawn=DrawnColumn("interval", partial(_glyphs, report)),
        above=f"{title}. p: {report.basis.test_words}; Holm: corrected over all rows.",
    )


def _glyphs(report: Report) -> list[str]:
    scale = common_scale(report.comparisons)
    is_interim = not report.is_over
    return [interval_glyph(each, scale, report.decimals, is_interim=is_interim) for each in report.comparisons]
