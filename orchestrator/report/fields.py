"""From the trials' receptive fields to what a report says about them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from orchestrator.report.content import TrialRecord
from orchestrator.report.field_content import (
    COMPARED,
    EPOCH_PREFIX,
    PREFIXES,
    FieldCurve,
    FieldLevel,
    FieldSeedCurve,
    FieldWarning,
    MeanField,
    ReceptiveFields,
    TrialMaps,
    Unreadable,
)
from orchestrator.spec import ExperimentSpec
from orchestrator.statistics.compare import compare_arms
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.interval import spread
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialKey, TrialOutcome
from orchestrator.status import Phase, TrialStatus
from trainers.analyses.map_metrics import ReceptiveField, ReceptiveFieldMetrics, measure
from trainers.errors import AnalysisError
from trainers.result import FieldRemark, Moment

_CURVES = ("rms_radius_tokens", "r_squared")


def receptive_fields_of(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    maps: Mapping[TrialKey, TrialMaps | str],
) -> ReceptiveFields | None:
    """All about receptive fields; `None` if no trial was asked for its own.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec.
        trials: every trial.
        maps: of every succeeded confirm trial that was asked: its maps, or why they can't be read.
    """
    asked = [
        trial
        for trial in trials
        if trial.phase is Phase.CONFIRM and any(each.kind == "receptive_field" for each in trial.config.analyses)
    ]
    if not asked:
        return None
    done = [trial for trial in asked if trial.status is TrialStatus.SUCCEEDED and trial.result is not None]
    places = [(cell, arm.name) for cell in cells for arm in (spec.control, *spec.treatments)]
    return ReceptiveFields(
        means=tuple(_means(places, done, maps)),
        levels=tuple(level for cell, arm in places for level in _levels(cell, arm, done)),
        comparisons=tuple(_comparisons(spec, cells, asked)),
        curves=tuple(curve for cell, arm in places for curve in _curves(cell, arm, done)),
        warnings=tuple(warning for cell, arm in places for warning in _warnings(cell, arm, done)),
        unreadable=tuple(_unreadable(done, maps)),
    )


def _of(trials: Sequence[TrialRecord], cell: Cell, arm: str) -> list[TrialRecord]:
    return [trial for trial in trials if trial.cell == cell and trial.arm == arm]


def _means(
    places: Sequence[tuple[Cell, str]], trials: Sequence[TrialRecord], maps: Mapping[TrialKey, TrialMaps | str]
) -> Iterator[MeanField]:
    for cell, arm in places:
        found = {
            trial.seed: stored
            for trial in _of(trials, cell, arm)
            if isinstance(stored := maps.get((cell.key, arm, trial.seed)), TrialMaps)
        }
        is_trained = any(trial.result and trial.result.epochs for trial in _of(trials, cell, arm))
        yield from mean_fields(cell, arm, found, is_trained=is_trained)


def mean_fields(cell: Cell, arm: str, found: Mapping[int, TrialMaps], *, is_trained: bool) -> Iterator[MeanField]:
    """The mean over seeds of every map of one arm, by token, before training first.

    Args:
        cell: model and data set.
        arm: name of the arm.
        found: seed -> maps.
        is_trained: whether there was any training between the two moments.
    """
    names = dict.fromkeys(name for stored in found.values() for name in stored.maps)
    for name in sorted(names, key=_order):
        having = {seed: stored for seed, stored in found.items() if name in stored.maps}
        yield _mean(cell, arm, name, having, is_trained=is_trained)


def _order(name: str) -> tuple[tuple[int, int], bool]:
    """By token, then before and after training."""
    moment, target = _parsed(name)
    return target, moment == "final"


def _parsed(name: str) -> tuple[Moment, tuple[int, int]]:
    """`final/3_3` -> what and where."""
    moment, _, place = name.partition("/")
    row, _, column = place.partition("_")
    return ("initial" if moment == "initial" else "final"), (int(row), int(column))


def _mean(cell: Cell, arm: str, name: str, found: Mapping[int, TrialMaps], *, is_trained: bool) -> MeanField:
    moment, target = _parsed(name)
    grid = next(iter(found.values())).grid
    mean = np.mean([found[seed].maps[name] for seed in sorted(found)], axis=0)
    metrics: ReceptiveFieldMetrics | None = None
    try:
        metrics = measure(ReceptiveField(mean, target, grid, num_images=len(found)))
        remark = metrics.fit_px.remark
    except AnalysisError as error:
        remark = str(error)
    return MeanField(
        cell=cell,
        arm=arm,
        moment=moment,
        target=target,
        grid=grid,
        shape_px=mean.shape,
        seeds=tuple(sorted(found)),
        is_trained=is_trained,
        metrics=metrics,
        remark=remark,
        pixels=np.ascontiguousarray(mean, dtype=np.float64).tobytes(),
    )


def _levels(cell: Cell, arm: str, trials: Sequence[TrialRecord]) -> Iterator[FieldLevel]:
    of_arm = _of(trials, cell, arm)
    for name in COMPARED:
        initial, final = (spread(_values(of_arm, f"{PREFIXES[moment]}/{name}")) for moment in PREFIXES)
        if initial.mean is None and final.mean is None:
            continue
        yield FieldLevel(
            cell=cell,
            arm=arm,
            metric=name,
            num_seeds=len(_values(of_arm, f"{PREFIXES['final']}/{name}")),
            initial_mean=initial.mean,
            initial_sd=initial.sd,
            final_mean=final.mean,
            final_sd=final.sd,
        )


def _values(trials: Sequence[TrialRecord], metric: str) -> list[float]:
    scale = metric_named(metric).scale
    return [trial.result.metrics[metric] * scale for trial in trials if trial.result and metric in trial.result.metrics]


def _comparisons(spec: ExperimentSpec, cells: Sequence[Cell], trials: Sequence[TrialRecord]) -> Iterator[Comparison]:
    outcomes = [
        TrialOutcome(
            cell=trial.cell,
            arm=trial.arm,
            seed=trial.seed,
            status=trial.status,
            error=trial.error,
            metrics=trial.result.metrics if trial.result else {},
        )
        for trial in trials
    ]
    for name in COMPARED:
        for prefix in PREFIXES.values():
            if not any(f"{prefix}/{name}" in outcome.metrics for outcome in outcomes):
                continue
            for comparison in compare_arms(
                cells=cells,
                control=spec.control.name,
                treatments=[arm.name for arm in spec.treatments],
                seeds=spec.seeds,
                outcomes=outcomes,
                metric=f"{prefix}/{name}",
                confidence=spec.confidence,
                equivalence_margin=0.0,
            ):
                # The family that Holm corrects is the question's; these describe.
                yield comparison.model_copy(update={"p_holm": None})


def _curves(cell: Cell, arm: str, trials: Sequence[TrialRecord]) -> Iterator[FieldCurve]:
    for name in _CURVES:
        by_seed = {trial.seed: points for trial in _of(trials, cell, arm) if len(points := _points(trial, name)) > 1}
        if not by_seed:
            continue
        # A mean over other seeds at every epoch would jump for no reason.
        epochs = sorted(set.intersection(*(set(points) for points in by_seed.values())))
        seeds = {seed: [points[epoch] for epoch in epochs] for seed, points in sorted(by_seed.items())}
        yield FieldCurve(
            cell=cell,
            arm=arm,
            metric=name,
            epochs=tuple(epochs),
            mean=tuple(float(value) for value in np.mean(list(seeds.values()), axis=0)),
            seeds=tuple(FieldSeedCurve(seed=seed, values=tuple(values)) for seed, values in seeds.items()),
        )


def _points(trial: TrialRecord, name: str) -> dict[int, float]:
    """Epochs trained -> value, where it was looked at; empty if only before and after training."""
    assert trial.result is not None
    during, initial = f"{EPOCH_PREFIX}/{name}", f"{PREFIXES['initial']}/{name}"
    points = {report.epoch + 1: report.metrics[during] for report in trial.result.epochs if during in report.metrics}
    if points and initial in trial.result.metrics:
        points[0] = trial.result.metrics[initial]
    return points


def _warnings(cell: Cell, arm: str, trials: Sequence[TrialRecord]) -> Iterator[FieldWarning]:
    """Each remark once, with all seeds that made it."""
    seeds: dict[FieldRemark, list[int]] = {}
    for trial in _of(trials, cell, arm):
        for remark in trial.result.receptive_field_remarks if trial.result else ():
            seeds.setdefault(remark, []).append(trial.seed)
    for remark, found in seeds.items():
        yield FieldWarning(cell=cell, arm=arm, moment=remark.moment, seeds=tuple(sorted(found)), text=remark.text)


def _unreadable(trials: Sequence[TrialRecord], maps: Mapping[TrialKey, TrialMaps | str]) -> Iterator[Unreadable]:
    for trial in trials:
        stored = maps.get((trial.cell.key, trial.arm, trial.seed), "its maps were not looked for")
        if isinstance(stored, str):
            yield Unreadable(cell=trial.cell, arm=trial.arm, seed=trial.seed, reason=stored)
