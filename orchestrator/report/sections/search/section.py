"""What searches tried and chose."""

from collections.abc import Iterator
from functools import partial

from orchestrator.report.content.report import Report
from orchestrator.report.sections.search.csv import searches_to_csv
from orchestrator.report.sections.search.figure import has_candidates, search_figure
from orchestrator.report.sections.search.tables import chosen_table, search_overview, search_table
from orchestrator.report.sections.section import Chapter, Part, Picture, Section, SectionFile, ShownTable
from orchestrator.report.words.table import Table, without_constant_columns


class SearchSection(Section):
    """All searches, where the spec has any."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One."""
        if report.searches:
            overview = search_overview(report)
            parts: list[Part] = [ShownTable(overview, above="")]
            if has_candidates(report):
                parts.append(Picture("search", partial(search_figure, report)))
            tried = search_table(report)
            parts.append(ShownTable(tried, above="", folded=without_constant_columns(tried).title))
            yield Chapter(without_constant_columns(overview).title, parts)

    def appendix(self, report: Report) -> Iterator[Table]:
        """What was searched, and what came of it."""
        if report.searches:
            yield chosen_table(report)

    def files(self, report: Report) -> Iterator[SectionFile]:
        """The whole history."""
        if report.searches:
            yield SectionFile("search_csv", "search.csv", lambda: searches_to_csv(report).encode())
