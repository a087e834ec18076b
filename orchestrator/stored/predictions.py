"""Per-image predictions of stored trials, where their files can be reached; a report does without where not."""

import logging
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from orchestrator.statistics.by_class import ClassRow, ClassScores
from orchestrator.statistics.by_image import ImageRow
from orchestrator.statistics.comparison import Comparison
from orchestrator.statistics.discordant import DiscordantImages, discordant_images
from orchestrator.statistics.guessing import Guess, guess
from orchestrator.status import Phase, TrialStatus
from orchestrator.store.tables import TrialRow
from orchestrator.stored.files import UNREADABLE_ARRAYS, find_trial_file
from trainers.metrics import Metric
from trainers.tasks.evidence import EVIDENCE_FILE, ImageScores, read_class_scores, read_image_scores

_log = logging.getLogger(__name__)

_TrialPlace = tuple[str, str, int]
"""Cell, arm and seed."""
ReadT = TypeVar("ReadT")


def discordant_images_of(
    comparisons: Sequence[Comparison], rows: Sequence[TrialRow], storage: Path | None, metric: Metric
) -> tuple[DiscordantImages | None, ...]:
    """One entry per comparison; `None` where no pair's predictions can be read.

    Beside a comparison of a metric that is not the mean of a score of each image (a calibration error, a width) the
    counts of another one would be read as that metric's, so there are none.

    Args:
        comparisons: the comparisons.
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
        metric: the compared one.
    """
    if storage is None or not storage.is_dir() or not metric.per_image:
        return tuple(None for _ in comparisons)
    read = _image_score_reader(rows, storage)
    found: list[DiscordantImages | None] = []
    for comparison in comparisons:
        pairs = _pairs(comparison, partial(read, _split_of(comparison), metric.per_image))
        found.append(discordant_images(pairs, higher_is_better=metric.higher_is_better is not False))
    return tuple(found)


def guesses_of(
    comparisons: Sequence[Comparison], rows: Sequence[TrialRow], storage: Path | None, metric: Metric
) -> dict[str, Guess]:
    """Cell key -> what naming the largest class always would score, where that is an answer and a file can be read.

    Args:
        comparisons: the comparisons.
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
        metric: the compared one.
    """
    if storage is None or not storage.is_dir() or not metric.class_of_image:
        return {}
    read, found = _image_score_reader(rows, storage), {}
    for comparison in comparisons:
        if comparison.cell.key in found:
            continue
        seeds = (pair.seed for pair in comparison.pairs if pair.effect is not None)
        places = ((comparison.cell.key, comparison.control, seed) for seed in seeds)
        classes = (read(_split_of(comparison), metric.class_of_image, place) for place in places)
        # One is enough: all trials of a cell are scored on one split.
        first = next((each for each in classes if each is not None), None)
        best = None if first is None else guess(first.scores)
        if best is not None:
            found[comparison.cell.key] = best
    return found


def class_scores_of(
    comparisons: Sequence[Comparison], rows: Sequence[TrialRow], storage: Path | None, *, metrics: Sequence[Metric]
) -> dict[ClassRow, list[tuple[ClassScores, ClassScores]]]:
    """Row -> the scores of every class in (control, treatment) of each pair whose files can be read.

    Args:
        comparisons: the comparisons.
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
        metrics: that the task scores classes by.
    """
    if storage is None or not storage.is_dir():
        return {}
    by_place = _finished(rows)

    @cache
    def read(split: str, metric: str, place: _TrialPlace) -> ClassScores | None:
        return _read(by_place.get(place), storage, partial(read_class_scores, split=split, metric=metric))

    return {
        ClassRow(comparison.cell, comparison.treatment, metric.name): _pairs(
            comparison, partial(read, _split_of(comparison), metric.name)
        )
        for metric in metrics
        for comparison in comparisons
    }


def image_scores_of(
    comparisons: Sequence[Comparison], rows: Sequence[TrialRow], storage: Path | None, *, metrics: Sequence[Metric]
) -> dict[ImageRow, list[tuple[ImageScores, ImageScores]]]:
    """Row -> the scores of every image in (control, treatment) of each pair whose files can be read.

    The compared metric itself has no row: it has a comparison of its own, in Holm's family.

    Args:
        comparisons: the comparisons.
        rows: one row per confirm trial.
        storage: folder that holds the trials' folders (`None`: it can't be reached from here).
        metrics: the task's; those that are no means over images are passed over.
    """
    if storage is None or not storage.is_dir():
        return {}
    read = _image_score_reader(rows, storage)
    return {
        ImageRow(comparison.cell, comparison.treatment, metric.name): _pairs(
            comparison, partial(read, _split_of(comparison), metric.per_image)
        )
        for metric in metrics
        if metric.per_image
        for comparison in comparisons
        if comparison.metric.rpartition("/")[2] != metric.name
    }


def _image_score_reader(
    rows: Sequence[TrialRow], storage: Path
) -> Callable[[str, str, _TrialPlace], ImageScores | None]:
    """Reads by split, array and trial, each once."""
    by_place = _finished(rows)

    @cache
    def read(split: str, per_image: str, place: _TrialPlace) -> ImageScores | None:
        return _read(by_place.get(place), storage, partial(read_image_scores, split=split, per_image=per_image))

    return read


def _finished(rows: Sequence[TrialRow]) -> "dict[_TrialPlace, TrialRow]":
    return {
        (row.cell, row.arm, row.seed): row
        for row in rows
        if row.phase == Phase.CONFIRM and row.status == TrialStatus.SUCCEEDED
    }


def _split_of(comparison: Comparison) -> str:
    """The split that the compared metric is of; validation stands in for what is of none, such as a field's width."""
    return "test" if comparison.metric.startswith("test/") else "val"


def _pairs(comparison: Comparison, read: Callable[[_TrialPlace], ReadT | None]) -> list[tuple[ReadT, ReadT]]:
    """What is read of (control, treatment) of each complete pair, where both can be read."""
    pairs = []
    for pair in comparison.pairs:
        if pair.effect is not None:
            control = read((comparison.cell.key, comparison.control, pair.seed))
            treatment = read((comparison.cell.key, comparison.treatment, pair.seed))
            if control is not None and treatment is not None:
                pairs.append((control, treatment))
    return pairs


def _read(row: TrialRow | None, storage: Path, read: Callable[[Path], ReadT]) -> ReadT | None:
    file = None if row is None else find_trial_file(row, storage, EVIDENCE_FILE)
    if row is None or file is None:
        return None
    try:
        return read(file)
    except UNREADABLE_ARRAYS as error:
        _log.warning("predictions of trial %s can't be read: %s", row.identity, error)
    return None
