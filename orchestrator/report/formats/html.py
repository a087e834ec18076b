"""The report as one self-contained page: no script, no font, no picture from elsewhere."""

from collections.abc import Iterator, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.report.content.report import Report
from orchestrator.report.drawing.panels import render
from orchestrator.report.sections.order import chapters_of, pictures_of
from orchestrator.report.sections.section import Chapter, Mention, Note, Part, Picture, Place, ShownTable
from orchestrator.report.words.table import without_constant_columns

# Autoescape is on for all names: what a spec says is text, never markup.
_TEMPLATES = Environment(
    loader=PackageLoader("orchestrator.report.formats", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.tests |= {
    "a_table": lambda part: isinstance(part, ShownTable),
    "a_note": lambda part: isinstance(part, Note),
    "a_picture": lambda part: isinstance(part, Picture),
}


def to_html(report: Report, pictures: Mapping[str, bytes] | None = None) -> str:
    """The whole page.

    Args:
        report: the report.
        pictures: its figures as SVG, if they are drawn already.
    """
    svgs = pictures or {name: render(picture.draw(), "svg") for name, picture in pictures_of(report).items()}
    chapters = [chapter._replace(parts=list(_on_page(chapter))) for chapter in chapters_of(report)]
    return _TEMPLATES.get_template("report.html.jinja").render(
        report=report,
        chapters=[chapter for chapter in chapters if chapter.place < Place.DETAILS],
        details=[chapter for chapter in chapters if chapter.place >= Place.DETAILS],
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
