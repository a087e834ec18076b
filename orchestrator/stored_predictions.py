"""Per-image predictions of stored trials, where their files can be reached; a report does without where not."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.discordant import DiscordantImages, Scored, discordant_images
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import TrialRow
from orchestrator.stored_files import UNREADABLE_ARRAYS, find_trial_file
from trainers.loop import PREDICTIONS

_log = logging.getLogger(__name__)


def discordant_images_of(
    comparisons: Sequence[Comparison], rows: Sequence[TrialRow], storage: Path | None
) -> tuple[DiscordantImages | None, ...]:
    """One entry per comparison; `None` where no pair's predictions can be read.

    Images are right or wrong by their first class: beside a comparison of another metric than top-1 (a loss, a width)
    the counts would be read as that metric's, so there are none.

    Args:
        comparisons: the comparisons.
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
    """
    if storage is None or not storage.is_dir():
        return tuple(None for _ in comparisons)
    by_place = {
        (row.cell, row.arm, row.seed): row
        for row in rows
        if row.phase == Phase.CONFIRM and row.status == TrialStatus.SUCCEEDED
    }
    scored: dict[tuple[str, str, int], Scored | None] = {}
    found: list[DiscordantImages | None] = []
    for comparison in comparisons:
        split, _, name = comparison.metric.rpartition("/")
        if name != "top1":
            found.append(None)
            continue
        split = "test" if split == "test" else "val"
        for arm in (comparison.control, comparison.treatment):
            for pair in comparison.pairs:
                place = (comparison.cell.key, arm, pair.seed)
                if place not in scored and pair.effect is not None and place in by_place:
                    scored[place] = _read(by_place[place], storage, split)
        found.append(discordant_images(_pairs(comparison, scored)))
    return tuple(found)


def _pairs(comparison: Comparison, scored: Mapping[tuple[str, str, int], Scored | None]) -> list[tuple[Scored, Scored]]:
    pairs = []
    for pair in comparison.pairs:
        control = scored.get((comparison.cell.key, comparison.control, pair.seed))
        treatment = scored.get((comparison.cell.key, comparison.treatment, pair.seed))
        if pair.effect is not None and control is not None and treatment is not None:
            pairs.append((control, treatment))
    return pairs


def _read(row: TrialRow, storage: Path, split: str) -> Scored | None:
    file = find_trial_file(row, storage, PREDICTIONS)
    if file is None:
        return None
    try:
        with np.load(file) as arrays:
            return Scored(arrays[f"{split}_index"], arrays[f"{split}_correct"].astype(bool))
    except UNREADABLE_ARRAYS as error:
        _log.warning("predictions of trial %s can't be read: %s", row.identity, error)
    return None
