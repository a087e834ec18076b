"""The report as a folder of files."""

import io
import os
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path

from orchestrator.report.appendix import to_latex_appendix, to_markdown_appendix
from orchestrator.report.content import Report
from orchestrator.report.csv_table import fields_to_csv, to_csv, trials_to_csv, trials_to_parquet
from orchestrator.report.field_arrays import MEAN_MAPS, MEAN_VIEWS, to_npz
from orchestrator.report.figures import render
from orchestrator.report.html import figures_of, to_html
from orchestrator.report.latex import to_latex
from orchestrator.report.markdown import to_markdown
from orchestrator.report.search_tables import searches_to_csv
from orchestrator.report.tables import SPEC_FILE
from orchestrator.report.terminal import to_text


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
        _replace(written[name], content)
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
    figures = {name: draw(shown) for name, draw in figures_of(shown).items()}
    svgs = {name: render(figure, "svg") for name, figure in figures.items()}
    yield "json", "report.json", report.model_dump_json(indent=1).encode()
    yield "md", "report.md", to_markdown(shown).encode()
    yield "html", "report.html", to_html(shown, svgs).encode()
    yield "text", "report.txt", to_text(shown).encode()
    yield "latex", "table.tex", to_latex(shown).encode()
    yield "appendix_latex", "appendix.tex", to_latex_appendix(shown).encode()
    yield "appendix_md", "appendix.md", to_markdown_appendix(shown).encode()
    yield "spec", SPEC_FILE, report.spec.model_dump_json(indent=1).encode()
    yield "csv", "comparisons.csv", to_csv(report).encode()
    yield "trials_csv", "trials.csv", trials_to_csv(report).encode()
    yield "trials_parquet", "trials.parquet", trials_to_parquet(report)
    if report.searches:
        yield "search_csv", "search.csv", searches_to_csv(report).encode()
    if report.receptive_fields:
        yield "receptive_fields_csv", "receptive_fields.csv", fields_to_csv(report).encode()
        if report.receptive_fields.means:
            yield "receptive_field_maps", MEAN_MAPS, to_npz(report.receptive_fields)
    if report.bias_views and report.bias_views.means:
        yield "learned_bias_maps", MEAN_VIEWS, to_npz(report.bias_views)
    for name, figure in figures.items():
        yield f"{name}_svg", f"{name}.svg", svgs[name]
        yield f"{name}_png", f"{name}.png", render(figure, "png")


def _replace(file: Path, content: bytes) -> None:
    """Write beside the file, then rename: a reader sees the old file or the new one."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
