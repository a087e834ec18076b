"""The report as a folder of files."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.report.content.report import SPEC_FILE, Report
from orchestrator.report.drawing.panels import render
from orchestrator.report.formats.appendix import to_latex_appendix, to_markdown_appendix
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.formats.markdown import to_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.sections import order
from orchestrator.report.sections.section import SectionFile
from trainers.atomic_file import replaced_file


def write_report(report: Report, folder: Path) -> dict[str, Path]:
    """Write every format; each file is replaced whole or not at all.

    Args:
        report: the report.
        folder: made if it is not there; files of an older report in it are overwritten.

    Returns:
        Name of the format (`md`, `html`, `latex`, `json`, ...) -> file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, file_name, content in report_files(report):
        written[name] = folder / file_name
        with replaced_file(written[name]) as file:
            file.write(content)
    return written


def to_zip(report: Report) -> bytes:
    """All files as one archive: what a client over HTTP unpacks is what `write_report` writes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as files:
        for _, file_name, content in report_files(report):
            # A fixed date: the same report is the same archive.
            files.writestr(zipfile.ZipInfo(file_name, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def report_files(report: Report) -> Iterator[tuple[str, str, bytes]]:
    """Format, file name and content of every file; a figure is drawn once for all that show it."""
    shown = report.for_people()
    figures = {name: picture.draw() for name, picture in order.pictures_of(shown).items()}
    svgs = {name: render(figure, "svg") for name, figure in figures.items()}
    yield "json", "report.json", report.model_dump_json(indent=1).encode()
    yield "md", "report.md", to_markdown(shown).encode()
    yield "html", "report.html", to_html(shown, svgs).encode()
    yield "text", "report.txt", to_text(shown).encode()
    yield "latex", "table.tex", to_latex(shown).encode()
    yield "appendix_latex", "appendix.tex", to_latex_appendix(shown).encode()
    yield "appendix_md", "appendix.md", to_markdown_appendix(shown).encode()
    if report.spec is not None:
        yield "spec", SPEC_FILE, report.spec.model_dump_json(indent=1).encode()
    for file in section_files(report):
        yield file.format, file.name, file.content()
    for name, figure in figures.items():
        yield f"{name}_svg", f"{name}.svg", svgs[name]
        yield f"{name}_png", f"{name}.png", render(figure, "png")


def section_files(report: Report) -> Iterator[SectionFile]:
    """The files that sections have for programs; each is made when its content is asked for."""
    for section in order.SECTIONS:
        yield from section.files(report)


def section_file(report: Report, name: str) -> bytes:
    """One of them.

    Args:
        report: with the arms' names.
        name: its format, such as `csv`.

    Raises:
        KeyError: the report has none of this name.
    """
    return {file.format: file.content for file in section_files(report)}[name]()
