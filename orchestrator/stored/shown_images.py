"""Images that trials have kept for pictures: those of one seed for each cell, where the files can be reached."""

import logging
from collections.abc import Sequence
from pathlib import Path

from orchestrator.report.content.shown_images import KeptImages, KeptPair
from orchestrator.report.sections.shown_images.choice import MAX_CELLS, image_metric
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import TrialRow
from orchestrator.stored.files import UNREADABLE_ARRAYS, find_trial_file
from trainers.metrics import Metric
from trainers.tasks.evidence import EVIDENCE_FILE, read_image_scores
from trainers.tasks.shown_images import SHOWN_IMAGES, read_shown_images

_log = logging.getLogger(__name__)


def kept_images_of(
    spec: ExperimentSpec, cells: Sequence[Cell], rows: Sequence[TrialRow], storage: Path | None
) -> dict[str, KeptPair]:
    """Cell key -> what its arms have kept with the first seed of which the control and a treatment can be read.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec; only the first `MAX_CELLS` are read.
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
    """
    metric = image_metric(spec.task.measured)
    if storage is None or metric is None or not spec.task.shows_images:
        return {}
    found = {cell.key: _pair_of(spec, cell, rows, storage, metric) for cell in cells[:MAX_CELLS]}
    return {key: pair for key, pair in found.items() if pair is not None}


def _pair_of(
    spec: ExperimentSpec, cell: Cell, rows: Sequence[TrialRow], storage: Path, metric: Metric
) -> KeptPair | None:
    by_place = {
        (row.arm, row.seed): row
        for row in rows
        if (row.cell, row.phase, row.status) == (cell.key, Phase.CONFIRM, TrialStatus.SUCCEEDED)
    }
    for seed in spec.seeds:
        kept = {
            arm.name: images
            for arm in spec.arms
            if (arm.name, seed) in by_place
            and (images := _kept(by_place[arm.name, seed], storage, metric.per_image)) is not None
        }
        if spec.control.name in kept and len(kept) > 1:
            return KeptPair(seed, kept)
    return None


def _kept(row: TrialRow, storage: Path, per_image: str) -> KeptImages | None:
    images, scores = (find_trial_file(row, storage, name) for name in (SHOWN_IMAGES, EVIDENCE_FILE))
    if images is None or scores is None:
        return None
    try:
        return KeptImages(read_shown_images(images), read_image_scores(scores, "test", per_image))
    except UNREADABLE_ARRAYS as error:
        _log.warning("images of trial %s can't be read: %s", row.identity, error)
    return None
