"""Event files that others have written, compared: in the form of torch's writer, and in that of TensorBoard's own."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary import Writer
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from orchestrator.foreign.columns import results_of
from orchestrator.foreign.measure import measure_of
from orchestrator.foreign.report import foreign_report
from orchestrator.foreign.results import ForeignQuestion, ForeignResultsError
from orchestrator.tracking.tensorboard.past_runs import past_runs

FORM = "{dataset}/{arm}_s{seed}"


def as_torch_writes(folder: Path, values: list[float]) -> None:
    """What `torch.utils.tensorboard.SummaryWriter.add_scalar` leaves behind."""
    writer = EventFileWriter(str(folder))
    for step, value in enumerate(values):
        summary = Summary(value=[Summary.Value(tag="val/top1", simple_value=value)])
        writer.add_event(Event(wall_time=1e9 + step, step=step, summary=summary))
    writer.close()


def as_tensorboard_writes(folder: Path, values: list[float]) -> None:
    writer = Writer(str(folder))
    for step, value in enumerate(values):
        writer.add_scalar("val/top1", value, step)
    writer.close()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two arms of one data set, three seeds; the last of three steps counts."""
    folder = tmp_path / "runs"
    for seed in range(3):
        as_torch_writes(folder / "pets" / f"base_line_s{seed}", [10.0, 99.0, 50.0 + seed])
        as_tensorboard_writes(folder / "pets" / f"mine_s{seed}", [10.0, 0.0, 52.0 + 2 * seed])
    as_torch_writes(folder / "notes", [1.0])
    return folder


def test_runs_are_paired_by_their_paths(runs: Path) -> None:
    table = past_runs(runs, FORM)
    results = results_of(table, "val/top1")
    question = ForeignQuestion("base_line", "val/top1", measure_of("val/top1", None, "%", results.results))
    report = foreign_report(results, question, name="runs", read_at=datetime.now(UTC))
    (comparison,) = report.comparisons
    assert comparison.cell.dataset == "pets"
    # 52 - 50, 54 - 51, 56 - 52
    assert [pair.effect for pair in comparison.pairs] == pytest.approx([2.0, 3.0, 4.0])
    assert report.origin is not None
    assert (report.origin.num_rows, report.origin.num_passed_over) == (7, 1)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (
            "{arm}/{seed}/x",
            r"none of the 7 runs below .* is of the form `\{arm\}/\{seed\}/x`; there are notes, pets/",
        ),
        ("{arm}", "is not a pattern of runs: it needs {arm} and {seed}".replace("{", r"\{")),
        ("{arm}/{seed}/{lr}", "is not a pattern of runs"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(runs: Path, pattern: str, says: str) -> None:
    with pytest.raises(ForeignResultsError, match=says):
        past_runs(runs, pattern)


def test_a_folder_without_event_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForeignResultsError, match="no event file of TensorBoard below"):
        past_runs(tmp_path / "none", FORM)
