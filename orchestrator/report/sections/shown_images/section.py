"""What the arms say of a few images."""

from collections.abc import Iterator
from functools import partial

from orchestrator.report.content.report import Report
from orchestrator.report.content.shown_images import ShownImages
from orchestrator.report.sections.section import Chapter, Detail, Note, Picture, Place, Section
from orchestrator.report.sections.shown_images.choice import MAX_CELLS, NUM_DIFFERING, NUM_TYPICAL
from orchestrator.report.sections.shown_images.figure import MAX_COLORS, shown_images_figure
from orchestrator.statistics.metric import metric_named
from trainers.counted import counted


class ShownImagesSection(Section):
    """Of tasks that have something to draw."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One, with a picture for each cell."""
        if not report.shown_images:
            return
        num_more = len(report.cells) - MAX_CELLS
        more = f" Not shown: {counted(num_more, 'more cell')}." if num_more > 0 else ""
        names = [f"images_{number}" for number in range(1, 1 + len(report.shown_images))]
        pictures = [
            Picture(
                name if len(names) > 1 else "images",
                partial(shown_images_figure, shown),
                _caption(shown, metric_named(f"test/{shown.metric}").words),
            )
            for name, shown in zip(names, report.shown_images, strict=True)
        ]
        yield Chapter("Images", [Note(_RULE + more, Detail.DOCUMENT), *pictures], Place.MAPS, is_headed=True)


_RULE = (
    f"Chosen by a rule that does not know which arm is better: the {NUM_DIFFERING} images on whose scores the arms are "
    f"farthest apart, in either direction, then the {NUM_TYPICAL} whose mean score over arms is nearest to the median. "
    "They illustrate one pair of trainings, and prove nothing."
)


def _caption(shown: ShownImages, words: str) -> str:
    cell = f"{shown.cell.dataset}, {shown.cell.model}"
    return (
        f"{cell}: test images with the truth and what each arm says of them, all of seed {shown.seed} (the first whose "
        f"files can be read), chosen among {counted(shown.num_kept, 'kept image')} by {words}, which stands below each "
        "panel. Colours are classes, the same in all panels; at most the "
        f"{MAX_COLORS} largest of them have one of their own, and the others share a grey. What has no colour is "
        "nothing, or not scored. A number in a box is how sure the model is."
    )
