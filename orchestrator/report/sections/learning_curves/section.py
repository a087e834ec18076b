"""How arms trained."""

from collections.abc import Iterator
from functools import partial

from orchestrator.report.content.report import Report
from orchestrator.report.sections.learning_curves.figure import curve_figure
from orchestrator.report.sections.section import Chapter, FileName, Mention, Picture, Place, Section

_NAME = "training"


class LearningCurvesSection(Section):
    """A picture, where anything was trained."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One."""
        if report.curves:
            told = Mention(("Training by arm, epoch by epoch: ", FileName(f"{_NAME}.png"), "."))
            yield Chapter("Training", [told, Picture(_NAME, partial(curve_figure, report))], Place.ANSWER)

    def latex(self, report: Report) -> Iterator[str]:
        """Where the picture is."""
        if report.curves:
            yield f"% {_NAME}.svg and {_NAME}.png: training by arm, epoch by epoch"
