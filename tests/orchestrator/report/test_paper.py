"""What goes into a paper: models x data sets, the appendix, every trial, and the same files by every door."""

import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from orchestrator.report import Report
from orchestrator.report.formats import folder as files
from orchestrator.report.formats.appendix import to_latex_appendix, to_markdown_appendix
from orchestrator.report.formats.folder import report_files
from orchestrator.report.formats.latex import to_latex
from orchestrator.report.sections.comparisons.figures import forest_figure, pair_figure
from orchestrator.report.sections.comparisons.latex_published import published_table
from orchestrator.report.sections.hyperparameters import flat_settings
from orchestrator.report.sections.receptive_fields.latex import field_tables
from orchestrator.report.sections.trials import trials_to_parquet
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.anytime import anytime_interval
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Basis, Cell
from orchestrator.statistics.look_plan import Looks
from orchestrator.statistics.looks import PlannedLooks, boundary
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.status import TrialStatus
from tests.orchestrator.planted_maps import planted_map, rms_radius_tokens, with_fields
from tests.orchestrator.report.test_formats import assert_rows_are_whole
from tests.orchestrator.synthetic import DIGEST, make_record, make_records, make_spec, report_on
from trainers.tasks.detection.task import DetectionConfig

MODELS = ("vit_relpos_small_patch16_224", "vit_relpos_medium_patch16_224", "vit_relpos_base_patch16_224")
DATASETS = ("oxford-iiit-pet", "caltech-101", "stanford-cars", "stanford-dogs")


@pytest.fixture(scope="module")
def paper() -> Report:
    """The paper's table: three models on four data sets."""
    cells = [Cell(model=model, dataset=dataset) for dataset in DATASETS for model in MODELS]
    spec = make_spec(seeds=[0, 1, 2], arms=make_spec().model_dump(mode="json")["arms"][:2])
    trials = [
        make_record(arm.name, seed, cell, num_epochs=3, num_layers=12)
        for cell in cells
        for seed in spec.seeds
        for arm in spec.arms
    ]
    return report_on(spec, trials, cells=cells)


@pytest.fixture(scope="module")
def with_maps() -> Report:
    """Three arms with planted receptive fields; the name of one arm is longer than its column."""
    arms = make_spec().model_dump(mode="json")["arms"]
    arms[2]["name"] = "permuted_gaussian_of_the_same_width"
    spec = make_spec(name="seen", arms=arms, analyses=[{"kind": "receptive_field", "every_epochs": 2}])
    records = [with_fields(record) for record in make_records(make_spec(), num_epochs=3)]
    names = {"placebo": arms[2]["name"]}
    return report_on(spec, [record.model_copy(update={"arm": names.get(record.arm, record.arm)}) for record in records])


def without_widths(report: Report) -> Report:
    fields = report.receptive_fields
    kept = tuple(each for each in fields.comparisons if "rms_radius" not in each.metric)
    return report.model_copy(update={"receptive_fields": fields.model_copy(update={"comparisons": kept})})


def test_receptive_fields_are_a_table_of_the_paper(with_maps: Report) -> None:
    """Of planted maps, measured here again; interval by SciPy."""
    (body,) = field_tables(with_maps)
    assert body in to_latex(with_maps)
    assert r"% \includegraphics[width=\linewidth]{receptive_field_curves.png}" in to_latex(with_maps)
    assert_rows_are_whole(body)
    before, after, control = (
        [rms_radius_tokens(planted_map(arm, seed, moment)) for seed in range(6)]
        for arm, moment in (("gaussian", "initial"), ("gaussian", "final"), ("control", "final"))
    )
    level, difference = body[body.index("gaussian & 6") :].splitlines()[:2]
    numbers = [rf"${np.mean(values):.2f} \pm {np.std(values, ddof=1):.2f}$" for values in (before, after)]
    assert level.startswith(f"gaussian & 6 & {numbers[0]} & {numbers[1]} & -- & $12.5")
    interval = stats.ttest_rel(after, control).confidence_interval(0.95)
    effect, low, high = map(float, re.findall(r"[+-][0-9.]+", difference)[:3])
    assert (effect, low, high) == pytest.approx((np.mean(after) - np.mean(control), *interval), abs=5e-4)
    for words in ("best validation epoch", "outside Holm's family", "$p$ is not shown"):
        assert words in body
    assert field_tables(with_maps.model_copy(update={"receptive_fields": None})) == []


def test_what_is_compared_elsewhere_is_named_there(with_maps: Report) -> None:
    """The primary metric has its comparison in the table of the answers; others may have none."""
    (dashes,) = field_tables(without_widths(with_maps))
    assert r"$\Delta$ & 6 & \multicolumn{2}{r@{\hspace{10pt}}}{--}" in dashes
    primary = without_widths(with_maps).model_copy(update={"metric": "receptive_field/rms_radius_tokens"})
    assert r"{Table~\ref{tab:seen}}" in field_tables(primary)[0]


def test_nothing_trained_is_one_column_a_metric(with_maps: Report) -> None:
    fields = with_maps.receptive_fields
    levels = tuple(each.model_copy(update={"initial_mean": None, "initial_sd": None}) for each in fields.levels)
    untrained = with_maps.model_copy(update={"receptive_fields": fields.model_copy(update={"levels": levels})})
    (body,) = field_tables(untrained)
    assert_rows_are_whole(body)
    assert "weights as given" in body
    assert "before" not in body.replace("before the final norm", "")


def test_one_table_has_a_row_per_model_and_a_group_per_data_set(paper: Report) -> None:
    matrix = to_latex(paper).split(r"\end{table}")[0]
    for dataset in DATASETS:
        assert rf"\multicolumn{{3}}{{c}}{{{dataset}}}" in matrix
    rows = [line for line in matrix.splitlines() if "raisebox" in line]
    assert len(rows) == len(MODELS)
    for model, row in zip(MODELS, rows, strict=True):
        effects = re.findall(r"\$(?:\\mathbf\{)?([+-][0-9.]+)", row)
        mine = [comparison.effect for comparison in paper.comparisons if comparison.cell.model == model]
        assert effects == [f"{effect:+.{paper.decimals}f}" for effect in mine]
    assert_rows_are_whole(to_latex(paper))


NUMBERS = {"ap_box": (40.0, 0.11), "ap_mask": (36.0, 0.10)}
"""Metric -> the control's mean and the treatment's effect."""


@pytest.fixture(scope="module")
def detecting() -> Report:
    """Box and mask AP of three arms on seven seeds; the placebo's have no effect, and no metrics are there of one."""
    spec = make_spec(seeds=list(range(7)))
    report = report_on(spec, make_records(spec))
    noise = np.random.RandomState(0).normal(0, 0.1, size=(7, 2))
    trials = []
    for trial in report.trials:
        size = {"control": 0, "gaussian": 1, "placebo": -2}[trial.arm]
        metrics = {
            f"test/{name}": (level + size * effect + (trial.arm != "control") * noise[trial.seed, place]) / 100
            for place, (name, (level, effect)) in enumerate(NUMBERS.items())
        }
        trials.append(trial.model_copy(update={"metrics": metrics}))
    spec = report.spec.model_copy(update={"task": DetectionConfig()})
    return report.model_copy(update={"spec": spec, "trials": tuple(trials), "decimals": 2})


def test_what_publications_print_stands_side_by_side(detecting: Report, paper: Report) -> None:
    """Means, paired differences, and intervals by SciPy."""
    (body,) = published_table(detecting)
    assert body in to_latex(detecting)
    assert r"Arm & \multicolumn{2}{c}{AP$_{\mathrm{box}}$} & \multicolumn{2}{c}{AP$_{\mathrm{mask}}$} \\" in body
    assert r"control & $40.00$ & & $36.00$ & \\[1pt]" in body
    noise = np.random.RandomState(0).normal(0, 0.1, size=(7, 2))
    for arm, size in (("gaussian", 1), ("placebo", -2)):
        place = next(i for i, line in enumerate(body.splitlines()) if line.startswith(f"{arm} & "))
        row, below = body.splitlines()[place : place + 2]
        told = [float(each) for each in re.findall(r"[+-]?[0-9]+\.[0-9]+", row + below.replace("[1pt]", ""))]
        expected = []
        for (level, effect), each in zip(NUMBERS.values(), noise.T, strict=True):
            expected.append((level + size * effect + each.mean(), size * effect + each.mean()))
        ends = [stats.ttest_1samp(size * effect + each, 0).confidence_interval(0.95)
                for (_, effect), each in zip(NUMBERS.values(), noise.T, strict=True)]  # fmt: skip
        assert told == pytest.approx([*expected[0], *expected[1], *ends[0], *ends[1]], abs=6e-3)
    assert list(published_table(paper)) == []


def test_the_claimed_metric_stands_there_as_in_the_table_of_the_answers(detecting: Report) -> None:
    """Under looks its interval is the repeated one, wider than a t interval; of the others it is any-time."""
    outcomes = [
        TrialOutcome(
            cell=trial.cell, arm=trial.arm, seed=trial.seed, status=TrialStatus.SUCCEEDED, metrics=trial.metrics
        )
        for trial in detecting.trials
    ]
    comparisons = compare_arms(
        cells=detecting.cells,
        control="control",
        treatments=["gaussian", "placebo"],
        seeds=detecting.seeds,
        outcomes=outcomes,
        metric="test/ap_box",
        confidence=0.95,
        equivalence_margin=0.0,
        inference=PlannedLooks(Looks(at=(7, 9))),
    )
    claimed = {"metric": "test/ap_box", "comparisons": comparisons}
    (body,) = published_table(detecting.model_copy(update=claimed))
    noise = np.random.RandomState(0).normal(0, 0.1, size=(7, 2))
    (first, _), (_, mask) = NUMBERS.values()
    lines = body.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("gaussian & "))
    told = [float(each) for each in re.findall(r"[+-]?[0-9]+\.[0-9]+", lines[place] + lines[place + 1])]
    # The first of two looks of O'Brien and Fleming: its interval is of that look's own level.
    level = boundary("obrien_fleming", (7, 9), 0.05)[0]
    of_box = stats.ttest_1samp(0.11 + noise[:, 0], 0).confidence_interval(1 - level)
    of_mask = anytime_interval(list(mask + noise[:, 1]), 0.95)
    assert told[0] == pytest.approx(first + 0.11 + noise[:, 0].mean(), abs=6e-3)
    assert told[1] == pytest.approx(comparisons[0].effect, abs=6e-3)
    assert told[4:8] == pytest.approx([*of_box, *of_mask], abs=6e-3)
    assert r"95 \% repeated $t$ interval of the planned looks of AP$_{\mathrm{box}}$, and any-time $t$ interval" in body
    # A metric that publications do not print: all of them stand beside it.
    elsewhere = tuple(each.model_copy(update={"basis": Basis.LOOKS}) for each in detecting.comparisons)
    (beside,) = published_table(detecting.model_copy(update={"comparisons": elsewhere}))
    assert "repeated" not in beside
    assert r"95 \% any-time $t$ interval. " in beside


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_table_fits_a_line_of_article(
    paper: Report, report: Report, with_maps: Report, detecting: Report, tmp_path: Path
) -> None:
    bodies = [write(shown) for shown in (paper, report, detecting) for write in (to_latex, to_latex_appendix)]
    fields = with_maps.receptive_fields
    cells = [cell.model_copy(update={"dataset": f"set-{number}"}) for cell in with_maps.cells for number in range(9)]
    levels = [level.model_copy(update={"cell": cell}) for cell in cells for level in fields.levels]
    many = fields.model_copy(update={"levels": tuple(levels)})
    wide = with_maps.model_copy(update={"cells": tuple(cells), "receptive_fields": many})
    assert len(field_tables(wide)) > 1
    bodies += [*field_tables(with_maps), *field_tables(wide)]
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
        + "\n\\clearpage\n".join(bodies)
        + r"\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "too large for page" not in done.stdout


def test_the_appendix_names_settings_seeds_versions_and_the_command(paper: Report, report: Report) -> None:
    text = to_markdown_appendix(report).replace("\\", "")
    for fact in ("| optimization.epochs | 20 | all |", "| seeds | 0, 1, 2, 3, 4, 5, 6 |", "| torch | 2.15.0 |"):
        assert fact in text
    assert "| attention_bias.kind | permuted_gaussian | placebo |" in text
    assert "sigmalab run spec.json" in text
    assert text.rstrip().endswith(f"digest `{DIGEST}`")
    assert_rows_are_whole(to_latex_appendix(paper))


def test_parquet_has_every_trial_with_types(report: Report) -> None:
    table = pq.read_table(io.BytesIO(trials_to_parquet(report)))
    assert table.num_rows == len(report.trials)
    assert table.column("test/top1").to_pylist() == [trial.metrics["test/top1"] for trial in report.trials]
    assert table.column("seed").to_pylist() == [trial.seed for trial in report.trials]
    assert table.schema.metadata[b"digest"] == DIGEST.encode()


def test_the_archive_holds_what_a_folder_holds(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = list(report_files(report))
    monkeypatch.setattr(files, "report_files", lambda _: iter(drawn))
    files.write_report(report, tmp_path)
    with zipfile.ZipFile(io.BytesIO(files.to_zip(report))) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    assert packed == {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert {"effects.png", "pairs.svg", "sigma_heat_map.png", "position.png", "appendix.tex"} <= set(packed)
    # The spec beside them asks the same question again.
    assert ExperimentSpec.model_validate_json(packed["spec.json"]) == report.spec == make_spec(seeds=list(range(7)))


def test_a_dozen_cells_stay_on_a_page(paper: Report) -> None:
    for draw in (forest_figure, pair_figure):
        width, height = draw(paper).get_size_inches()
        assert width < 16
        assert height < 14


def test_the_appendix_tells_which_data_a_fingerprint_is_of(paper: Report) -> None:
    assert paper.provenance.facts["data_fingerprint"] == tuple(f"{name} 0123456789ab" for name in sorted(DATASETS))
    assert "caltech-101 0123456789ab, oxford-iiit-pet 0123456789ab" in to_markdown_appendix(paper)


def test_a_list_of_things_is_told_field_by_field() -> None:
    """An analysis is not a single value; a list of numbers is."""
    document = {"analyses": [{"kind": "receptive_field", "point": {"layer": 2}}], "sizes": [1, 2], "none": []}
    assert dict(flat_settings(document)) == {
        "analyses.receptive_field.kind": "receptive_field",
        "analyses.receptive_field.point.layer": "2",
        "sizes": "1, 2",
        "none": "",
    }
