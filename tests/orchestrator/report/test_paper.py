"""What goes into a paper: models x data sets, the appendix, every trial, and the same files by every door."""

import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestrator.report import Report, files
from orchestrator.report.appendix import to_latex_appendix, to_markdown_appendix
from orchestrator.report.csv_table import trials_to_parquet
from orchestrator.report.figures import forest_figure, pair_figure
from orchestrator.report.files import report_files
from orchestrator.report.latex import to_latex
from orchestrator.report.settings import flat_settings
from orchestrator.spec import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from tests.orchestrator.report.test_formats import assert_rows_are_whole
from tests.orchestrator.synthetic import DIGEST, make_record, make_spec, report_on

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


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_table_fits_a_line_of_article(paper: Report, report: Report, tmp_path: Path) -> None:
    bodies = [write(shown) for shown in (paper, report) for write in (to_latex, to_latex_appendix)]
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
        + "\n\\clearpage\n".join(bodies)
        + r"\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_the_appendix_names_settings_seeds_versions_and_the_command(paper: Report, report: Report) -> None:
    text = to_markdown_appendix(report).replace("\\", "")
    for fact in ("| optimization.epochs | 20 | all |", "| seeds | 0, 1, 2, 3, 4, 5 |", "| torch | 2.15.0 |"):
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
    assert ExperimentSpec.model_validate_json(packed["spec.json"]) == report.spec == make_spec()


def test_a_dozen_cells_stay_on_a_page(paper: Report) -> None:
    for draw in (forest_figure, pair_figure):
        width, height = draw(paper).get_size_inches()
        assert width < 16
        assert height < 14


def test_the_appendix_tells_which_data_a_fingerprint_is_of(paper: Report) -> None:
    assert paper.provenance.facts["data_fingerprint"] == tuple(f"{name} 0123456789ab" for name in sorted(DATASETS))
    assert "caltech-101 0123456789ab, oxford-iiit-pet 0123456789ab" in to_markdown_appendix(paper)


def test_a_list_of_things_is_told_field_by_field() -> None:
    """An analysis is no single value; a list of numbers is."""
    document = {"analyses": [{"kind": "receptive_field", "point": {"layer": 2}}], "sizes": [1, 2], "none": []}
    assert dict(flat_settings(document)) == {
        "analyses.receptive_field.kind": "receptive_field",
        "analyses.receptive_field.point.layer": "2",
        "sizes": "1, 2",
        "none": "",
    }
