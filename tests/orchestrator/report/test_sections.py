"""Sections and formats: a section is in every format without a word about it there, and gives each what it can show."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.figure
import pytest
from matplotlib.figure import Figure

from orchestrator.report import Report, sections
from orchestrator.report.formats.appendix import to_latex_appendix, to_markdown_appendix
from orchestrator.report.formats.folder import report_files, section_file
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.formats.markdown import to_markdown, to_short_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.sections import order
from orchestrator.report.sections.section import (
    Chapter,
    Detail,
    DrawnColumn,
    FileName,
    Mention,
    Note,
    Picture,
    Place,
    Section,
    SectionFile,
    ShownTable,
)
from orchestrator.report.words.table import Table

PACKAGE = "orchestrator.report.sections"
SHARED = {PACKAGE, f"{PACKAGE}.order", f"{PACKAGE}.section"}
"""What formats may know of sections."""


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == PACKAGE)


def test_formats_know_no_subject() -> None:
    formats = sorted(Path("orchestrator/report/formats").glob("*.py"))
    assert len(formats) > 5
    known = {name for file in formats for name in imported(file) if name.startswith(PACKAGE)}
    assert f"{PACKAGE}.section" in known
    assert known <= SHARED


def test_no_section_is_forgotten() -> None:
    found = set()
    for module in pkgutil.walk_packages(sections.__path__, f"{PACKAGE}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, Section) and kind is not Section:
                found.add(kind)
    assert {type(section) for section in order.SECTIONS} == found
    assert len(order.SECTIONS) == len(found) > 5


@pytest.fixture
def nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("drawn, though nobody asked for a picture")

    monkeypatch.setattr(matplotlib.figure.Figure, "__init__", refuse)


@pytest.mark.usefixtures("nothing_is_drawn")
def test_pictures_are_drawn_only_where_they_are_shown(report: Report) -> None:
    assert {"effects", "pairs", "sigma", "position"} <= order.pictures_of(report).keys()
    for write in (to_text, to_markdown, to_short_markdown, to_latex, to_latex_appendix, to_markdown_appendix):
        assert write(report)
    assert section_file(report, "csv")
    with pytest.raises(AssertionError, match="nobody asked"):
        to_html(report)


@pytest.mark.parametrize("section", order.SECTIONS, ids=lambda section: type(section).__name__)
def test_every_section_gives_whole_parts_and_the_same_ones_again(section: Section, report: Report) -> None:
    shown = report.for_people()
    for chapter, again in zip(section.chapters(shown), section.chapters(shown), strict=True):
        assert chapter.title == again.title
        assert [type(part) for part in chapter.parts] == [type(part) for part in again.parts]
        assert chapter.title or not chapter.is_headed
        for part in chapter.parts:
            if isinstance(part, ShownTable):
                assert all(len(row) == len(part.table.columns) for row in part.table.rows)
                assert part.drawn is None or len(part.drawn.draw()) == len(part.table.rows)
    assert all(len(table.columns) in (2, 3) for table in section.appendix(shown))
    assert list(section.latex(shown)) == list(section.latex(shown))
    for file in section.files(report):
        assert file.content() == file.content()


def test_no_two_files_have_one_name(report: Report) -> None:
    files = [file for section in order.SECTIONS for file in section.files(report)]
    names = [*(file.name for file in files), *(f"{name}.png" for name in order.pictures_of(report))]
    assert len(set(names)) == len(names)
    assert len({file.format for file in files}) == len(files)


# ---- a section that is new ----

TOYS = Table("Toys by size", ("model", "toy", "size"), 2, [("small", "ball_1", "3"), ("small", "<car>", "5")])


class Toys(Section):
    """What the recipe in CONTRIBUTING.md tells to write."""

    def __init__(self, draw: Callable[[], Figure]) -> None:
        self._draw = draw

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """All kinds of parts."""
        drawn = DrawnColumn("look", lambda: ["<svg>1</svg>", "<svg>2</svg>"])
        yield Chapter(
            f"Toys of {report.experiment.name}",
            [
                Note("Toys are new.", Detail.PAGE),
                Mention(("Where they are: ", FileName("toys.npz"), ".")),
                Picture("toys", self._draw, "All toys."),
                ShownTable(TOYS, Detail.SUMMARY, footnotes=("size: in cm",), drawn=drawn),
                ShownTable(TOYS._replace(title="Toys in detail"), Detail.DOCUMENT, folded="Detail"),
                ShownTable(TOYS._replace(title="No toys", rows=[])),
                Note("No toy is counted twice."),
            ],
        )
        yield Chapter("", [ShownTable(TOYS._replace(title="Every toy"), Detail.DOCUMENT)], Place.DETAILS)

    def latex(self, report: Report) -> Iterator[str]:
        """A comment."""
        yield f"% toys of {report.experiment.name}"

    def appendix(self, report: Report) -> Iterator[Table]:
        """The same table."""
        del report
        yield TOYS

    def files(self, report: Report) -> Iterator[SectionFile]:
        """One."""
        yield SectionFile("toys_csv", "toys.csv", report.experiment.name.encode)


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The toys' figure, once for each time that it was drawn."""
    drawn: list[Figure] = []

    def draw() -> Figure:
        figure = Figure(figsize=(1, 1))
        drawn.append(figure)
        return figure

    monkeypatch.setattr(order, "SECTIONS", (Toys(draw),))
    return drawn


@pytest.mark.usefixtures("drawings")
def test_a_new_section_is_in_every_text(report: Report) -> None:
    text = to_text(report)
    assert text.index("Toys by size [small]") < text.index("size: in cm") < text.index("No toy is counted twice.")
    for unseen in ("Toys are new", "Toys in detail", "Every toy", "No toys"):
        assert unseen not in text

    markdown = to_markdown(report)
    order_of_parts = [
        "## Answer",
        "Where they are: `toys.npz`.",
        "[toys.png](toys.png): All toys.",
        "## Toys by size",
        r"| small | ball\_1 | 3 |",
        "size: in cm",
        "## Toys in detail",
        "No toy is counted twice.",
        "## Every toy",
        "## Caveats",
    ]
    places = [markdown.index(part) for part in order_of_parts]
    assert places == sorted(places)
    assert "Toys are new" not in markdown
    assert "No toys" not in markdown

    short = to_short_markdown(report)
    assert "**Toys by size**" in short
    assert "Toys in detail" not in short
    assert f"\n% toys of {report.experiment.name}\n" in to_latex(report)
    assert r"\caption{Toys by size, " in to_latex_appendix(report)
    assert "## Toys by size" in to_markdown_appendix(report)


def test_a_new_section_is_on_the_page(report: Report, drawings: list[Figure]) -> None:
    page = to_html(report)
    order_of_parts = [
        f"<h2>Toys of {report.experiment.name}</h2>",
        '<p class="facts">Toys are new.</p>',
        "<figcaption>All toys.</figcaption>",
        '<p class="facts">Toys by size [small]</p>',
        '<th scope="col">look</th>',
        "&lt;car&gt;",
        "<svg>2</svg>",
        '<p class="facts">size: in cm</p>',
        "<details><summary>Detail</summary>",
        '<p class="facts">No toy is counted twice.</p>',
        "<h2>Caveats</h2>",
        '<p class="facts">Every toy [small]</p>',
    ]
    places = [page.index(part) for part in order_of_parts]
    assert places == sorted(places)
    assert "toys.npz" not in page
    assert "No toys" not in page
    assert len(drawings) == 1


def test_a_new_section_is_in_the_folder_and_drawn_once(report: Report, drawings: list[Figure]) -> None:
    files = {name: content for _, name, content in report_files(report)}
    assert files["toys.csv"].decode() == report.experiment.name
    assert files["toys.png"].startswith(b"\x89PNG")
    assert b"<svg" in files["toys.svg"]
    assert len(drawings) == 1
