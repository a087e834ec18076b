"""A report without what the experiment's page does not show: no trial, no curve, no map."""

from orchestrator.report import Report
from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.order import pictures_of
from orchestrator.service.experiments import Experiments


def brief_report(experiments: Experiments, experiment_id: str) -> Report:
    """Answers, caveats, comparisons with their pairs, for people."""
    report = experiments.report(experiment_id, with_maps=False).for_people()
    nothing: dict[str, object] = dict.fromkeys(("trials", "curves", "bias", "position", "settings", "searches"), ())
    return report.model_copy(update=nothing)


def drawn_figure(experiments: Experiments, experiment_id: str, name: str) -> bytes | None:
    """One figure of the report as SVG (`None`: it has none of that name, or one that needs maps)."""
    pictures = pictures_of(experiments.report(experiment_id, with_maps=False).for_people())
    return render(pictures[name].draw(), "svg") if name in pictures else None
