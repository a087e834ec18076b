"""From the trials' receptive fields to what a report says about them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from orchestrator.report.beside import compared_beside
from orchestrator.report.content.receptive_fields import (
    COMPARED,
    EPOCH_PREFIX,
    IN_TOKENS,
    PREFIXES,
    FieldCurve,
    FieldLevel,
    FieldMaps,
    FieldSeedCurve,
    FieldWarning,
    ReceptiveFields,
    Unreadable,
)
from orchestrator.report.content.report import TrialRecord
from orchestrator.report.sections.receptive_fields.means import alike, differences_of, means_beside, means_of
from orchestrator.spec.experiment import ExperimentSpec
from orchestrator.statistics.comparison import Cell, Comparison
from orchestrator.statistics.inference import Inference
from orchestrator.statistics.interval import spread
from orchestrator.statistics.metric import metric_named
from orchestrator.statistics.pairing import TrialKey
from orchestrator.status import Phase, TrialStatus
from trainers.analyses.field_maps import TrialMaps
from trainers.analyses.receptive_field_in_trial import receptive_field_in
from trainers.result import FieldRemark

_CURVES = ("rms_radius_tokens", "r_squared")

_Grid = tuple[int, int]


def receptive_fields_of(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    maps: Mapping[TrialKey, TrialMaps | str],
    *,
    inference: Inference | None = None,
) -> ReceptiveFields | None:
    """All about receptive fields; `None` if no trial was asked for its own.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec.
        trials: every trial.
        maps: of every succeeded confirm trial that was asked: its maps, or why they can't be read.
        inference: what makes the comparisons' intervals (see `compare_arms`).
    """
    maps_of_all = field_maps_of(spec, cells, trials, maps, is_measured=True)
    if maps_of_all is None:
        return None
    asked, done = _asked(trials), _done(trials)
    places = _places(spec, cells)
    grids = {(mean.cell, mean.arm): mean.grid for mean in maps_of_all.means}
    analysis = receptive_field_in(spec.analyses)
    return ReceptiveFields(
        norm=analysis.point.norm if analysis else "before",
        means=maps_of_all.means,
        differences=maps_of_all.differences,
        levels=tuple(level for cell, arm in places for level in _levels(cell, arm, done)),
        comparisons=tuple(_comparisons(spec, cells, asked, grids, inference)),
        not_compared=tuple(_not_compared(spec, cells, asked, grids)),
        curves=tuple(curve for cell, arm in places for curve in _curves(cell, arm, done)),
        warnings=tuple(warning for cell, arm in places for warning in _warnings(cell, arm, done)),
        unreadable=maps_of_all.unreadable,
    )


def field_maps_of(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    maps: Mapping[TrialKey, TrialMaps | str],
    *,
    is_measured: bool,
) -> FieldMaps | None:
    """Their mean maps and the differences between arms, and nothing else; see `receptive_fields_of`.

    Args:
        spec: the question.
        cells: models x data sets, in the order of the spec.
        trials: every trial that is to be looked at.
        maps: of every succeeded one that was asked: its maps, or why they can't be read.
        is_measured: whether Gaussians are fitted to the mean maps; else they are arrays only.
    """
    if not _asked(trials):
        return None
    done, places = _done(trials), _places(spec, cells)
    unreadable: list[Unreadable] = []
    having = [trial for trial in done if not _has_none(trial)]
    found = {place: alike(*place, _of(having, *place), maps, unreadable) for place in places}
    means = [
        mean for place in places for mean in means_of(*place, _of(done, *place), found[place], is_measured=is_measured)
    ]
    return FieldMaps(
        means=tuple(means_beside(means, spec.control.name)),
        differences=tuple(
            difference
            for cell in cells
            for arm in spec.treatments
            for difference in differences_of(cell, arm.name, found[cell, arm.name], found[cell, spec.control.name])
        ),
        unreadable=tuple(unreadable),
    )


def _asked(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [trial for trial in trials if trial.phase is Phase.CONFIRM and receptive_field_in(trial.config.analyses)]


def _done(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those that were asked and have succeeded."""
    return [trial for trial in _asked(trials) if trial.status is TrialStatus.SUCCEEDED and trial.result is not None]


def _places(spec: ExperimentSpec, cells: Sequence[Cell]) -> list[tuple[Cell, str]]:
    """Cells and arms, the control first."""
    return [(cell, arm.name) for cell in cells for arm in (spec.control, *spec.treatments)]


def _of(trials: Sequence[TrialRecord], cell: Cell, arm: str) -> list[TrialRecord]:
    return [trial for trial in trials if trial.cell == cell and trial.arm == arm]


def _has_none(trial: TrialRecord) -> bool:
    """Whether the trial found no field to store at all: it says why in its remarks, and left no file."""
    assert trial.result is not None
    prefixes = tuple(f"{prefix}/" for prefix in PREFIXES.values())
    has_any = any(name.startswith(prefixes) for name in trial.result.metrics)
    return bool(trial.result.receptive_field_remarks) and not has_any


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


def _comparisons(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    grids: Mapping[tuple[Cell, str], _Grid],
    inference: Inference | None,
) -> Iterator[Comparison]:
    for name in COMPARED:
        for prefix in PREFIXES.values():
            for comparison in compared_beside(spec, cells, trials, f"{prefix}/{name}", inference=inference):
                if name in IN_TOKENS and _has_other_tokens(spec, comparison.cell, comparison.treatment, grids):
                    continue
                yield comparison


def _has_other_tokens(spec: ExperimentSpec, cell: Cell, arm: str, grids: Mapping[tuple[Cell, str], _Grid]) -> bool:
    """Whether an arm's grid is known, and not the control's."""
    both = {grids.get((cell, name)) for name in (spec.control.name, arm)}
    return None not in both and len(both) > 1


def _not_compared(
    spec: ExperimentSpec,
    cells: Sequence[Cell],
    trials: Sequence[TrialRecord],
    grids: Mapping[tuple[Cell, str], _Grid],
) -> Iterator[str]:
    """A sentence for each thing that the comparisons lack."""
    for cell in cells:
        others = [arm.name for arm in spec.treatments if _has_other_tokens(spec, cell, arm.name, grids)]
        if others:
            sizes = [f"{name} {grids[cell, name][0]} x {grids[cell, name][1]}" for name in (spec.control.name, *others)]
            yield (
                f"{cell.key}: the arms have different grids of tokens ({', '.join(sizes)}). A token is of "
                "another size in each, so lengths in tokens are not compared and maps are not subtracted; areas and R² "
                "are shares of the picture, and are compared."
            )
    prefix, _, name = spec.primary_metric.partition("/")
    if name in COMPARED and prefix in PREFIXES.values():
        yield f"{spec.primary_metric} is the primary metric: its comparison, with its correction, is among the answers."
        if name in IN_TOKENS and any(
            _has_other_tokens(spec, cell, arm.name, grids) for cell in cells for arm in spec.treatments
        ):
            yield f"{spec.primary_metric} is in tokens, whose size differs between the arms: its answers say little."


def _curves(cell: Cell, arm: str, trials: Sequence[TrialRecord]) -> Iterator[FieldCurve]:
    for name in _CURVES:
        by_seed = {trial.seed: points for trial in _of(trials, cell, arm) if len(points := _points(trial, name)) > 1}
        if not by_seed:
            continue
        # A mean over other seeds at every epoch would jump for no reason.
        epochs = sorted(set.intersection(*(set(points) for points in by_seed.values())))
        if not epochs:
            continue
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
