"""Whether single images gain or lose."""

from collections.abc import Iterator

from orchestrator.report.content.report import Report
from orchestrator.report.sections.section import Chapter, Detail, Section, ShownTable
from orchestrator.report.words.numbers import interval, percent, signed
from orchestrator.report.words.table import Table
from orchestrator.statistics.by_image import ImageEffect
from orchestrator.statistics.comparison import Basis
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.p_text import p_text
from trainers.counted import counted

_COUNTS = (
    "better : worse: images by their mean difference over pairs. p (mean): of no difference in the mean over images"
)
_TURNED = (
    "p (any image): of no difference in any image's score. Both turn the sign of whole pairs, as all pairs share their "
    "images, and are outside the correction of the comparisons."
)
_ANY_TIME = (
    "an any-time p (1/e), as the interval is an any-time t interval, over pairs. p (any image) has no value: it "
    "would turn the sign of whole pairs, which is right only where their number was fixed beforehand. p (mean) is "
    "outside the correction of the comparisons."
)


class ByImageSection(Section):
    """Of tasks that give each image a score, beside a metric that is not its mean."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One table, if the predictions of any pair could be read."""
        if report.image_effects:
            table = image_table(report)
            note = f"{_COUNTS}; {_TURNED if report.basis is Basis.FIXED else _ANY_TIME}"
            notes = (note, *_left_out(report))
            yield Chapter(table.title, [ShownTable(table, Detail.DOCUMENT, footnotes=notes, above="")])


def image_table(report: Report) -> Table:
    """A row for each score, cell and treatment.

    Args:
        report: for people.
    """
    return Table(
        title=f"Image by image: treatment - {report.control}, over pairs of the same seed",
        columns=(
            "model",
            "data set",
            "score",
            "treatment",
            "pairs",
            "images",
            "better : worse",
            "effect",
            f"{percent(report.confidence)} CI",
            "p (mean)",
            "p (any image)",
        ),
        num_text_columns=4,
        rows=[_row(report, effect) for effect in report.image_effects],
    )


def _row(report: Report, effect: ImageEffect) -> tuple[str, ...]:
    metric = metric_named(f"test/{effect.metric}")
    unit = f" ({metric.unit})" if metric.unit else ""
    return (
        effect.cell.model,
        effect.cell.dataset,
        f"{metric.words or metric.name}{unit}",
        effect.treatment,
        str(effect.num_pairs),
        str(effect.num_images),
        f"{effect.num_better} : {effect.num_worse}",
        signed(effect.effect, report.decimals),
        interval(effect.ci_low, effect.ci_high, report.decimals),
        p_text(effect.p_mean),
        p_text(effect.p_any),
    )


def _left_out(report: Report) -> tuple[str, ...]:
    """Images that are in no number above."""
    most = max(effect.num_left_out for effect in report.image_effects)
    if not most:
        return ()
    return (f"Left out, as some trial has no score of them: {counted(most, 'image')} at most in a row.",)
