"""The report as one self-contained page: no script, no font, no picture from elsewhere."""

from collections.abc import Callable, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from orchestrator.report.bias_figures import learned_figures
from orchestrator.report.bias_view_figure import bias_view_figures
from orchestrator.report.content import Report
from orchestrator.report.curve_figure import curve_figure
from orchestrator.report.field_captions import INTRODUCTION, field_captions
from orchestrator.report.field_curve_figure import field_figures
from orchestrator.report.field_tables import (
    field_comparison_table,
    field_level_table,
    field_notes,
    left_out_notes,
    mean_field_table,
    remark_notes,
    unreadable_notes,
)
from orchestrator.report.figures import forest_figure, pair_figure, render
from orchestrator.report.interval_svg import interval_svg
from orchestrator.report.search_figure import has_candidates, search_figure
from orchestrator.report.search_tables import search_overview, search_table
from orchestrator.report.tables import (
    bias_table,
    comparison_table,
    exclusion_table,
    footnotes,
    pair_table,
    pairing_table,
    pooled_table,
    position_table,
    provenance_table,
    settings_table,
    sigma_by_dataset_table,
    without_constant_columns,
)
from trainers.analyses.gaussian_fit import GOOD_R_SQUARED

# Autoescape is on for all names: what a spec says is text, never markup.
_TEMPLATES = Environment(
    loader=PackageLoader("orchestrator.report", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def to_html(report: Report, pictures: Mapping[str, bytes] | None = None) -> str:
    """The whole page.

    Args:
        report: the report.
        pictures: its figures as SVG, if they are drawn already (see `draw_svgs`).
    """
    drawn = {name: _inline(svg) for name, svg in (pictures or draw_svgs(report)).items()}
    return _TEMPLATES.get_template("report.html.jinja").render(
        report=report,
        comparisons=without_constant_columns(comparison_table(report)),
        intervals=[Markup(interval_svg(comparison, report)) for comparison in report.comparisons],  # noqa: S704
        notes=footnotes(report),
        pooled=pooled_table(report),
        pairing=without_constant_columns(pairing_table(report)),
        bias=without_constant_columns(bias_table(report.bias)),
        searches=without_constant_columns(search_overview(report)),
        search=without_constant_columns(search_table(report)),
        exclusions=without_constant_columns(exclusion_table(report)),
        pairs=without_constant_columns(pair_table(report)),
        provenance=provenance_table(report),
        figures=drawn,
        by_dataset=sigma_by_dataset_table(report.bias),
        position=without_constant_columns(position_table(report.position)),
        good_r_squared=GOOD_R_SQUARED,
        view_notes=unreadable_notes(report.bias_views.unreadable, what="Position biases") if report.bias_views else (),
        field_levels=without_constant_columns(field_level_table(report.receptive_fields)),
        field_comparisons=without_constant_columns(field_comparison_table(report)),
        field_means=without_constant_columns(mean_field_table(report.receptive_fields)),
        field_introduction=INTRODUCTION,
        field_captions=field_captions(report),
        field_notes=(
            *left_out_notes(report.receptive_fields),
            *remark_notes(report.receptive_fields),
            *field_notes(report.receptive_fields),
        ),
        settings=settings_table(report),
    )


def draw_svgs(report: Report) -> dict[str, bytes]:
    """Name -> every figure of the report as SVG."""
    return {name: render(draw(report), "svg") for name, draw in figures_of(report).items()}


def figures_of(report: Report) -> dict[str, Callable[[Report], Figure]]:
    """Name -> what draws it: effects and pairs always, the rest where there is something to show."""
    figures: dict[str, Callable[[Report], Figure]] = {"effects": forest_figure, "pairs": pair_figure}
    figures |= {"training": curve_figure} if report.curves else {}
    figures |= learned_figures(report)
    figures |= {**bias_view_figures(report), **field_figures(report)}
    return figures | ({"search": search_figure} if has_candidates(report) else {})


def _inline(svg: bytes) -> Markup:
    """An SVG file as an element: without the XML declaration and the document type."""
    text = svg.decode()
    return Markup(text[text.index("<svg") :])  # noqa: S704 (matplotlib's own markup; texts in it are glyph paths)
