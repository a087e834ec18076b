"""Planned trials that enter no comparison, and why: nothing is left out in silence."""

from collections.abc import Iterator

from orchestrator.report.content.report import Report
from orchestrator.report.sections.section import Chapter, Detail, Section, ShownTable
from orchestrator.report.words.table import Table, last_line, without_constant_columns


class ExclusionsSection(Section):
    """Where trials are missing, a table of them."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One, if any is missing."""
        table = exclusion_table(report)
        if table.rows:
            shown = ShownTable(table, Detail.SUMMARY, above="", is_wrapped=True)
            yield Chapter(without_constant_columns(table).title, [shown])


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
                last_line(exclusion.reason),
                str(exclusion.seed),
            )
            for exclusion in report.exclusions
        ],
    )
