"""Where results come from that sigmalab did not train, and how they were understood."""

from collections.abc import Iterator

from orchestrator.report.content.report import Report
from orchestrator.report.sections.section import Chapter, Detail, Place, Section, ShownTable
from orchestrator.report.words.table import Table
from trainers.counted import counted


class OriginSection(Section):
    """A table at the end and in the appendix; our own trainings have their provenance there."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One, of results from elsewhere."""
        for table in self.appendix(report):
            shown = ShownTable(table, Detail.DOCUMENT, above="", is_wrapped=True)
            yield Chapter(table.title, [shown], Place.ORIGIN)

    def appendix(self, report: Report) -> Iterator[Table]:
        """The same."""
        origin, provenance = report.origin, report.provenance
        if origin is None:
            return
        passed = f"; {counted(origin.num_passed_over, 'row')} passed over" if origin.num_passed_over else ""
        rows = [
            ("trained by", "others: sigmalab read their results"),
            ("read from", origin.source),
            ("SHA-256 of it", origin.digest),
            ("read", f"{origin.read_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("rows", f"{origin.num_rows}{passed}"),
            *(("only rows with", condition) for condition in origin.conditions),
            *(("column taken as", column) for column in origin.columns),
            ("results", f"{provenance.num_trials}, {provenance.num_succeeded} of them with a value"),
            ("more is better", {True: "yes", False: "no", None: "neither"}[report.comparisons[0].higher_is_better]),
            ("seeds", ", ".join(map(str, report.seeds))),
            ("digest", provenance.digest),
            ("to ask again", report.ask_again),
        ]
        yield Table(title="Where these results come from", columns=("fact", "value"), num_text_columns=2, rows=rows)
