"""From the predictions of stored trials to counts of images that only one arm got right."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.planning.hardware import trial_folder
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialOutcome
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import TrialRow
from orchestrator.stored.predictions import discordant_images_of, guesses_of
from trainers.tasks.evidence import EVIDENCE_FILE

CELL = Cell(model="model", dataset="data")
CORRECT = {("control", 0): "1100", ("gaussian", 0): "1011", ("control", 1): "0000", ("gaussian", 1): "1000"}
"""Whether each of four test images was right."""


def row(arm: str, seed: int) -> TrialRow:
    return TrialRow(
        experiment_id="mine",
        identity=f"{arm}-{seed}",
        cell=CELL.key,
        arm=arm,
        seed=seed,
        phase=Phase.CONFIRM,
        status=TrialStatus.SUCCEEDED,
        hardware="cpu-1",
        reused_from=None,
    )


def comparison(metric: str) -> Comparison:
    outcomes = [
        TrialOutcome(cell=CELL, arm=arm, seed=seed, status=TrialStatus.SUCCEEDED, metrics={metric: 0.5 + 0.1 * seed})
        for arm, seed in CORRECT
    ]
    (found,) = compare_arms(
        cells=[CELL],
        control="control",
        treatments=["gaussian"],
        seeds=[0, 1],
        outcomes=outcomes,
        metric=metric,
        confidence=0.95,
        equivalence_margin=0.0,
    )
    return found


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    for (arm, seed), right in CORRECT.items():
        # The second pair's files lie below its experiment, as with `reuse: never`.
        folder = (tmp_path / "mine" if seed else tmp_path) / trial_folder(f"{arm}-{seed}", "cpu-1")
        folder.mkdir(parents=True)
        hits = np.array([letter == "1" for letter in right])
        arrays = {"test_index": np.arange(4), "test_correct": hits, "val_index": np.arange(4), "val_correct": ~hits}
        arrays |= {"test_label": np.array([2, 0, 2, 2]), "val_label": np.array([0, 0, 1, 1])}
        np.savez(folder / EVIDENCE_FILE, **arrays)
    return tmp_path


def test_discordant_images_are_counted_on_the_split_of_the_metric(storage: Path) -> None:
    rows = [row(arm, seed) for arm, seed in CORRECT]
    (on_test,) = discordant_images_of([comparison("test/top1")], rows, storage, metric_named("test/top1"))
    (on_val,) = discordant_images_of([comparison("best_val/top1")], rows, storage, metric_named("best_val/top1"))
    assert on_test is not None
    assert on_val is not None
    assert (on_test.num_pairs, on_test.num_images, on_test.only_treatment, on_test.only_control) == (2, 8, 3, 1)
    assert (on_val.only_treatment, on_val.only_control) == (1, 3)


@pytest.mark.parametrize("metric", ["test/loss", "test/top5", "receptive_field/sigma_tokens"])
def test_hits_stand_beside_no_other_metric(storage: Path, metric: str) -> None:
    rows = [row(arm, seed) for arm, seed in CORRECT]
    assert discordant_images_of([comparison(metric)], rows, storage, metric_named(metric)) == (None,)


def test_pairs_without_files_are_left_out(storage: Path) -> None:
    rows = [row(arm, seed) for arm, seed in CORRECT]
    (storage / trial_folder("gaussian-0", "cpu-1") / EVIDENCE_FILE).write_bytes(b"broken")
    (found,) = discordant_images_of([comparison("test/top1")], rows, storage, metric_named("test/top1"))
    assert found is not None
    assert (found.num_pairs, found.only_treatment, found.only_control) == (1, 1, 0)
    assert discordant_images_of([comparison("test/top1")], rows, None, metric_named("test/top1")) == (None,)


def test_naming_the_largest_class_is_asked_of_the_split_of_the_metric(storage: Path) -> None:
    rows = [row(arm, seed) for arm, seed in CORRECT]
    for metric, share in (("test/top1", 0.75), ("best_val/top1", 0.5)):
        found = guesses_of([comparison(metric)], rows, storage, metric_named(metric))
        assert found == {CELL.key: (share, 4)}
    assert guesses_of([comparison("test/top5")], rows, storage, metric_named("test/top5")) == {}
    assert guesses_of([comparison("test/top1")], rows, None, metric_named("test/top1")) == {}
