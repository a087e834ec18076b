"""From the files of stored trials to the images of one pair."""

from pathlib import Path

import numpy as np
import pytest

from orchestrator.planning.hardware import trial_folder
from orchestrator.statistics.comparison import Cell
from orchestrator.stored.shown_images import kept_images_of
from tests.orchestrator.synthetic import make_spec
from tests.orchestrator.test_stored_predictions import CELL, row
from trainers.tasks.detection.task import DetectionConfig
from trainers.tasks.evidence import EVIDENCE_FILE
from trainers.tasks.segmentation.task import SegmentationConfig
from trainers.tasks.shown_images import SHOWN_IMAGES, ShownImage, Told, write_shown_images

SPEC = make_spec(seeds=[0, 1]).model_copy(update={"task": SegmentationConfig()})
ROWS = [row(arm, seed) for arm in ("control", "gaussian", "placebo") for seed in (0, 1)]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    told = Told(np.zeros((4, 4), dtype=np.uint8), np.arange(1), np.full((1, 4), np.nan, "f4"), np.full(1, np.nan, "f4"))
    for each in ROWS:
        folder = tmp_path / trial_folder(each.identity, "cpu-1")
        folder.mkdir(parents=True)
        images = [ShownImage(place, np.full((4, 4, 3), 50, dtype=np.uint8), told, told) for place in (3, 5)]
        write_shown_images(folder / SHOWN_IMAGES, images, ["ground"])
        scores = {"test_index": np.array([3, 5]), "test_image_iou": np.array([0.5, 0.25 * each.seed])}
        np.savez(folder / EVIDENCE_FILE, **scores)
    return tmp_path


def kept(storage: Path | None, spec=SPEC):
    return kept_images_of(spec, [CELL], ROWS, storage)


def test_all_arms_of_the_first_seed(storage: Path) -> None:
    pair = kept(storage)[CELL.key]
    assert (pair.seed, list(pair.by_arm)) == (0, ["control", "gaussian", "placebo"])
    assert [image.place for image in pair.by_arm["gaussian"].shown.images] == [3, 5]
    assert pair.by_arm["gaussian"].scores.scores.tolist() == [0.5, 0.0]


def test_a_seed_whose_control_can_not_be_read_is_passed_over_and_an_arm_left_out(storage: Path) -> None:
    (storage / trial_folder("control-0", "cpu-1") / SHOWN_IMAGES).write_bytes(b"broken")
    (storage / trial_folder("placebo-1", "cpu-1") / SHOWN_IMAGES).unlink()
    pair = kept(storage)[CELL.key]
    assert (pair.seed, list(pair.by_arm)) == (1, ["control", "gaussian"])
    (storage / trial_folder("gaussian-1", "cpu-1") / EVIDENCE_FILE).unlink()
    assert kept(storage) == {}


def test_nothing_where_there_is_nothing_to_read(storage: Path) -> None:
    assert kept(None) == {}
    assert kept(storage, make_spec(seeds=[0, 1])) == {}
    # The scores are another task's.
    assert kept(storage, SPEC.model_copy(update={"task": DetectionConfig()})) == {}
    assert kept_images_of(SPEC, [Cell(model="other", dataset="data")], ROWS, storage) == {}
