"""A report without what the experiment's page does not show: no trial, no curve, no map, no single pair."""

import pickle
from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.report import Report
from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.order import pictures_of
from orchestrator.service.experiments import Experiments
from orchestrator.statistics.comparison import Comparison, Pair

_LEFT_OUT = (
    *("trials", "curves", "bias", "position", "settings", "searches"),
    *("other_metrics", "image_effects", "shown_images", "class_effects"),
)
"""Fields of a report that no page shows which reads it."""


class BriefReport(NamedTuple):
    """What the page shows itself, and where there is more."""

    report: Report
    """Answers, caveats, comparisons without their pairs, for people."""
    has_learned: bool
    """Whether the page of what was learned has anything."""
    has_search: bool
    """Whether the page of the search has anything."""
    pairs: Mapping[tuple[str, str], bytes]
    """Cell's key and treatment -> pairs, pickled: of thousands, only one comparison's page reads its own."""

    def whole(self, comparison: Comparison) -> Comparison:
        """One of its comparisons, with its pairs."""
        packed = self.pairs[comparison.cell.key, comparison.treatment]
        pairs: tuple[Pair, ...] = pickle.loads(packed)  # noqa: S301 (our own process's)
        return comparison.model_copy(update={"pairs": pairs})


class _Last(NamedTuple):
    experiment_id: str
    version: tuple[object, ...]
    report: Report


_last: _Last | None = None
"""What this process has made last: a page asks for the same report once for its words and once for each figure."""


def _report(experiments: Experiments, experiment_id: str) -> Report:
    """For people, without maps."""
    global _last  # noqa: PLW0603 (one for each process)
    version, last = experiments.pairs_version_of(experiment_id), _last
    if last is None or (last.experiment_id, last.version) != (experiment_id, version):
        report = experiments.report(experiment_id, with_maps=False).for_people()
        _last = last = _Last(experiment_id, version, report)
    return last.report


def brief_report(experiments: Experiments, experiment_id: str) -> BriefReport:
    """Made from the trials' results, without their maps."""
    report = _report(experiments, experiment_id)
    fields = report.receptive_fields
    nothing: dict[str, object] = {**dict.fromkeys(_LEFT_OUT, ()), "receptive_fields": None}
    comparisons = tuple(comparison.model_copy(update={"pairs": ()}) for comparison in report.comparisons)
    return BriefReport(
        report.model_copy(update={**nothing, "comparisons": comparisons}),
        has_learned=bool(report.bias or report.position or (fields and (fields.levels or fields.curves))),
        has_search=bool(report.searches),
        pairs={(each.cell.key, each.treatment): pickle.dumps(each.pairs) for each in report.comparisons},
    )


def drawn_figure(experiments: Experiments, experiment_id: str, name: str) -> bytes | None:
    """One figure of the report as SVG (`None`: it has none of that name, or one that needs maps)."""
    pictures = pictures_of(_report(experiments, experiment_id))
    return render(pictures[name].draw(), "svg") if name in pictures else None
