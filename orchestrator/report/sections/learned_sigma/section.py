"""What sigma and A became."""

from collections.abc import Iterator

from orchestrator.report.content.report import Report
from orchestrator.report.sections.learned_sigma.figures import sigma_pictures
from orchestrator.report.sections.learned_sigma.latex import learned_tables
from orchestrator.report.sections.learned_sigma.tables import bias_table, sigma_by_dataset_table
from orchestrator.report.sections.section import Chapter, Detail, Section, ShownTable


class LearnedSigmaSection(Section):
    """Layer by layer, where any arm has a Gaussian."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One."""
        if report.bias:
            by_layer = ShownTable(bias_table(report.bias), Detail.SUMMARY)
            by_dataset = ShownTable(sigma_by_dataset_table(report.bias), is_narrowed=False)
            yield Chapter("What the bias learned", [*sigma_pictures(report), by_layer, by_dataset])

    def latex(self, report: Report) -> list[str]:
        """Sigma, and beside it what the same layers learned themselves (see `PositionBiasSection`)."""
        return learned_tables(report)
