"""What tokens see."""

from collections.abc import Iterator
from functools import partial

from orchestrator.report.content.arrays import MEAN_MAPS, to_npz
from orchestrator.report.content.receptive_fields import ReceptiveFields
from orchestrator.report.content.report import Report
from orchestrator.report.sections.comparisons.csv import comparisons_to_csv
from orchestrator.report.sections.receptive_fields.captions import INTRODUCTION, curve_caption, map_caption
from orchestrator.report.sections.receptive_fields.curve_figure import field_curve_figure
from orchestrator.report.sections.receptive_fields.latex import field_tables
from orchestrator.report.sections.receptive_fields.map_figure import field_map_figure
from orchestrator.report.sections.receptive_fields.tables import (
    field_comparison_table,
    field_level_table,
    field_notes,
    left_out_notes,
    mean_field_table,
    remark_notes,
)
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

_MAX_UNFOLDED = 18
"""Rows of the table of mean maps that a page shows unasked."""


class ReceptiveFieldsSection(Section):
    """Maps, curves, tables and arrays, where the spec asks for any."""

    def chapters(self, report: Report) -> Iterator[Chapter]:
        """One."""
        if report.receptive_fields:
            parts = list(_parts(report, report.receptive_fields))
            yield Chapter("Receptive fields", parts, Place.MAPS, is_headed=True)

    def latex(self, report: Report) -> Iterator[str]:
        """A table, and how to show the pictures that stand in the report's folder."""
        yield from field_tables(report)
        for picture in _pictures(report):
            include = rf"\includegraphics[width=\linewidth]{{{picture.name}.png}}"
            yield rf"% {include} with \usepackage{{graphicx}}; its caption: report.md"

    def files(self, report: Report) -> Iterator[SectionFile]:
        """Comparisons as CSV, and the mean maps."""
        fields = report.receptive_fields
        if fields is None:
            return
        csv = partial(comparisons_to_csv, report, fields.comparisons)
        yield SectionFile("receptive_fields_csv", "receptive_fields.csv", lambda: csv().encode())
        if fields.means:
            yield SectionFile("receptive_field_maps", MEAN_MAPS, lambda: to_npz(fields.means))


def _pictures(report: Report) -> Iterator[Picture]:
    """Those that this report has something for."""
    fields = report.receptive_fields
    if fields and fields.means:
        arms = [arm.name for arm in report.arms]
        draw = partial(field_map_figure, fields.maps, arms, report.control)
        yield Picture("receptive_field_maps", draw, map_caption(fields))
    if fields and fields.curves:
        yield Picture("receptive_field_curves", partial(field_curve_figure, report), curve_caption(fields))


def _parts(report: Report, fields: ReceptiveFields) -> Iterator[Part]:
    yield Note(INTRODUCTION, Detail.DOCUMENT)
    yield from _pictures(report)
    if fields.means:
        yield Mention(("Arrays of all mean maps: ", FileName(MEAN_MAPS), "."))
    yield ShownTable(field_level_table(fields), Detail.SUMMARY)
    yield ShownTable(field_comparison_table(report), Detail.DOCUMENT)
    means = mean_field_table(fields)
    folded = "Gaussian through the mean maps" if len(means.rows) > _MAX_UNFOLDED else ""
    yield ShownTable(means, Detail.DOCUMENT, folded=folded)
    for note in (*left_out_notes(fields), *remark_notes(fields)):
        yield Note(note, Detail.DOCUMENT)
    for note in field_notes(fields):
        yield Note(note)
