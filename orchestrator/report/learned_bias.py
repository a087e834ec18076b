"""Learned sigma and amplitude, by cell, arm and layer, over epochs and seeds."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from orchestrator.report.content import BiasSeries, SeedCurve, TrialRecord
from orchestrator.statistics.comparison import Cell
from orchestrator.status import Phase, TrialStatus
from trainers.models import GaussianBias, PermutedGaussianBias

_KEY = re.compile(r"(?P<quantity>sigma|amplitude)/(?P<layer>\d+)(?:_head(?P<head>\d+))?")


class _Group(NamedTuple):
    cell: Cell
    arm: str
    quantity: Literal["sigma", "amplitude"]
    layer: int
    head: int | None


class _Curve(NamedTuple):
    bias: GaussianBias | PermutedGaussianBias
    curve: SeedCurve


def bias_series(trials: Iterable[TrialRecord]) -> tuple[BiasSeries, ...]:
    """One series per cell, arm, quantity, layer and head of the succeeded confirm trials, in this order."""
    groups: dict[tuple[str, ...], list[_Curve]] = defaultdict(list)
    keys: dict[tuple[str, ...], _Group] = {}
    for trial in trials:
        for group, curve in _curves(trial):
            name = (group.cell.key, *(str(part) for part in group[1:]))
            keys[name] = group
            groups[name].append(curve)
    return tuple(_series(keys[name], curves) for name, curves in groups.items())


def _curves(trial: TrialRecord) -> Iterable[tuple[_Group, _Curve]]:
    bias = trial.config.attention_bias
    if trial.phase is not Phase.CONFIRM or trial.status is not TrialStatus.SUCCEEDED or trial.result is None:
        return
    if not isinstance(bias, GaussianBias | PermutedGaussianBias) or not trial.result.epochs:
        return
    for key in sorted(trial.result.epochs[0].metrics, key=lambda key: (not key.startswith("sigma"), key)):
        match = _KEY.fullmatch(key)
        if match is None:
            continue
        head = match["head"]
        group = _Group(
            cell=trial.cell,
            arm=trial.arm,
            quantity="sigma" if match["quantity"] == "sigma" else "amplitude",
            layer=int(match["layer"]),
            head=None if head is None else int(head),
        )
        values = tuple(report.metrics[key] for report in trial.result.epochs)
        yield group, _Curve(bias, SeedCurve(seed=trial.seed, values=values))


def _series(group: _Group, curves: Sequence[_Curve]) -> BiasSeries:
    finals = [curve.values[-1] for _, curve in curves]
    is_sigma = group.quantity == "sigma"
    # zip ends at the shortest curve: a searched number of epochs may differ between cells, never within one.
    by_epoch = zip(*(curve.values for _, curve in curves), strict=False)
    return BiasSeries(
        cell=group.cell,
        arm=group.arm,
        quantity=group.quantity,
        layer=group.layer,
        head=group.head,
        is_learned=all(bias.learn_sigma if is_sigma else bias.learn_amplitude for bias, _ in curves),
        initial=statistics.fmean(bias.sigma if is_sigma else bias.amplitude for bias, _ in curves),
        final_mean=statistics.fmean(finals),
        final_sd=statistics.stdev(finals) if len(finals) > 1 else None,
        mean_by_epoch=tuple(statistics.fmean(values) for values in by_epoch),
        seeds=tuple(curve for _, curve in curves),
    )
