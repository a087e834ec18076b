"""Mean maps of receptive fields over seeds, what they measure, and how treatments differ from the control."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

import numpy as np
from cachetools import LRUCache, cached

from orchestrator.report.content.receptive_fields import FieldDifference, MeanField, Unreadable
from orchestrator.report.content.report import TrialRecord
from orchestrator.statistics.comparison import Cell
from orchestrator.statistics.pairing import TrialKey
from trainers.analyses.field_maps import TrialMaps
from trainers.analyses.map_metrics import ReceptiveField, ReceptiveFieldMetrics, measure
from trainers.errors import AnalysisError
from trainers.result import Moment

_NUM_MEASURED = 8192
"""Measurements that are remembered, some 1 kB each: a fit takes 0.2 s at 224 px, and every look at a report asks for
all of them."""

_Grid = tuple[int, int]


def alike(
    cell: Cell,
    arm: str,
    trials: Sequence[TrialRecord],
    maps: Mapping[TrialKey, TrialMaps | str],
    unreadable: list[Unreadable],
) -> dict[int, TrialMaps]:
    """Seed -> maps of an arm's trials; what can't be read, or is of another size than most, is told instead."""
    stored = {trial.seed: maps.get((cell.key, arm, trial.seed), "its maps were not looked for") for trial in trials}
    frames = {seed: _frame(each) for seed, each in stored.items() if isinstance(each, TrialMaps)}
    [(usual, _)] = Counter(frames.values()).most_common(1) or [("", 0)]
    found = {}
    for seed, each in stored.items():
        if isinstance(each, TrialMaps) and frames[seed] == usual:
            found[seed] = each
            continue
        reason = each if isinstance(each, str) else f"its maps have {frames[seed]}, those of other seeds {usual}"
        unreadable.append(Unreadable(cell=cell, arm=arm, seed=seed, reason=reason))
    return found


def _frame(stored: TrialMaps) -> str:
    height, width = next(iter(stored.maps.values())).shape
    return f"{height} x {width} pixels and {stored.grid[0]} x {stored.grid[1]} tokens"


def means_of(
    cell: Cell, arm: str, trials: Sequence[TrialRecord], found: Mapping[int, TrialMaps], *, is_measured: bool
) -> Iterator[MeanField]:
    """The same of trials, which say themselves whether they trained."""
    is_trained = any(trial.result and trial.result.epochs for trial in trials)
    return mean_fields(cell, arm, found, is_trained=is_trained, is_measured=is_measured)


def means_beside(means: Sequence[MeanField], control: str) -> Iterator[MeanField]:
    """Each beside the control's token of the same turn, if the grids differ and both arms have as many tokens.

    The middle token of 4 x 4 then stands beside that of 8 x 8, and a lattice beside a lattice.
    """
    by_arm: dict[tuple[str, str, Moment], list[MeanField]] = {}
    for mean in means:
        by_arm.setdefault((mean.cell.key, mean.arm, mean.moment), []).append(mean)
    for mean in means:
        own, reference = (by_arm.get((mean.cell.key, arm, mean.moment), []) for arm in (mean.arm, control))
        if len(own) != len(reference) or reference[0].grid == mean.grid:
            yield mean
            continue
        turn = next(place for place, each in enumerate(own) if each is mean)
        yield mean.model_copy(update={"beside": reference[turn].target})


def mean_fields(
    cell: Cell, arm: str, found: Mapping[int, TrialMaps], *, is_trained: bool, is_measured: bool = True
) -> Iterator[MeanField]:
    """The mean over seeds of every map of one arm, by token, before training first.

    Args:
        cell: model and data set.
        arm: name of the arm.
        found: seed -> maps, all of one size and grid.
        is_trained: whether there was any training between the two moments.
        is_measured: whether the means are measured; else they are arrays only.
    """
    names = dict.fromkeys(name for stored in found.values() for name in stored.maps)
    for name in sorted(names, key=_order):
        having = {seed: stored for seed, stored in found.items() if name in stored.maps}
        yield _mean(cell, arm, name, having, is_trained=is_trained, is_measured=is_measured)


def measured(mean: MeanField) -> MeanField:
    """The same with what its map measures, if only the array was asked for so far."""
    if mean.metrics is not None or mean.remark:
        return mean
    metrics, remark = _measured(ReceptiveField(mean.map, mean.target, mean.grid, num_images=len(mean.seeds)))
    return mean.model_copy(update={"metrics": metrics, "remark": remark})


def _order(name: str) -> tuple[tuple[int, int], bool]:
    """By token, then before and after training."""
    moment, target = _parsed(name)
    return target, moment == "final"


def _parsed(name: str) -> tuple[Moment, tuple[int, int]]:
    """`final/3_3` -> what and where."""
    moment, _, place = name.partition("/")
    row, _, column = place.partition("_")
    return ("initial" if moment == "initial" else "final"), (int(row), int(column))


def _mean(
    cell: Cell, arm: str, name: str, found: Mapping[int, TrialMaps], *, is_trained: bool, is_measured: bool
) -> MeanField:
    moment, target = _parsed(name)
    grid = next(iter(found.values())).grid
    mean = np.mean([found[seed].maps[name] for seed in sorted(found)], axis=0)
    metrics, remark = (
        _measured(ReceptiveField(mean, target, grid, num_images=len(found))) if is_measured else (None, "")
    )
    return MeanField(
        cell=cell,
        arm=arm,
        moment=moment,
        target=target,
        beside=target,
        grid=grid,
        shape_px=mean.shape,
        seeds=tuple(sorted(found)),
        is_trained=is_trained,
        metrics=metrics,
        remark=remark,
        pixels=np.ascontiguousarray(mean, dtype=np.float64).tobytes(),
    )


def _content(field: ReceptiveField) -> tuple[bytes, _Grid, _Grid, _Grid]:
    """All that a measurement depends on."""
    digest = hashlib.blake2b(np.ascontiguousarray(field.map).data, digest_size=20).digest()
    return digest, (field.map.shape[0], field.map.shape[1]), field.place, field.grid


@cached(LRUCache(_NUM_MEASURED), key=_content, lock=Lock())
def _measured(field: ReceptiveField) -> tuple[ReceptiveFieldMetrics | None, str]:
    """What a map measures, and what must be known of it."""
    try:
        metrics = measure(field)
    except AnalysisError as error:
        return None, str(error)
    return metrics, metrics.fit_px.remark


def differences_of(
    cell: Cell, arm: str, treated: Mapping[int, TrialMaps], control: Mapping[int, TrialMaps]
) -> Iterator[FieldDifference]:
    """Mean over the pairs of a treatment; nothing where the grids differ.

    Args:
        cell: model and data set.
        arm: name of the treatment.
        treated: seed -> its maps, all of one size and grid.
        control: seed -> the control's.
    """
    pairs = sorted(treated.keys() & control.keys())
    if not pairs or _frame(treated[pairs[0]]) != _frame(control[pairs[0]]):
        return
    # Of all pairs: a seed may lack the field before training, and have the one after it.
    names = dict.fromkeys(name for seed in pairs for name in treated[seed].maps)
    for name in sorted(names, key=_order):
        seeds = [seed for seed in pairs if name in treated[seed].maps and name in control[seed].maps]
        if not seeds:
            continue
        moment, target = _parsed(name)
        mean = np.mean([treated[seed].maps[name] - control[seed].maps[name] for seed in seeds], axis=0)
        yield FieldDifference(
            cell=cell,
            arm=arm,
            moment=moment,
            target=target,
            shape_px=mean.shape,
            seeds=tuple(seeds),
            pixels=np.ascontiguousarray(mean, dtype=np.float64).tobytes(),
        )
