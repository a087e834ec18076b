"""Which code, data and machines made the numbers."""

from collections.abc import Iterator

from orchestrator.report.content.report import Report
from orchestrator.report.sections.section import Chapter, Detail, Place, Section, ShownTable
from orchestrator.report.words.numbers import MISSING, duration
from orchestrator.report.words.table import Table


class ProvenanceSection(Section):
    """A table at the end, and in the appendix."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One; of results from elsewhere another section tells (`orchestrator.report.sections.origin`)."""
        if report.origin is not None:
            return
        table = provenance_table(report)
        yield Chapter(table.title, [ShownTable(table, Detail.DOCUMENT, above="", is_wrapped=True)], Place.ORIGIN)

    def appendix(self, report: Report) -> Iterator[Table]:
        """The same."""
        if report.origin is None:
            yield provenance_table(report)


def provenance_table(report: Report) -> Table:
    """Which code, data and machines made the numbers."""
    experiment, provenance = report.experiment, report.provenance
    rows = [
        ("experiment", f"{experiment.name} ({experiment.id}), {experiment.status.value}"),
        ("digest", provenance.digest),
        ("submitted", f"{experiment.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("ended", f"{experiment.ended_at:%Y-%m-%d %H:%M:%S} UTC" if experiment.ended_at else MISSING),
        ("to ask again", report.ask_again),
        ("seeds", ", ".join(map(str, report.seeds))),
        ("trials", f"{provenance.num_trials} planned, {provenance.num_succeeded} succeeded"),
        *([("reused", _stand_ins(provenance.num_reused))] if provenance.num_reused else []),
        ("training time", duration(provenance.training_seconds)),
        *(("data", line) for line in experiment.data_lines),
        *((key.replace("_", " "), ", ".join(values)) for key, values in provenance.facts.items()),
    ]
    return Table(title="Provenance", columns=("fact", "value"), num_text_columns=2, rows=rows)


def _stand_ins(num_reused: int) -> str:
    return f"{num_reused} of them stand in from earlier, identical trials"
