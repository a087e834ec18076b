"""What a section of the report is: one subject, given so that every format can take from it what it is able to show.

A section says what there is to show (tables, notes, pictures, in the order of reading), never how a format writes it;
formats go through `SECTIONS` (`order.py`) and know no subject. A picture is drawn only when a format asks for it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.report.content.report import Report
from orchestrator.report.words.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Detail(IntEnum):
    """How far into detail a table or a note goes; a format shows what goes no further than itself."""

    SUMMARY = 0
    """Even where a few lines must do, such as the description of a run in MLflow."""
    TERMINAL = 1
    """In a terminal and in whatever is longer."""
    DOCUMENT = 2
    """In Markdown and on a page."""
    PAGE = 3
    """On a page alone."""


class Place(IntEnum):
    """Where a chapter stands in Markdown; a page has the order of the sections, with details behind the caveats."""

    ANSWER = 0
    """Right below the answer."""
    TABLES = 1
    """Numbers, one table after the other."""
    MAPS = 2
    """Chapters about pictures."""
    DETAILS = 3
    """Before the caveats in Markdown, behind them on a page."""
    ORIGIN = 4
    """At the end."""


class DrawnColumn(NamedTuple):
    """A further column of small pictures."""

    heading: str
    """Above it."""
    draw: Callable[[], Sequence[str]]
    """Draws one SVG element per row."""


class ShownTable(NamedTuple):
    """A table, and how it is shown; where it has no rows, nowhere."""

    table: Table
    """The table with all its columns."""
    detail: Detail = Detail.TERMINAL
    """Which formats show it."""
    footnotes: tuple[str, ...] = ()
    """What its marks mean; right below it."""
    drawn: DrawnColumn | None = None
    """On a page, behind the last column."""
    above: str | None = None
    """On a page, the paragraph above it (`None`: its title; empty: none, its title stands elsewhere)."""
    folded: str = ""
    """On a page, what is clicked to see it (empty: it is always seen)."""
    is_wrapped: bool = False
    """Whether a page may break its texts anywhere: some are long."""
    is_narrowed: bool = True
    """Whether a page moves model and data set into the title where they are the same in every row."""


class Note(NamedTuple):
    """A paragraph of its own."""

    text: str
    """Sentences."""
    detail: Detail = Detail.TERMINAL
    """Which formats show it; a terminal shows all notes behind all tables."""


class Glyph(NamedTuple):
    """A small picture on a page, in the page's own colours."""

    caption: str
    """Above it."""
    drawn: str
    """An SVG element; names in it are escaped."""


class Picture(NamedTuple):
    """A figure: a file in the report's folder, and part of a page."""

    name: str
    """Name of its files, without what they end in."""
    draw: Callable[[], "Figure"]
    """Draws it anew."""
    caption: str = ""
    """Below it on a page; in Markdown behind a link to it (empty: Markdown does not name it by itself)."""
    glyphs: Callable[[], Sequence[Glyph]] | None = None
    """Draws what stands in its place on a page (`None`: the figure itself)."""


class FileName(NamedTuple):
    """A file of the report's folder."""

    name: str
    """With what it ends in."""


class Mention(NamedTuple):
    """A paragraph that tells where files are; for Markdown, which shows no picture itself."""

    pieces: tuple[str | FileName, ...]
    """In their order, with all spaces."""


Part = ShownTable | Note | Picture | Mention


class Chapter(NamedTuple):
    """What belongs together under one heading."""

    title: str
    """Heading on a page (empty: none)."""
    parts: Sequence[Part]
    """In the order of reading."""
    place: Place = Place.TABLES
    """Where it stands."""
    is_headed: bool = False
    """Whether Markdown has this heading too; else each table's own title is one."""


class SectionFile(NamedTuple):
    """A file of the report's folder that is for programs."""

    format: str
    """What `write_report` calls it, such as `csv`."""
    name: str
    """Name of the file."""
    content: Callable[[], bytes]
    """Makes it."""


class Section(ABC):
    """One subject of the report, without a state. What does not apply to a report is left out of it."""

    @abstractmethod
    def chapters(self, report: Report) -> Iterable[Chapter]:
        """Its tables, notes and pictures.

        Args:
            report: for people, with the arms' labels.
        """

    def latex(self, report: Report) -> Iterable[str]:
        """Its LaTeX: floating tables, and comments.

        Args:
            report: for people.
        """
        del report
        return ()

    def appendix(self, report: Report) -> Iterable[Table]:
        """Its tables in the appendix of a paper, of two or three columns.

        Args:
            report: for people.
        """
        del report
        return ()

    def files(self, report: Report) -> Iterable[SectionFile]:
        """Its files for programs.

        Args:
            report: with the arms' names; labels stand beside them.
        """
        del report
        return ()
