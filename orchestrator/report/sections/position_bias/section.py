"""What models learned about position, and what a token sees of it."""

from collections.abc import Iterator
from functools import partial

from orchestrator.report.content.arrays import MEAN_VIEWS, to_npz
from orchestrator.report.content.position_bias import BiasViews
from orchestrator.report.content.report import Report
from orchestrator.report.sections.position_bias.fits_figure import has_layers, position_figure
from orchestrator.report.sections.position_bias.map_figure import view_pictures
from orchestrator.report.sections.position_bias.tables import position_table
from orchestrator.report.sections.section import (
    Chapter,
    Detail,
    FileName,
    Mention,
    Note,
    Part,
    Picture,
    Place,
    Section,
    SectionFile,
    ShownTable,
)
from orchestrator.report.words.table import without_constant_columns
from orchestrator.report.words.unreadable import unreadable_notes
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

_WHAT_IS_SEEN = (
    "The bias that attention adds for every key, as the middle token (the cross) sees it: the layer's own embedding, "
    "the Gaussian, and the sum that attention gets; for absolute embeddings their cosine with the middle token's. Mean "
    "over seeds, without each map's mean, which changes no softmax; each row has a scale of its own. The ellipse is "
    "one sigma where every seed has a Gaussian; R² is that of the fit over all displacements."
)


class PositionBiasSection(Section):
    """The embeddings' own fits, then maps; its LaTeX stands beside sigma's (see `LearnedSigmaSection`)."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """Fits, where any embedding was looked at; maps, where any trial has a position bias."""
        if report.position:
            yield Chapter("What the position embeddings learned themselves", list(_fitted(report)))
        if report.bias_views:
            yield Chapter("What a token sees of the position bias", list(_seen(report.bias_views)), Place.MAPS)

    def files(self, report: Report) -> Iterator[SectionFile]:
        """The mean maps."""
        views = report.bias_views
        if views and views.means:
            yield SectionFile("learned_bias_maps", MEAN_VIEWS, lambda: to_npz(views.means))


def _fitted(report: Report) -> Iterator[Part]:
    table = position_table(report.position)
    yield Note(
        f"{without_constant_columns(table).title}. A Gaussian: R² of {GOOD_R_SQUARED} or more, a hill around "
        "displacement 0 that fits into the map; widths are shown where every seed has one.",
        Detail.PAGE,
    )
    if has_layers(report):
        yield Picture("position", partial(position_figure, report))
    yield ShownTable(table, Detail.SUMMARY, above="")


def _seen(views: BiasViews) -> Iterator[Part]:
    pictures = list(view_pictures(views.means))
    yield Note(_WHAT_IS_SEEN, Detail.PAGE)
    if pictures:
        files: list[str | FileName] = ["What the middle token sees of it, layer by layer: "]
        for place, picture in enumerate(pictures):
            files += [*([" and "] if place else []), FileName(f"{picture.name}.png")]
        yield Mention((*files, "; arrays: ", FileName(MEAN_VIEWS), "."))
    yield from pictures
    for note in unreadable_notes(views.unreadable, what="Position biases"):
        yield Note(note, Detail.DOCUMENT)
