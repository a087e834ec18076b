"""Every pair on a page: slopes from control to treatment, and their differences."""

from orchestrator.report.content.report import Report
from orchestrator.report.drawing.difference_glyph import difference_glyph
from orchestrator.report.drawing.drawn_pairs import not_all_words
from orchestrator.report.drawing.panels import MAX_PANELS, cell_title, more_words
from orchestrator.report.drawing.slope_glyph import slope_glyph
from orchestrator.report.sections.section import Detail, Glyph, Note
from orchestrator.statistics.comparison import Comparison


def pair_glyphs(report: Report) -> list[Glyph]:
    """Two for each comparison with pairs, of as many as the figure shows."""
    glyphs = []
    for comparison in _with_pairs(report)[:MAX_PANELS]:
        not_all = not_all_words([comparison])
        title = f"{comparison.treatment}, {cell_title(comparison.cell)}"
        differences = difference_glyph(comparison, report.decimals, is_interim=not report.is_over)
        glyphs += [
            Glyph(
                f"{title}: solid where greater than {comparison.control}{not_all}",
                slope_glyph(comparison, report.decimals),
            ),
            Glyph(f"{title}: differences, mean, interval (thick), simultaneous one (thin)", differences),
        ]
    return glyphs


def first_only(report: Report) -> list[Note]:
    """What a page must say where it draws only some."""
    num_left_out = len(_with_pairs(report)) - MAX_PANELS
    return [Note(more_words(num_left_out, "comparison").strip(), Detail.PAGE)] if num_left_out > 0 else []


def _with_pairs(report: Report) -> list[Comparison]:
    return [comparison for comparison in report.comparisons if comparison.num_pairs]
