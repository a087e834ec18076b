"""The report as one of the service's pages, frozen: one file without script, font or picture from elsewhere."""

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from orchestrator.report.content.report import Report
from orchestrator.report.drawing.panels import render
from orchestrator.report.page.matrix import matrix_of
from orchestrator.report.page.templating import TEMPLATES, stylesheet
from orchestrator.report.sections.order import chapters_of, pictures_of
from orchestrator.report.sections.section import Chapter, Mention, Part, Place, ShownTable
from orchestrator.report.words.table import without_constant_columns

MAX_PRINTED_CELLS = 400
"""Of a table beside that of the answer: a report of 144 cells would print hundreds of pages."""


def to_html(report: Report, pictures: Mapping[str, bytes] | None = None) -> str:
    """The whole page.

    Args:
        report: the report.
        pictures: its figures as SVG, if they are drawn already.
    """
    found = pictures_of(report)
    svgs = pictures or {name: render(found[name].draw(), "svg") for name in found if found[name].glyphs is None}
    chapters = [chapter._replace(parts=list(_on_page(chapter))) for chapter in chapters_of(report)]
    return TEMPLATES.get_template("report.html.jinja").render(
        report=report,
        chapters=[chapter for chapter in chapters if chapter.place < Place.DETAILS],
        details=[chapter for chapter in chapters if chapter.place >= Place.DETAILS],
        # Of one cell the first table says all.
        matrix=matrix_of(report) if len(report.cells) > 1 else None,
        stylesheet=stylesheet(),
        answers_place=Place.ANSWER,
        max_printed_cells=MAX_PRINTED_CELLS,
        svgs={name: _inline(svg) for name, svg in svgs.items()},
    )


def _on_page(chapter: Chapter) -> Iterator[Part]:
    """What a page shows of a chapter: it has the pictures themselves, and narrow tables."""
    for part in chapter.parts:
        if isinstance(part, ShownTable):
            if part.table.rows:
                table = without_constant_columns(part.table) if part.is_narrowed else part.table
                yield part._replace(table=table, above=table.title if part.above is None else part.above)
        elif not isinstance(part, Mention):
            yield part


def _inline(svg: bytes) -> Markup:
    """An SVG file as an element: without the XML declaration and the document type."""
    text = svg.decode()
    return Markup(text[text.index("<svg") :])  # noqa: S704 (matplotlib's own markup; texts in it are glyph paths)
