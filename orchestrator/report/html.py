"""The report as one self-contained page: no script, no font, no picture from elsewhere."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.report.content import Report
from orchestrator.report.figures import forest_figure, pair_figure, render, sigma_figure
from orchestrator.report.interval_svg import interval_svg
from orchestrator.report.tables import (
    bias_table,
    comparison_table,
    exclusion_table,
    pair_table,
    pooled_table,
    provenance_table,
    search_table,
    without_constant_columns,
)

# Autoescape is on for all names: what a spec says is text, never markup.
_TEMPLATES = Environment(
    loader=PackageLoader("orchestrator.report", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def to_html(report: Report) -> str:
    """The whole page."""
    return _TEMPLATES.get_template("report.html.jinja").render(
        report=report,
        comparisons=without_constant_columns(comparison_table(report)),
        intervals=[Markup(interval_svg(comparison, report)) for comparison in report.comparisons],  # noqa: S704
        pooled=pooled_table(report),
        bias=without_constant_columns(bias_table(report.bias)),
        search=without_constant_columns(search_table(report)),
        exclusions=without_constant_columns(exclusion_table(report)),
        pairs=without_constant_columns(pair_table(report)),
        provenance=provenance_table(report),
        forest=_inline(render(forest_figure(report), "svg")),
        slopes=_inline(render(pair_figure(report), "svg")),
        sigma=_inline(render(sigma_figure(report), "svg")) if report.bias else None,
    )


def _inline(svg: bytes) -> Markup:
    """An SVG file as an element: without the XML declaration and the document type."""
    text = svg.decode()
    return Markup(text[text.index("<svg") :])  # noqa: S704 (matplotlib's own markup; texts in it are glyph paths)
