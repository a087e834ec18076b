"""Every format shows the same numbers, escapes what a user wrote, and comes out the same twice."""

import csv
import io
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from orchestrator.report import Report
from orchestrator.report.drawing.interval_glyph import common_scale, interval_glyph
from orchestrator.report.drawing.panels import render
from orchestrator.report.formats.folder import write_report
from orchestrator.report.formats.html import to_html
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.formats.markdown import to_markdown, to_short_markdown
from orchestrator.report.formats.terminal import to_text
from orchestrator.report.page.templating import STYLES
from orchestrator.report.sections.comparisons.csv import comparisons_to_csv
from orchestrator.report.sections.comparisons.figures import forest_figure, pair_figure
from orchestrator.report.sections.comparisons.tables import comparison_table
from orchestrator.report.sections.learned_sigma.curves_figure import sigma_figure
from orchestrator.report.sections.learned_sigma.figures import heat_figure
from orchestrator.report.sections.learning_curves.figure import curve_figure
from orchestrator.report.sections.position_bias.fits_figure import position_figure
from orchestrator.report.sections.trials import trials_to_csv
from orchestrator.report.words.latex_text import escape
from orchestrator.statistics.comparison import Cell, Verdict
from orchestrator.statistics.discordant import DiscordantImages
from orchestrator.status import ExperimentStatus, TrialStatus
from tests.orchestrator.synthetic import CELL, DIGEST, make_record, make_records, make_spec, report_on


@pytest.fixture(scope="module")
def nasty() -> Report:
    """A question and an error that are full of markup, and nothing finished."""
    spec = make_spec(question="<script>alert(1)</script> | 50% & $x_1$ \\ ~ ^ {a} # `b` *c*")
    trials = [
        trial.model_copy(update={"status": TrialStatus.FAILED, "error": "bad | line\n<b>last</b> 100%", "result": None})
        for trial in make_records(spec)
    ]
    return report_on(spec, trials)


def test_json_comes_back(report: Report) -> None:
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_text_ends_with_the_answer(report: Report) -> None:
    text = to_text(report)
    assert "gaussian   improved" in text
    assert text.index("Caveats") < text.index("Answer") < text.index(DIGEST)
    assert max(len(line) for line in text.splitlines() if line.startswith("  * ")) <= 100


def test_markdown_tables_are_well_formed(report: Report, nasty: Report) -> None:
    for shown in (report, nasty):
        widths = {
            len(re.findall(r"(?<!\\)\|", line))
            for line in grid_of(to_markdown(shown), "| model")
            if line.startswith("|")
        }
        assert len(widths) == 1
    assert "<script>" not in to_markdown(nasty)
    assert r"\<script\>" in to_short_markdown(nasty)


def test_every_format_tells_the_same_words_and_simultaneous_intervals(report: Report) -> None:
    table = json.loads(summary_table(report))
    assert [row[3] for row in table["data"]] == ["improved", "inconclusive"]
    plain = {
        "terminal": to_text(report),
        "markdown": to_markdown(report).replace("\\", ""),
        "short markdown": to_short_markdown(report).replace("\\", ""),
        "latex": to_latex(report).replace("$", ""),
        "mlflow": json.dumps(table),
        "html": to_html(report, pictures={}),
    }
    for comparison in report.comparisons:
        text = comparison.simultaneous_text(lambda end: f"{end:.{report.decimals}f}")
        assert re.fullmatch(r"\[-?[\d.]+, [\d.]+\]", text)
        for name, shown in plain.items():
            assert text in shown, name
    for name, shown in plain.items():
        assert name == "mlflow" or "imultaneous: right for all 2 rows at once" in shown, name
    (gaussian, _) = csv.DictReader(io.StringIO(comparisons_to_csv(report, report.comparisons)))
    assert gaussian["verdict"] == "improved"
    assert float(gaussian["simultaneous_low"]) == report.comparisons[0].simultaneous_low > 0
    assert float(gaussian["p_holm_floor"]) == 2 * 2 / 2**7


def test_rows_that_so_few_pairs_leave_without_an_end_say_so() -> None:
    spec = make_spec()
    report = report_on(spec, make_records(spec))
    assert report.comparisons[0].verdict is Verdict.SUGGESTIVE
    assert report.comparisons[0].simultaneous_low is report.comparisons[0].simultaneous_high is None
    assert "-: these pairs bound nothing there." in to_text(report)


def test_an_end_that_holm_alone_confirms_is_0_and_left_out(report: Report) -> None:
    first, second = report.comparisons
    by_step = first.model_copy(update={"simultaneous_low": 0.0, "simultaneous_high": None})
    shown = report.model_copy(update={"comparisons": (by_step, second)})
    assert "(0.00, ∞)" in to_text(shown)
    assert r"$(0.00, \infty)$" in to_latex(shown)
    worse = {"verdict": Verdict.WORSE, "simultaneous_low": -3.0, "simultaneous_high": 0.0}
    assert first.model_copy(update=worse).simultaneous_text(str) == "[-3.0, 0.0)"
    assert second.model_copy(update={"simultaneous_low": 0.0}).simultaneous_text(str).startswith("[0.0, ")


def summary_table(report: Report) -> str:
    """As MLflow gets it."""
    table = comparison_table(report.for_people())
    return json.dumps({"columns": table.columns, "data": table.rows})


def test_images_that_only_one_arm_got_right_are_counts_without_a_p(report: Report) -> None:
    found = DiscordantImages(num_pairs=7, num_images=3500, only_treatment=412, only_control=98)
    shown = report.model_copy(update={"discordant": (found, None)})
    for text in (to_text(shown), to_markdown(shown)):
        assert "only one right" in text
        assert "412 : 98" in text
        assert "412 : 98, p" not in text
        assert "mcnemar" not in text.lower()
    assert "only one right" not in to_text(report)


def grid_of(markdown: str, start: str) -> list[str]:
    return markdown[markdown.index(start) :].split("\n\n")[0].splitlines()


def test_latex_is_bold_only_if_p_confirms(report: Report) -> None:
    rows = [line for line in to_latex(report).splitlines() if line.startswith(("gaussian & 7", "placebo & 7"))]
    gaussian, placebo = rows
    assert r"$\mathbf{+" in gaussian
    assert r"\mathbf" not in placebo
    caption = next(line for line in to_latex(report).splitlines() if line.startswith(r"\caption"))
    assert "7 paired seeds" in caption
    assert "test split" in caption
    assert "sign-flip permutation test" in caption
    assert to_latex(report).replace(r"\allowbreak{}", "").count(rf"\texttt{{{DIGEST}}}") == 3


def test_latex_escapes(report: Report) -> None:
    assert escape("50% & $x_1$ {a} #~^\\") == (
        r"50\% \& \$x\_1\$ \{a\} \#\textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert escape("é, σ, 数, [x], *") == "é, ?, ?, {[}x], {*}"  # pdfLaTeX stops at letters that its fonts lack
    body = to_latex(report)
    assert body.count(r"\begin{table}") == body.count(r"\end{table}") == 3
    assert not re.search(r"(?<![\\a-z:])_", body.split(r"\midrule")[1].split(r"\bottomrule")[0])
    assert_rows_are_whole(body)


def assert_rows_are_whole(body: str) -> None:
    """As many cells in each row as the table has columns."""
    # Names of models are small tables inside, aligned by `[t]`.
    for table in body.split(r"\begin{tabular}{")[1:]:
        columns = re.sub(r"@\{\\hspace\{[^}]*\}\}", "", table[: table.index("\n")].replace("@{}", ""))
        columns = re.sub(r"p\{[^}]*\}", "p", columns)
        for line in table.split(r"\midrule")[1].splitlines():
            if line.endswith((r"\\", r"\\*", r"\\[1pt]")):
                spans = [int(width) - 1 for width in re.findall(r"\\multicolumn\{(\d+)\}", line)]
                assert len(re.findall(r"(?<!\\)&", line)) + sum(spans) == len(columns.strip("}")) - 1, line


def test_csv_has_a_row_per_comparison_and_per_trial(report: Report) -> None:
    comparisons = list(csv.DictReader(io.StringIO(comparisons_to_csv(report, report.comparisons))))
    assert [row["treatment"] for row in comparisons] == ["gaussian", "placebo"]
    assert float(comparisons[0]["effect"]) == report.comparisons[0].effect
    assert comparisons[0]["digest"] == DIGEST
    trials = list(csv.DictReader(io.StringIO(trials_to_csv(report))))
    assert len(trials) == 21
    assert float(trials[0]["test/top1"]) == report.trials[0].metrics["test/top1"]


class Outside(HTMLParser):
    """Collects tags that need a closing one, and whatever a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "br", "img", "input", "!doctype"):
            self.open.append(tag)
        # An SVG's `href="#id"` stays in the page.
        links = [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.loaded += [link for link in links if not link.startswith(("#", "data:image/"))]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_self_contained_and_escaped(report: Report, nasty: Report) -> None:
    for shown in (report, nasty):
        page = to_html(shown)
        parser = Outside()
        parser.feed(page)
        assert parser.open == []
        assert parser.loaded == []
        assert "<script" not in page
    assert "&lt;script&gt;" in to_html(nasty)
    assert page.count('<svg class="interval ') == 2


def test_the_page_is_one_of_the_service_frozen(report: Report) -> None:
    page = to_html(report)
    assert (STYLES / "sigmalab.css").read_text() in page
    assert "default-src 'none'" in page
    # One cell: the first table says all. Of several there is the matrix, whose cells lead nowhere.
    assert '<table class="matrix' not in page
    cells, spec = [CELL, Cell(model=CELL.model, dataset="other")], make_spec()
    trials = [make_record(arm.name, seed, cell) for cell in cells for seed in spec.seeds for arm in spec.arms]
    several = to_html(report_on(spec, trials, cells=cells))
    assert '<table class="matrix">' in several
    assert several.count('<td data-column="other">\n<div class="line"><span class="arm">') == 1


def test_simultaneous_intervals_are_drawn_beside_the_single_ones(report: Report) -> None:
    bounded = report.comparisons[0].model_copy(update={"simultaneous_low": 1.5, "simultaneous_high": 12.5})
    unbounded = report.comparisons[1].model_copy(update={"simultaneous_low": None, "simultaneous_high": None})
    shown = report.model_copy(update={"comparisons": (bounded, unbounded)})
    (axes,) = forest_figure(shown).axes
    thin = [
        line.get_xdata() for line in axes.get_lines() if line.get_linewidth() == 0.9 and len(set(line.get_ydata())) == 1
    ]
    assert [list(ends) for ends in thin] == [[1.5, 12.5], list(axes.get_xlim())]
    assert axes.get_xlim()[1] > 12.5
    assert "right for all 2 rows at once (to the frame: without an end)" in axes.get_xlabel()
    scale = common_scale(shown.comparisons)
    drawn = interval_glyph(bounded, scale, shown.decimals)
    assert "simultaneous [1.50, 12.50]" in drawn
    widths = [float(end[1]) - float(end[0]) for end in re.findall(r'x1="([\d.]+)" x2="([\d.]+)" y1="12', drawn)]
    assert widths[1] > widths[0] > 0
    assert 'x1="0.0" x2="130.0"' in interval_glyph(unbounded, scale, shown.decimals)


def test_what_may_still_change_is_drawn_and_said_as_interim(report: Report) -> None:
    running = report.model_copy(
        update={"experiment": report.experiment.model_copy(update={"status": ExperimentStatus.RUNNING})}
    )
    assert "nterim" not in to_html(report).partition("</style>")[2]
    page = to_html(running)
    assert page.count('aria-label="interim: effect') == 2
    assert '<p class="interim">' in page
    # Of each comparison the interval in the table, and its pairs' differences with both intervals.
    assert page.count("stroke-dasharray=") == 2 * (1 + 2)
    assert page.count("mark hollow") == 2 * 2
    assert "mark filled" not in page


@pytest.mark.parametrize("draw", [forest_figure, pair_figure, curve_figure, sigma_figure])
@pytest.mark.parametrize("kind", ["svg", "png"])
def test_figures_come_out_the_same_twice(report: Report, draw: object, kind: str) -> None:
    assert render(draw(report), kind) == render(draw(report), kind)


def test_nothing_is_clipped(report: Report, nasty: Report) -> None:
    """Every text of a figure lies within its page."""
    for shown in (report, nasty):
        for draw in (forest_figure, pair_figure, curve_figure, sigma_figure):
            figure = draw(shown)
            FigureCanvasAgg(figure).draw()
            page = figure.bbox
            for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text") and artist.get_text()):
                box = text.get_window_extent()
                assert page.x0 - 1 <= box.x0, text.get_text()
                assert box.x1 <= page.x1 + 1, text.get_text()
                assert page.y0 - 1 <= box.y0, text.get_text()
                assert box.y1 <= page.y1 + 1, text.get_text()


def test_files_are_written_whole_and_again(report: Report, tmp_path: Path) -> None:
    files = write_report(report, tmp_path / "deep" / "folder")
    assert {file.name for file in (tmp_path / "deep" / "folder").iterdir()} == {file.name for file in files.values()}
    before = {name: file.read_bytes() for name, file in files.items()}
    assert write_report(report, tmp_path / "deep" / "folder") == files
    assert {name: file.read_bytes() for name, file in files.items()} == before
    assert Report.model_validate_json(files["json"].read_bytes()) == report


def test_long_labels_stay_in_their_panels() -> None:
    spec = make_spec(seeds=[0, 1])
    cells = [
        Cell(model=f"vit_relpos_medium_patch16_224_pretrained_pos_reinitialise_{place}", dataset="stanford_cars-paper")
        for place in range(2)
    ]
    trials = [make_record(arm.name, seed, cell) for cell in cells for seed in spec.seeds for arm in spec.arms]
    report = report_on(spec, trials, cells=cells)
    for draw in (pair_figure, curve_figure, sigma_figure, heat_figure, position_figure):
        figure = draw(report)
        # The first file lays the figure out, the second finds it so.
        assert render(figure, "png") == render(figure, "png")
        renderer = FigureCanvasAgg(figure).get_renderer()
        titles = [axes.title.get_window_extent(renderer) for axes in figure.axes if axes.get_title()]
        assert len(titles) >= 2
        assert all(not some.overlaps(other) for some, other in itertools.combinations(titles, 2))
        assert all(figure.bbox.x0 <= title.x0 and title.x1 <= figure.bbox.x1 for title in titles)
