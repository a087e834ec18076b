"""What a row of the list shows of an experiment's comparisons."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from orchestrator.arm_labels import arm_labels, labelled
from orchestrator.report.drawing.interval_glyph import common_scale, interval_glyph
from orchestrator.report.words.numbers import decimals_for
from orchestrator.service.experiments import Experiments
from orchestrator.statistics.comparison import Comparison

MAX_SHOWN = 4
"""Comparisons with a line of their own."""


class GlanceLine(NamedTuple):
    """One comparison."""

    treatment: str
    cell: str
    """Model and data set (empty: the experiment has one cell)."""
    verdict: str
    words: str
    """The verdict as tables show it."""
    glyph: Markup


class Glance(NamedTuple):
    """All comparisons of an experiment, in a few lines."""

    lines: tuple[GlanceLine, ...]
    """The first ones."""
    counts: tuple[tuple[str, int], ...]
    """Verdict -> how many comparisons have it, of all (empty: each has its line)."""
    num_pairs: int
    """Of all comparisons together."""


def glance_at(experiments: Experiments, experiment_id: str) -> Glance:
    """Look at what the pairs say so far."""
    is_over = experiments.get(experiment_id).status.is_final
    comparisons, repeated = _compared(experiments, experiment_id)
    scale, decimals = common_scale(comparisons), decimals_for(comparisons)
    has_cells = len({comparison.cell.key for comparison in comparisons}) > 1
    words = [
        comparison.verdict_text(is_over=is_over, is_repeated=is_repeated)
        for comparison, is_repeated in zip(comparisons, repeated, strict=True)
    ]
    lines = [
        GlanceLine(
            comparison.treatment,
            comparison.cell.key if has_cells else "",
            comparison.verdict.value,
            word,
            # Its own numbers and the report's words alone: no text of a user's.
            Markup(interval_glyph(comparison, scale, decimals, is_interim=not is_over)),  # noqa: S704
        )
        for comparison, word in zip(comparisons[:MAX_SHOWN], words, strict=False)
    ]
    counts = Counter(words).most_common() if len(words) > MAX_SHOWN else ()
    return Glance(tuple(lines), tuple(counts), sum(comparison.num_pairs for comparison in comparisons))


def _compared(experiments: Experiments, experiment_id: str) -> tuple[Sequence[Comparison], Sequence[bool | None]]:
    """Comparisons with the arms' labels, and of each whether it is the control, repeated exactly (`None`: it isn't)."""
    arms = experiments.spec(experiment_id).arms
    if any("replica" in arm.patch for arm in arms):
        # Whether all of a training came out again stands in the trials' results, which only the report reads.
        report = experiments.report(experiment_id, with_maps=False).for_people()
        return report.comparisons, [report.is_repeated(each) for each in report.comparisons]
    labels = arm_labels(arms)
    comparisons = [labelled(each, labels) for each in experiments.comparisons(experiment_id)]
    return comparisons, [None] * len(comparisons)
